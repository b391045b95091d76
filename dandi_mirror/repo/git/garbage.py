"""When a ``git gc`` pays; and keeping it away while new objects wait for the ref that will hold them.

It is kept away by the file ``gc.pid``, with which git keeps a second gc away: ``<process> <host>``, and here a
third word.
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
"""Seconds to wait for a gc that is running already."""
_STALE = 12 * 3600
_OURS = "dandi-mirror"

MOST_PACKS = 50
MOST_LOOSE = 6700
"""With more packs, or about so many loose objects, git itself collects where nobody has told it not to."""
SETTINGS = ("-c", f"gc.auto={MOST_LOOSE}", "-c", f"gc.autoPackLimit={MOST_PACKS}", "-c", "gc.autoDetach=false")
"""For ``git gc --auto``: to decide as :func:`pays` does, and to be done when it returns."""


def pays(git_dir: Path) -> bool:
    """Whether a repository has so many packs or loose objects that packing them anew pays; asks git nothing.

    A small sync adds some thirty loose objects, a larger one a pack.
    """
    objects = git_dir / "objects"
    packs = sum(1 for pack in objects.glob("pack/*.pack") if not pack.with_suffix(".keep").exists())
    # ids are evenly spread: one folder of 256 tells of all, and git looks at this one
    return packs > MOST_PACKS or 256 * sum(1 for _ in objects.glob("17/*")) > MOST_LOOSE


@contextmanager
def kept(git_dir: Path) -> Iterator[None]:
    """No gc begins in this repository until the block ends.  Only under the repository's lock.

    Raises:
        LockedError: one is running and does not come to its end.
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
        raise DiskError(f"{path}: {error.strerror}") from error


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
    """Whether a gc holds the file, as git decides it; one of ours was left by a run that was killed."""
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
