"""What is to survive a power cut, brought to the disk."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from dandi_mirror.errors import DiskError


def sync_to_disk(path: Path) -> None:
    """Bring a file's content, or the names in a folder, to the disk."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except (FileNotFoundError, NotADirectoryError):
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        raise DiskError(f"{path}: {error.strerror}") from error
    finally:
        os.close(descriptor)


def start_writing(file: str) -> None:
    """Let the system begin to write a file to the disk, where it knows how to; nothing is waited for."""
    if not hasattr(os, "posix_fadvise"):
        return
    with suppress(OSError):
        descriptor = os.open(file, os.O_RDONLY)
        try:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)
