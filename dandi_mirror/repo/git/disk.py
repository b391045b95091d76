"""Write files as git does: so that they survive a power cut, and with the permissions that git would give them."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from pathlib import Path

from dandi_mirror.errors import DiskError
from dandi_mirror.repo.git.process import git

_GROUP = {"true", "yes", "on", "1", "group"}
_ALL = {"2", "all", "world", "everybody"}
_MANY = 100
"""Folders; from this number on we sync the whole file system, where that is possible."""


def sync_to_disk(path: Path) -> None:
    """Sync the content of a file, or the names in a folder, to disk."""
    _sync(str(path))


def bring_files_to_disk(files: Sequence[str], *, begun: bool = False) -> None:
    """Sync the content of files to disk; a missing file is skipped.

    Unless the caller has ``begun`` that already, the system starts to write all files before we wait for the first.
    Syncing the whole file system would also wait for the files of other programs.
    """
    for file in () if begun else files:
        start_writing(file)
    for file in files:
        _sync(file)


def bring_folders_to_disk(folders: Collection[str]) -> None:
    """Sync the names in folders to disk.

    Each folder that we wait for flushes the disk.  If there are very many, we sync the whole file system instead: when
    the content of the files is on disk already, this takes a twentieth of the time.
    """
    if len(folders) < _MANY or not any(map(_sync_file_system, folders)):
        for folder in sorted(folders):
            _sync(folder)


def start_writing(file: str) -> None:
    """Tell the system to begin to write a file to disk, where it supports this; do not wait."""
    if not hasattr(os, "posix_fadvise"):
        return
    with suppress(OSError):
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)


def _sync(path: str) -> None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        raise DiskError(f"{path}: {error.strerror}") from error
    finally:
        os.close(descriptor)


def _sync_file_system(folder: str) -> bool:
    """Sync the file system of a folder to disk; false if the system cannot, or the folder does not exist."""
    import ctypes  # slow to import

    syncfs = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    if syncfs is None:
        return False
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        if syncfs(descriptor):
            number = ctypes.get_errno()
            raise DiskError(f"{folder}: {os.strerror(number)}")
    finally:
        os.close(descriptor)
    return True


def folder_permissions(path: Path) -> Callable[[int], int]:
    """How ``core.sharedRepository`` changes the permissions of a folder in the repository at ``path``.

    ``path`` need not exist yet: then the settings of the nearest folder above it count.
    """
    there = next(folder for folder in (path, *path.parents) if folder.is_dir())
    value = git(there, "config", "--get", "--default", "false", "core.sharedRepository").decode().strip().lower()
    if value.startswith("0") and value.strip("0"):
        exact = int(value, 8)
        return lambda mode: _for_folder(exact & 0o666)
    added = 0o660 if value in _GROUP else 0o664 if value in _ALL else 0
    return lambda mode: _for_folder(mode & 0o777 | added) if added else mode


def _for_folder(mode: int) -> int:
    """The permissions of a folder: whoever may read may enter, and new files belong to the folder's group."""
    return mode | (mode & 0o444) >> 2 | stat.S_ISGID
