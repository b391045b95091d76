"""Whether a download fits on a disk."""

from __future__ import annotations

import os
from collections.abc import Iterable
from itertools import chain
from pathlib import Path

from dandi_mirror.errors import DiskError


def check_fits(folder: Path, partials: Path, size: int, replaced: Iterable[Path], remedy: str) -> None:
    """Refuse a download of ``size`` bytes into a folder, if it does not fit on its disk.

    Partial files count as room, and so do the files that are ``replaced``; ``remedy`` says what to do, besides to free
    space.

    Raises:
        DiskError: it does not fit.
        OSError: the folder of partial files cannot be read.
    """
    disk = os.statvfs(partials)
    free = disk.f_bavail * disk.f_frsize + sum(map(_space, chain(partials.iterdir(), replaced)))
    if size > free:
        raise DiskError(
            f"{folder}: the download needs {size:,} bytes and {free:,} are free; free some space, or {remedy}"
        )


def _space(file: Path) -> int:
    """Bytes that a file takes on the disk; none if it is not there."""
    try:
        return file.lstat().st_blocks * 512
    except OSError:
        return 0
