"""Bring a work tree to its branch: never over a person's edits, and also after an interrupted run."""

from __future__ import annotations

import re

from dandi_mirror.errors import DiskError, PartError
from dandi_mirror.files.own import own_path
from dandi_mirror.repo.git.dataset import CHECKED_OUT, EMPTY_TREE, Dataset, RefChange
from dandi_mirror.repo.git.disk import sync_to_disk
from dandi_mirror.repo.git.process import NO_FILTER, GitError, git
from dandi_mirror.repo.git.worktree_files import (
    bring_to_disk,
    differences,
    is_edited,
    path_of,
    take_in,
    tell_index,
    tree_without_replaced,
)
from dandi_mirror.text import quoted

OTHER = {"draft": "published", "published": "draft"}
"""For each branch that a mirror can follow, the other one."""

SMALL = (".datalad/", ".gitattributes", ".gitmodules", "dandiset.yaml")
"""What is checked out in any case: what DataLad, git and people look for first."""

_MARK = "dandi-mirror-checkout"
"""A file in the git folder while git writes a work tree.  It holds the commit before and the commit after."""

_OURS = (b".dandi/", b"dandiset.yaml")
"""Paths that only a sync writes: the first changes with any asset, the second with the Dandiset's metadata."""

_UNTOUCHED = re.compile(r"error: (Entry|Updating|Untracked|Refusing|Submodule) |index\.lock': File exists")
"""What git prints when it checked everything and wrote nothing, or when it could not begin."""
_NAMED = re.compile(r"(?:Entry|Untracked working tree file) '([^']+)' (?:would be overwritten|not uptodate)")
"""How git names an edit that is in the way."""


class WorktreeBlocked(PartError):
    """The work tree was left as it was; the message says why."""


def update_worktree(dataset: Dataset, branch: str, was: str | None, *, left: str | None = None) -> list[str]:
    """Bring index and work tree to ``branch`` if that branch is checked out.  Local edits stay.

    ``was`` is the commit of the branch when the run began.  If HEAD is on ``left``, a branch that the mirror does not
    follow any more, or nothing was ever checked out, HEAD moves to ``branch``.  If HEAD is detached or on another
    branch, a person chose that: nothing is touched.

    Returns the files that only a sync writes, that a person has edited, and that would have been in the way: the index
    has the new ones, and the work tree keeps what the person wrote.

    Raises:
        WorktreeBlocked: a local edit is in the way, or git-annex has checked out an adjusted branch.
        DiskError, GitError: git failed.
    """
    if not (commit := dataset.ref(f"refs/heads/{branch}")):
        return []  # there may not even be a complete repository
    if _is_new(dataset):
        dataset.move_head(branch)  # first, so that a killed run leaves what a new dataset has
    if (head := dataset.head_branch()) not in {branch, left}:
        _unmark(dataset)
        _refuse_adjusted(dataset, head, branch)
        return []
    kept = _finish(dataset)
    before = dataset.ref(CHECKED_OUT)
    if head == branch and commit == before:
        return kept
    base = _nearest(dataset, before or EMPTY_TREE, was if head == branch else dataset.ref(f"refs/heads/{left}"))
    if before is None and base != EMPTY_TREE:
        # git made a clone's work tree; should an edit be in the way now, the next run must know what it was made from
        dataset.move_refs([RefChange(CHECKED_OUT, base, None)])
    try:
        _merge(dataset, base, commit)
    except WorktreeBlocked:
        # in a mirror that was copied or restored, files have other times: only a comparison of contents tells
        kept += _compare_and_merge(dataset, base, commit)
    if head != branch:
        dataset.move_head(branch)
    return kept


def _is_new(dataset: Dataset) -> bool:
    """Whether the repository is as ``git init`` left it: HEAD names a branch without commits, and there is no index."""
    head = dataset.head_branch()
    return bool(head) and not dataset.ref(f"refs/heads/{head}") and not (dataset.git_dir / "index").exists()


def _refuse_adjusted(dataset: Dataset, head: str, branch: str) -> None:
    """Refuse a branch that git-annex derives from ours: it would stay behind without a word."""
    if head.startswith(f"adjusted/{branch}("):
        raise WorktreeBlocked(
            f"git-annex has checked out the branch {head} (as `git annex adjust` does, and `git annex init` on a disk "
            f"without symbolic links), and a sync does not update that; type: git -C {quoted(dataset.path)} "
            f"checkout {branch}; if this disk has no symbolic links, move the mirror to one that has them"
        )


def leave_out_data(dataset: Dataset) -> None:
    """Let the first check-out write :data:`SMALL` only, as ``git sparse-checkout`` does.

    Later ones do the same, until a person changes that by ``git sparse-checkout``; if there was a check-out, nothing is
    done.  So the index is complete, and no file counts as deleted.
    """
    if dataset.ref(CHECKED_OUT):
        return
    patterns = own_path(dataset.git_dir / "info" / "sparse-checkout")
    try:
        patterns.parent.make_folder()
        patterns.replace("".join(f"/{path}\n" for path in SMALL).encode())
    except OSError as error:
        raise DiskError.of(patterns, error) from error
    git(dataset.path, "config", "core.sparseCheckoutCone", "false")
    git(dataset.path, "config", "core.sparseCheckout", "true")


