"""What is to survive a power cut, brought to the disk."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path

from dandi_mirror.errors import DiskError

_MANY = 100
"""Folders; from here on the file system is synced as a whole, where it can be."""


def sync_to_disk(path: Path) -> None:
    """Bring a file's content, or the names in a folder, to the disk."""
    _sync(str(path))


def bring_files_to_disk(files: Sequence[str], *, begun: bool = False) -> None:
    """Bring files' content to the disk; one that is not there is passed over.

    All are on their way before the first is waited for, which may have ``begun`` before; to sync the whole file
    system would wait for everybody's files, too.
    """
    for file in () if begun else files:
        start_writing(file)
    for file in files:
        _sync(file)


def bring_folders_to_disk(folders: Collection[str]) -> None:
    """Bring the names in folders to the disk.

    They cannot be started before they are waited for, and each that is waited for flushes the disk: so of very many,
    all that their file system holds is synced; when files' content is on the disk already, that takes a twentieth.
    """
    if len(folders) < _MANY or not any(map(_sync_file_system, folders)):
        for folder in sorted(folders):
            _sync(folder)


def start_writing(file: str) -> None:
    """Let the system begin to write a file to the disk, where it knows how to; nothing is waited for."""
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
    """Bring all that a folder's file system holds to the disk; whether that can be done, and the folder is there."""
    import ctypes  # takes as long to load as all the rest

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
