"""Bring a work tree to its branch: never over a person's edits, and also after an interrupted run."""

from __future__ import annotations

import os
import re
import shlex
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from dandi_mirror.errors import DiskError, PartError
from dandi_mirror.files.own import own_path
from dandi_mirror.repo.git.changes import PathChange, changes
from dandi_mirror.repo.git.dataset import CHECKED_OUT, EMPTY_TREE, Dataset, RefChange
from dandi_mirror.repo.git.disk import bring_files_to_disk, sync_to_disk
from dandi_mirror.repo.git.ignored import in_index
from dandi_mirror.repo.git.process import NO_FILTER, GitError, git
from dandi_mirror.repo.git.stream import FILE, blob_id

OTHER = {"draft": "published", "published": "draft"}
"""For each branch that a mirror can follow, the other one."""

_MARK = "dandi-mirror-checkout"
"""A file in the git folder while git writes a work tree.  It holds the commit before and the commit after."""

ABSENT = b"000000"
"""git's mode for a path that does not exist."""

_OURS = (b".dandi/", b"dandiset.yaml")
"""Paths that only a sync writes: the first changes with any asset, the second with the Dandiset's metadata."""

_UNTOUCHED = re.compile(r"error: (Entry|Updating|Untracked|Refusing|Submodule) |index\.lock': File exists")
"""What git prints when it checked everything and wrote nothing, or when it could not begin."""


class WorktreeBlocked(PartError):
    """The work tree was left as it was; the message says why."""


def update_worktree(dataset: Dataset, branch: str, was: str | None, *, left: str | None = None) -> None:
    """Bring index and work tree to ``branch`` if that branch is checked out.  Local edits stay.

    ``was`` is the commit of the branch when the run began.  If HEAD is on ``left``, a branch that the mirror does not
    follow any more, HEAD moves to ``branch``.  If HEAD is detached or on another branch, a person chose that: nothing
    is touched.

    Raises:
        WorktreeBlocked: a local edit is in the way, or git-annex has checked out an adjusted branch.
        DiskError, GitError: git failed.
    """
    if not (commit := dataset.ref(f"refs/heads/{branch}")):
        return  # there may not even be a complete repository
    if (head := dataset.head_branch()) not in {branch, left}:
        _unmark(dataset)
        _refuse_adjusted(dataset, head, branch)
        return
    _finish(dataset)
    before = dataset.ref(CHECKED_OUT)
    if head == branch and commit == before:
        return
    base = _nearest(dataset, before or EMPTY_TREE, was if head == branch else dataset.ref(f"refs/heads/{left}"))
    try:
        _merge(dataset, base, commit)
    except WorktreeBlocked:
        # in a mirror that was copied or restored, files have other times: only a comparison of contents tells
        _compare_and_merge(dataset, base, commit)
    if head != branch:
        dataset.move_head(branch)


def _refuse_adjusted(dataset: Dataset, head: str, branch: str) -> None:
    """Refuse a branch that git-annex derives from ours: it would stay behind without a word."""
    if head.startswith(f"adjusted/{branch}("):
        raise WorktreeBlocked(
            f"git-annex has checked out the branch {head} (as `git annex adjust` does, and `git annex init` on a disk "
            f"without symbolic links), and a sync does not update that; type: git -C {shlex.quote(str(dataset.path))} "
            f"checkout {branch}; if this disk has no symbolic links, move the mirror to one that has them"
        )


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


def _finish(dataset: Dataset) -> None:
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
        return
    _compare_and_merge(dataset, base, commit, cut_off=since)


def _compare_and_merge(dataset: Dataset, base: str, commit: str, *, cut_off: int | None = None) -> None:
    """As :func:`_merge`, after the index has learnt which files hold the new content already."""
    differ = list(_between(dataset, base, commit))
    taken = _take_in(dataset, differ, cut_off)
    try:
        _merge(dataset, base, commit, _without_replaced(dataset, base, differ))
    except WorktreeBlocked:
        # the next run would take an index between two commits for a person's work
        _put(dataset, [(change.old, change.path) for change in taken])
        raise


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
        raise WorktreeBlocked(reason) from error
    _sync(dataset, _between(dataset, base, commit))
    dataset.move_refs([RefChange(CHECKED_OUT, commit, dataset.ref(CHECKED_OUT))])
    _unmark(dataset)


