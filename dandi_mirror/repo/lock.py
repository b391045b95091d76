"""One run at a time: a lock on a file, held through a descriptor that git children inherit.

While any child of a killed run lives, the lock is still held.  The file names its holder; a run that ends
cleans the name away, so a name found by the next holder means that the run before it was killed.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dandi_mirror.errors import DiskError, LockedError


@contextmanager
def hold(path: Path, what: str, *, patience: float = 0.0) -> Iterator[bool]:
    """Hold the lock; yields whether the run that held it before was killed.

    ``what`` names the locked thing in messages; ``patience`` is how long to wait for it, in seconds.

    Raises:
        LockedError: another run holds it.
        DiskError: the file cannot be made or written.
    """
    descriptor = _open(path)
    try:
        _acquire(descriptor, path, what, time.monotonic() + patience)
        os.set_inheritable(descriptor, True)
        killed = os.fstat(descriptor).st_size > 0
        _write(descriptor, path, _holder())
        yield killed
        # not reached when the run fails: what it left half-done is cleared by the next one
        _write(descriptor, path, b"")
    finally:
        os.close(descriptor)


def _open(path: Path) -> int:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise DiskError(f"{path}: {error.strerror}; the mirror must be writable") from error


def _acquire(descriptor: int, path: Path, what: str, deadline: float) -> None:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise LockedError(f"{what} is held by {_describe(path)}; try again when it is done") from None
            time.sleep(0.05)


def _holder() -> bytes:
    started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": started}).encode()


def _write(descriptor: int, path: Path, content: bytes) -> None:
    try:
        # never empty in between: that would say that nobody was killed
        os.pwrite(descriptor, content, 0)
        os.ftruncate(descriptor, len(content))
        os.fsync(descriptor)
    except OSError as error:
        raise DiskError(f"{path}: {error.strerror}") from error


def _describe(path: Path) -> str:
    try:
        holder = json.loads(path.read_bytes())
        return f"process {holder['pid']} on {holder['host']} since {holder['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another run"
