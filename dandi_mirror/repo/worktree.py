"""Bringing a work tree to its branch: never over a person's edit, and never stuck where a run was cut off."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dandi_mirror.repo.dataset import CHECKED_OUT, EMPTY_TREE, Dataset, RefChange, sync_to_disk
from dandi_mirror.repo.process import NO_FILTER, GitError, git
from dandi_mirror.repo.stream import FILE, blob_id

_MANY = 100
"""With more files than this, all the disks of the machine are synced at once; one file may take 10 ms."""


_RAW = re.compile(rb":(\d+) (\d+) ([0-9a-f]+) ([0-9a-f]+) \w+\0([^\0]+)\0")


@dataclass(frozen=True, slots=True)
class _Change:
    """A path that differs between two commits: mode and object id, all zeros where it is not there."""

    path: bytes
    old: tuple[bytes, bytes]
    new: tuple[bytes, bytes]


def bring_up(dataset: Dataset, branch: str, *, cut_off: bool) -> str:
    """Bring index and work tree to ``branch``, if that is what is checked out, keeping local edits.

    ``cut_off`` says that the run before may have been killed while it did this.

    Returns why nothing was touched when an edit stands in the way, or an empty string.
    """
    commit, before = dataset.ref(f"refs/heads/{branch}"), dataset.ref(CHECKED_OUT)
    if not commit or commit == before or dataset.head_branch() != branch:
        return ""
    changes = _changes(dataset, before or EMPTY_TREE, commit)
    try:
        if cut_off:
            _take_in(dataset, list(changes))
        git(dataset.path, *NO_FILTER, "read-tree", "-m", "-u", before or EMPTY_TREE, commit)
    except GitError as error:
        _, refused, reason = str(error).partition("error: ")
        if refused and not cut_off:
            # files of a mirror that was copied or restored have other times; only a second look tells
            return bring_up(dataset, branch, cut_off=True)
        if not refused:
            raise  # git was ended by something else than an edit, and may have left its lock
        return reason
    # git syncs its own files only; after a power cut these would be there and empty
    changes = _changes(dataset, before or EMPTY_TREE, commit)
    _sync([_file(dataset, change) for change in changes if change.new[0] == FILE])
    dataset.move_refs([RefChange(CHECKED_OUT, commit, before)])
    return ""


def _sync(files: list[str]) -> None:
    if len(files) > _MANY:
        os.sync()
        return
    for file in files:
        sync_to_disk(Path(file))


def _changes(dataset: Dataset, before: str, commit: str) -> Iterator[_Change]:
    """What differs, one after the other: a first check-out may have a million of them."""
    form = ("-r", "-z", "--raw", "--no-abbrev", "--no-renames")
    for found in _RAW.finditer(git(dataset.path, "diff-tree", *form, before, commit)):
        old_mode, new_mode, old, new, path = found.groups()
        yield _Change(path, (old_mode, old), (new_mode, new))


def _take_in(dataset: Dataset, changes: list[_Change]) -> None:
    """Tell the index what a run that was cut off has brought already.

    A file that is neither old nor new, but holds a beginning of the new one, is what git was writing then.
    """
    known, strange = [], []
    for change in changes:
        content = _content_of(_file(dataset, change))
        if content is None or (oid := blob_id(content).encode()) == change.old[1]:
            continue
        if oid == change.new[1]:
            known.append((change.new, change.path))
        elif change.new[0] == FILE:
            strange.append((change, content))
    with dataset.reader() as reader:
        wanted = reader.read([change.new[1].decode() for change, _ in strange])
        for (change, content), whole in zip(strange, wanted, strict=True):
            if whole is not None and whole.startswith(content):
                Path(_file(dataset, change)).unlink()
                known.append((change.old, change.path))
    lines = [b"%b %b\t%b\0" % (*entry, path) for entry, path in known]
    if lines:
        git(dataset.path, "update-index", "-z", "--index-info", stdin=b"".join(lines))
    git(dataset.path, *NO_FILTER, "update-index", "-q", "--refresh")


def _file(dataset: Dataset, change: _Change) -> str:
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