def is_made_from(dataset: Dataset, commit: str) -> bool:
    """Whether index and work tree were made from a commit, and not from one that a later sync checked out."""
    before = dataset.ref(CHECKED_OUT)
    if before is None or before == commit:
        return True
    return _distance(dataset, commit) <= _distance(dataset, before)


def _nearest(dataset: Dataset, before: str, tip: str | None) -> str:
    """The commit that the index was made from: the one that we checked out last, or the one that a person did.

    If a person checks out another branch, a sync runs, and the person comes back or commits, then the tip is checked
    out although we did not do it.
    """
    if tip is None or tip == before:
        return before
    # if both are equally near, it is ours
    return min(before, tip, key=lambda commit: _distance(dataset, commit))


def _distance(dataset: Dataset, commit: str) -> tuple[int, int]:
    """The number of files in which the index differs from a commit: files that only a sync writes, then all files.

    A person's files can mislead: the index holds what an upload sent before a sync brings the commit that has it.
    """
    found = git(dataset.path, "diff-index", "--cached", "--name-only", "-z", commit).split(b"\0")[:-1]
    return sum(name.startswith(_OURS) for name in found), len(found)


def _finish(dataset: Dataset) -> list[str]:
    """Finish the check-out of an earlier run, if that run was interrupted in it.

    Raises:
        WorktreeBlocked: a local edit is in the way.
    """
    mark = own_path(dataset.git_dir / _MARK)
    try:
        base, commit = mark.read().decode().split()
        since = mark.path.stat().st_mtime_ns
        git(dataset.path, "diff-tree", base, commit)
    except (FileNotFoundError, ValueError, GitError):
        # there is no mark, it is incomplete, or its commits do not exist any more
        commit = ""
    if not commit or commit == dataset.ref(CHECKED_OUT):
        _unmark(dataset)
        return []
    return _compare_and_merge(dataset, base, commit, cut_off=since)


def _compare_and_merge(dataset: Dataset, base: str, commit: str, *, cut_off: int | None = None) -> list[str]:
    """As :func:`_merge`, after the index has learnt which files hold the new content already.

    A person's edit of a file that only a sync writes is not in the way: it counts for nothing, and stays where it is.
    Returns these files.
    """
    differ = list(differences(dataset, base, commit))
    taken = take_in(dataset, differ, cut_off)
    kept = [change for change in differ if change.path.startswith(_OURS) and is_edited(dataset, change)]
    tell_index(dataset, [(change.new, change.path) for change in kept])
    try:
        _merge(dataset, base, commit, tree_without_replaced(dataset, base, differ))
    except WorktreeBlocked:
        # the next run would take an index between two commits for a person's work
        tell_index(dataset, [(change.old, change.path) for change in (*taken, *kept)])
        raise
    return [path_of(change) for change in kept]


def _merge(dataset: Dataset, base: str, commit: str, tree: str = "") -> None:
    """Take index and work tree from one commit to another.

    ``tree`` is the tree that git compares them with, if not that of ``base``.

    Raises:
        WorktreeBlocked: git found an edit in the way and touched nothing.
        DiskError, GitError: git failed otherwise.
    """
    _mark(dataset, base, commit)
    try:
        git(dataset.path, *NO_FILTER, "read-tree", "-m", "-u", tree or base, commit)
    except GitError as error:
        _, found, reason = str(error).partition("error: ")
        if _UNTOUCHED.search(str(error)):
            _unmark(dataset)
        if not found:
            raise  # something else than an edit ended git, and git may have left its lock
        raise WorktreeBlocked(_in_the_way(reason)) from error
    bring_to_disk(dataset, differences(dataset, base, commit))
    dataset.move_refs([RefChange(CHECKED_OUT, commit, dataset.ref(CHECKED_OUT))])
    _unmark(dataset)


def _in_the_way(reason: str) -> str:
    """In plain words, the first edit that git names as in the way, and what to do."""
    found = _NAMED.match(reason)
    if not found:
        return reason
    return (
        f"{found[1]} is edited here, and the archive has another one; move yours away, type this again, and put it back"
    )


def is_cut_off(dataset: Dataset) -> bool:
    """Whether a check-out was not completed, so that not all that differs from HEAD is an edit of a person's."""
    return (dataset.git_dir / _MARK).exists()


def _mark(dataset: Dataset, base: str, commit: str) -> None:
    """Note on disk that git is about to write files."""
    mark, note = own_path(dataset.git_dir / _MARK), f"{base} {commit}\n".encode()
    try:
        if mark.exists() and mark.read() == note:
            return  # the time of the old mark tells what was written since
        mark.replace(note)
    except OSError as error:
        raise DiskError.of(mark, error) from error
    sync_to_disk(dataset.git_dir)


def _unmark(dataset: Dataset) -> None:
    mark = dataset.git_dir / _MARK
    try:
        mark.unlink()
    except FileNotFoundError:
        return
    except OSError as error:
        raise DiskError.of(mark, error) from error
    sync_to_disk(dataset.git_dir)
