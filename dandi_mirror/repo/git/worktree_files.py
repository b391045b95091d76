"""Compare the files of a work tree with two commits, and tell git's index which of them hold the new content."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from dandi_mirror.repo.git.changes import PathChange, changes
from dandi_mirror.repo.git.dataset import Dataset
from dandi_mirror.repo.git.disk import bring_files_to_disk, sync_to_disk
from dandi_mirror.repo.git.ignored import in_index
from dandi_mirror.repo.git.process import NO_FILTER, git
from dandi_mirror.repo.git.stream import FILE, blob_id

NO_FILE = b"000000"
"""git's mode for a path that does not exist."""


def path_of(change: PathChange) -> str:
    """The path of a change, relative to the top of the work tree."""
    return os.fsdecode(change.path)


def differences(dataset: Dataset, before: str, commit: str) -> Iterator[PathChange]:
    """The files in which two commits differ."""
    return changes(dataset, "diff-tree", "-r", before, commit)


def is_edited(dataset: Dataset, change: PathChange) -> bool:
    """Whether a file of the work tree holds neither the old nor the new content."""
    content = _content_of(_file(dataset, change))
    return content is not None and blob_id(content).encode() not in {change.old[1], change.new[1]}


def take_in(dataset: Dataset, differ: list[PathChange], cut_off: int | None) -> list[PathChange]:
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
    entries = [(change.new, change.path) for change in known] + [(change.old, change.path) for change in half]
    tell_index(dataset, entries)
    git(dataset.path, *NO_FILTER, "update-index", "-q", "--refresh")
    return known


def tell_index(dataset: Dataset, entries: list[tuple[tuple[bytes, bytes], bytes]]) -> None:
    """Put entries into the index, without looking at the files: mode and object id, and the path."""
    lines = [b"%b %b\t%b\0" % (*entry, path) for entry, path in entries]
    if lines:
        git(dataset.path, "update-index", "-z", "--index-info", stdin=b"".join(lines))


def _written(file: str) -> int:
    return os.lstat(file).st_mtime_ns


def _file(dataset: Dataset, change: PathChange) -> str:
    return f"{dataset.path}/{path_of(change)}"


def _content_of(file: str) -> bytes | None:
    """The content of a file, or the target of a link; None for anything else."""
    try:
        mode = os.lstat(file).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    if stat.S_ISLNK(mode):
        return os.fsencode(Path(file).readlink())
    return Path(file).read_bytes() if stat.S_ISREG(mode) else None


def bring_to_disk(dataset: Dataset, written: Iterable[PathChange]) -> None:
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


def tree_without_replaced(dataset: Dataset, base: str, differ: Iterable[PathChange]) -> str:
    """The tree of a commit without the files of folders that are now a file in the work tree and the index.

    Those files are gone already.  git would look for them below the new file and take that for an edit.  Empty if
    there are no such files.
    """
    gone = [change for change in differ if change.new[0] == NO_FILE and _is_below_a_file(dataset, change)]
    there = {os.fsencode(path) for path in in_index(dataset.path, map(path_of, gone))}
    paths = {change.path for change in gone} - there
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


def _is_below_a_file(dataset: Dataset, change: PathChange) -> bool:
    """Whether a folder on the way to a path is a file or a link in the work tree."""
    folder = str(dataset.path)
    for part in path_of(change).split("/")[:-1]:
        folder = f"{folder}/{part}"
        try:
            if not stat.S_ISDIR(os.lstat(folder).st_mode):
                return True
        except FileNotFoundError:
            return False
    return False
