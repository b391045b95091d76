"""Write files as git does: so that they survive a power cut, and with the permissions that git would give them."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from pathlib import Path

from dandi_mirror.errors import DiskError
from dandi_mirror.files.own import SHARED
from dandi_mirror.repo.git.process import git

_GROUP = {"true", "yes", "on", "1", "group"}
_ALL = {"2", "all", "world", "everybody"}
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
"""Somebody may have put a pipe in place of a file: never wait for its other end."""
_NOTHING = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO}
"""What a system answers if there is no file at a path, or, without following it, a link."""
_MANY = 100
"""Folders; from this number on we sync the whole file system, where that is possible."""


def sync_to_disk(path: Path) -> None:
    """Sync the content of a file, or the names in a folder, to disk."""
    _sync(str(path))


def bring_files_to_disk(files: Sequence[str], *, begun: bool = False) -> None:
    """Sync the content of files to disk; a missing file is skipped, and so is a link, a pipe or a device.

    Unless the caller has ``begun`` that already, the system starts to write all files before we wait for the first.
    Syncing the whole file system would also wait for the files of other programs.
    """
    for file in () if begun else files:
        start_writing(file)
    for file in files:
        _sync(file, os.O_NOFOLLOW)


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
        descriptor = os.open(file, _READ | os.O_NOFOLLOW)
        try:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)


def _sync(path: str, flags: int = 0) -> None:
    try:
        descriptor = os.open(path, _READ | flags)
    except OSError as error:
        if error.errno in _NOTHING:
            return
        raise
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
            os.fsync(descriptor)
    except OSError as error:
        raise DiskError.of(path, error) from error
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


def make_shared_folder(path: Path, sharing: Callable[[int], int]) -> None:
    """Make a folder and those above it that are missing; ``sharing`` changes its permissions.

    Several runs may make it at once.
    """
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(sharing(stat.S_IMODE(path.stat().st_mode)))


def share_as(mode: int) -> None:
    """From now on let files of this process and its children be for those to whom a folder with ``mode`` is open.

    Only for a folder that a group shares.  git's setting shares what is in the git folder, but not the work tree.
    """
    if mode & SHARED == SHARED:
        os.umask(0o777 & ~mode)


def _for_folder(mode: int) -> int:
    """The permissions of a folder: whoever may read may enter, and new files belong to the folder's group."""
    return mode | (mode & 0o444) >> 2 | stat.S_ISGID