def _without_replaced(dataset: Dataset, base: str, differ: Iterable[PathChange]) -> str:
    """The tree of a commit without the files of folders that are now a file in the work tree and the index.

    Those files are gone already.  git would look for them below the new file and take that for an edit.  Empty if
    there are no such files.
    """
    gone = [change for change in differ if change.new[0] == ABSENT and _is_below_a_file(dataset, change)]
    paths = {change.path for change in gone} - {os.fsencode(path) for path in in_index(dataset.path, map(_path, gone))}
    if not paths:
        return ""
    index = dataset.git_dir / "dandi-mirror-index"
    try:
        git(dataset.path, "read-tree", base, index=index)
        lines = b"".join(path + b"\0" for path in paths)
        git(dataset.path, "update-index", "-z", "--force-remove", "--stdin", stdin=lines, index=index)
        return git(dataset.path, "write-tree", index=index).decode().strip()
    finally:
        index.unlink(missing_ok=True)


def _path(change: PathChange) -> str:
    return os.fsdecode(change.path)


def _is_below_a_file(dataset: Dataset, change: PathChange) -> bool:
    """Whether a folder on the way to a path is a file or a link in the work tree."""
    folder = str(dataset.path)
    for part in _path(change).split("/")[:-1]:
        folder = f"{folder}/{part}"
        try:
            if not stat.S_ISDIR(os.lstat(folder).st_mode):
                return True
        except FileNotFoundError:
            return False
    return False


def _mark(dataset: Dataset, base: str, commit: str) -> None:
    """Note on disk that git is about to write files."""
    mark, note = own_path(dataset.git_dir / _MARK), f"{base} {commit}\n".encode()
    try:
        if mark.exists() and mark.read() == note:
            return  # the time of the old mark tells what was written since
        mark.replace(note)
    except OSError as error:
        raise DiskError(f"{mark}: {error.strerror}") from error
    sync_to_disk(dataset.git_dir)


def _unmark(dataset: Dataset) -> None:
    mark = dataset.git_dir / _MARK
    try:
        mark.unlink()
    except FileNotFoundError:
        return
    except OSError as error:
        raise DiskError(f"{mark}: {error.strerror}") from error
    sync_to_disk(dataset.git_dir)


def _sync(dataset: Dataset, written: Iterable[PathChange]) -> None:
    """Bring the files that git wrote to the disk: git syncs only its own, so after a power cut these would be empty."""
    files, folders = [], set()
    for change in written:
        file = _file(dataset, change)
        folders.add(file.rpartition("/")[0])
        if change.new[0] == FILE:
            files.append(file)
    bring_files_to_disk(files)
    for folder in sorted(folders):
        sync_to_disk(Path(folder))


def _between(dataset: Dataset, before: str, commit: str) -> Iterator[PathChange]:
    return changes(dataset, "diff-tree", "-r", before, commit)


def _take_in(dataset: Dataset, differ: list[PathChange], cut_off: int | None) -> list[PathChange]:
    """Tell the index which files hold the new content already, and return these.

    ``cut_off`` is the time (ns) at which an interrupted check-out began.  If a file was written since then and holds
    only the beginning of the new content, git was writing it when it was interrupted: the file is removed.
    """
    known, strange, half = [], [], []
    for change in differ:
        content = _content_of(_file(dataset, change))
        if content is None or (oid := blob_id(content).encode()) == change.old[1]:
            continue
        if oid == change.new[1]:
            known.append(change)
        elif cut_off is not None and change.new[0] == FILE and _written(_file(dataset, change)) >= cut_off:
            strange.append((change, content))
    with dataset.reader() as reader:
        wanted = reader.read([change.new[1].decode() for change, _ in strange])
        for (change, content), whole in zip(strange, wanted, strict=True):
            if whole is not None and whole.startswith(content):
                Path(_file(dataset, change)).unlink()
                half.append(change)
    _put(dataset, [(change.new, change.path) for change in known] + [(change.old, change.path) for change in half])
    git(dataset.path, *NO_FILTER, "update-index", "-q", "--refresh")
    return known


def _put(dataset: Dataset, entries: list[tuple[tuple[bytes, bytes], bytes]]) -> None:
    lines = [b"%b %b\t%b\0" % (*entry, path) for entry, path in entries]
    if lines:
        git(dataset.path, "update-index", "-z", "--index-info", stdin=b"".join(lines))


def _written(file: str) -> int:
    return os.lstat(file).st_mtime_ns


def _file(dataset: Dataset, change: PathChange) -> str:
    return f"{dataset.path}/{os.fsdecode(change.path)}"


def _content_of(file: str) -> bytes | None:
    """The content of a file, or the target of a link; None for anything else."""
    try:
        mode = os.lstat(file).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    if stat.S_ISLNK(mode):
        return os.fsencode(Path(file).readlink())
    return Path(file).read_bytes() if stat.S_ISREG(mode) else None
