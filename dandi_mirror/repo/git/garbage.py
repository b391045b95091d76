"""Decide when ``git gc`` is worthwhile, and prevent it while new objects wait for the ref that will hold them.

The file ``gc.pid``, with ``<process> <host>`` in it, is git's own way to prevent a second gc.  We write the same file,
with a third word.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dandi_mirror.errors import DiskError, LockedError
from dandi_mirror.files.own import own_path

PATIENCE = 120.0
"""Seconds to wait for a gc that is running."""
_STALE = 12 * 3600
_OURS = "dandi-mirror"

MOST_PACKS = 50
MOST_LOOSE = 6700
"""git itself collects garbage above this number of packs, or of loose objects, unless it is told not to."""
SETTINGS = ("-c", f"gc.auto={MOST_LOOSE}", "-c", f"gc.autoPackLimit={MOST_PACKS}", "-c", "gc.autoDetach=false")
"""For ``git gc --auto``: decide as :func:`is_worthwhile` does, and run in the foreground."""


def is_worthwhile(git_dir: Path) -> bool:
    """Whether a repository has so many packs or loose objects that ``git gc`` is worthwhile.  Starts no git.

    A small sync adds about thirty loose objects, a larger one a pack.
    """
    objects = git_dir / "objects"
    packs = sum(1 for pack in objects.glob("pack/*.pack") if not pack.with_suffix(".keep").exists())
    # ids are evenly spread over 256 folders: git estimates from this one, too
    return packs > MOST_PACKS or 256 * sum(1 for _ in objects.glob("17/*")) > MOST_LOOSE


@contextmanager
def no_gc(git_dir: Path) -> Iterator[None]:
    """Prevent garbage collection in this repository until the block ends.  Only under the repository's lock.

    Raises:
        LockedError: a gc is running and does not end in time.
    """
    path = git_dir / "gc.pid"
    deadline = time.monotonic() + PATIENCE
    while not _take(path):
        if time.monotonic() > deadline:
            raise LockedError(f"git gc is running in {git_dir.parent}; try again when it is done")
        time.sleep(0.05)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def _take(path: Path) -> bool:
    try:
        return _try_to_take(path)
    except OSError as error:
        raise DiskError.of(path, error) from error


def _try_to_take(path: Path) -> bool:
    lock = path.with_name(f"{path.name}.lock")
    try:
        descriptor = os.open(lock, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    except FileExistsError:
        return False
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(f"{os.getpid()} {socket.gethostname()} {_OURS}\n")
        if _is_running(path):
            return False
        lock.rename(path)
        return True
    finally:
        lock.unlink(missing_ok=True)


def _is_running(path: Path) -> bool:
    """Whether a running gc holds the file, by git's rules; a file of ours was left by a killed run."""
    try:
        process, host, *ours = own_path(path).read().decode().split()
        old = time.time() - path.stat().st_mtime > _STALE
        if ours or old:
            return False
        if host == socket.gethostname():
            os.kill(int(process), 0)
        return True
    except PermissionError:
        return True
    except (FileNotFoundError, ProcessLookupError, ValueError):
        return False
