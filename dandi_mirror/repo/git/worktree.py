"""Bringing a work tree to its branch: never over a person's edit, and never stuck where a run was cut off."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from dandi_mirror.errors import DiskError
from dandi_mirror.files.own import own_path
from dandi_mirror.repo.git.changes import Change, changes
from dandi_mirror.repo.git.dataset import CHECKED_OUT, EMPTY_TREE, Dataset, RefChange
from dandi_mirror.repo.git.disk import bring_files_to_disk, sync_to_disk
from dandi_mirror.repo.git.ignored import in_index
from dandi_mirror.repo.git.process import NO_FILTER, GitError, git
from dandi_mirror.repo.git.stream import FILE, blob_id

OTHER = {"draft": "published", "published": "draft"}
"""The branch of a dataset that is kept no more when this one is."""

_MARK = "dandi-mirror-checkout"
"""In the git folder while git writes a work tree: from which commit, and to which."""

ABSENT = b"000000"
"""The mode of what is not there."""

_OURS = (b".dandi/", b"dandiset.yaml")
"""Where only a sync writes; whenever an asset changes into the first, when the Dandiset's metadata do the second."""

_UNTOUCHED = re.compile(r"error: (Entry|Updating|Untracked|Refusing|Submodule) |index\.lock': File exists")
"""What git says when it has looked at everything and written nothing, or could not even begin."""


def bring_up(dataset: Dataset, branch: str, was: str | None, *, left: str | None = None) -> str:
    """Bring index and work tree to ``branch``, if that is what is checked out, keeping local edits.

    ``was`` is what the branch held when the run began.  From the branch ``left``, which is kept no more, HEAD
    moves to ``branch``; any other, and a detached one, is a person's choice and stays.

    Returns why nothing was touched when an edit stands in the way, or an empty string.
    """
    if not (commit := dataset.ref(f"refs/heads/{branch}")):
        return ""  # nor may there be a whole repository
    if (head := dataset.head_branch()) not in {branch, left}:
        _unmark(dataset)
        return ""
    if reason := _finish(dataset):
        return reason
    before = dataset.ref(CHECKED_OUT)
    if head == branch and commit == before:
        return ""
    base = _nearest(dataset, before or EMPTY_TREE, was if head == branch else dataset.ref(f"refs/heads/{left}"))
    # files of a mirror that was copied or restored have other times; only a second look tells
    reason = _merge(dataset, base, commit) and _look_and_merge(dataset, base, commit)
    if head != branch and not reason:
        dataset.move_head(branch)
    return reason


def stands_at(dataset: Dataset, commit: str) -> bool:
    """Whether index and work tree were made from a commit, not from another one that a sync has brought there."""
    before = dataset.ref(CHECKED_OUT)
    if before is None or before == commit:
        return True
    return _distance(dataset, commit) <= _distance(dataset, before)


def _nearest(dataset: Dataset, before: str, tip: str | None) -> str:
    """The commit that the index was made from: the last one of ours, or that of a person's own check-out.

    Who goes away, lets a sync pass and comes back, or commits, has the tip checked out, and we have not.
    """
    if tip is None or tip == before:
        return before
    # where both are as near, it is ours
    return min(before, tip, key=lambda commit: _distance(dataset, commit))


def _distance(dataset: Dataset, commit: str) -> tuple[int, int]:
    """In how many files the index is not as a commit: of those that only a sync writes, then of all.

    A person's may mislead: what an upload has sent is in the index before a sync brings the commit that has it.
    """
    found = git(dataset.path, "diff-index", "--cached", "--name-only", "-z", commit).split(b"\0")[:-1]
    return sum(name.startswith(_OURS) for name in found), len(found)


def _finish(dataset: Dataset) -> str:
    """Finish the check-out that a run was cut off in, if one was."""
    mark = own_path(dataset.git_dir / _MARK)
    try:
        base, commit = mark.read().decode().split()
        since = mark.path.stat().st_mtime_ns
        git(dataset.path, "diff-tree", base, commit)
    except (FileNotFoundError, ValueError, GitError):
        # not there, not whole, or of commits that are no more
        commit = ""
    if not commit or commit == dataset.ref(CHECKED_OUT):
        _unmark(dataset)
        return ""
    return _look_and_merge(dataset, base, commit, cut_off=since)


def _look_and_merge(dataset: Dataset, base: str, commit: str, *, cut_off: int | None = None) -> str:
    differ = list(_between(dataset, base, commit))
    taken = _take_in(dataset, differ, cut_off)
    if reason := _merge(dataset, base, commit, _without_replaced(dataset, base, differ)):
        # an index between two commits would be taken for a person's later
        _put(dataset, [(change.old, change.path) for change in taken])
    return reason


def _merge(dataset: Dataset, base: str, commit: str, tree: str = "") -> str:
    """Take index and work tree from one commit to another; why git refused, having touched nothing.

    ``tree`` is what git is told that they are made from, if it is not ``base`` itself.
    """
    _mark(dataset, base, commit)
    try:
        git(dataset.path, *NO_FILTER, "read-tree", "-m", "-u", tree or base, commit)
    except GitError as error:
        _, found, reason = str(error).partition("error: ")
        if _UNTOUCHED.search(str(error)):
            _unmark(dataset)
        if not found:
            raise  # git was ended by something else than an edit, and may have left its lock
        return reason
    _sync(dataset, _between(dataset, base, commit))
    dataset.move_refs([RefChange(CHECKED_OUT, commit, dataset.ref(CHECKED_OUT))])
    _unmark(dataset)
    return ""


def _without_replaced(dataset: Dataset, base: str, differ: Iterable[Change]) -> str:
    """The tree of a commit without the files of folders in whose place the work tree and the index have a file.

    These are gone already; git would look for them below that file, and take it for one that is in the way.  Empty
    where there are none.
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


def _path(change: Change) -> str:
    return os.fsdecode(change.path)


def _is_below_a_file(dataset: Dataset, change: Change) -> bool:
    """Whether a folder of a path is a file or a link in the work tree."""
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
    """Note on disk that files are about to be written."""
    mark, note = own_path(dataset.git_dir / _MARK), f"{base} {commit}\n".encode()
    try:
        if mark.exists() and mark.read() == note:
            return  # its time tells what has been written since
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


def _sync(dataset: Dataset, written: Iterable[Change]) -> None:
    """Bring what git wrote to the disk; it syncs its own files only, and these would be there and empty."""
    files, folders = [], set()
    for change in written:
        file = _file(dataset, change)
        folders.add(file.rpartition("/")[0])
        if change.new[0] == FILE:
            files.append(file)
    bring_files_to_disk(files)
    for folder in sorted(folders):
        sync_to_disk(Path(folder))


def _between(dataset: Dataset, before: str, commit: str) -> Iterator[Change]:
    return changes(dataset, "diff-tree", "-r", before, commit)


def _take_in(dataset: Dataset, differ: list[Change], cut_off: int | None) -> list[Change]:
    """Tell the index which files are new already; these.

    ``cut_off`` is when (in ns) a check-out began that was cut off: a file that has been written since, is neither
    old nor new, but holds a beginning of the new one, is what git was writing then.
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


def _file(dataset: Dataset, change: Change) -> str:
    return f"{dataset.path}/{os.fsdecode(change.path)}"


def _content_of(file: str) -> bytes | None:
    """What a file or a link holds; None when neither is there.  Asked for every path of a first sync."""
    try:
        mode = os.lstat(file).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    if stat.S_ISLNK(mode):
        return os.fsencode(Path(file).readlink())
    return Path(file).read_bytes() if stat.S_ISREG(mode) else None
