"""One run at a time: a lock on a file, held through a descriptor that git children inherit.

While any child of a killed run lives, the lock is still held.  The file names its holder; a run that comes
through cleans the name away, so a name found by the next holder means that the run before it did not.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from dandi_mirror.errors import DiskError, LockedError, MirrorError
from dandi_mirror.files.own import OwnPath, own_path
from dandi_mirror.repo.git.process import GitError

NAMELESS = 1.0
"""Seconds in which who has just taken the lock has written its name, or who has just cleared it is gone."""


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A run that did not come through: from when to when (ns, by the disk's clock) it may have left git's locks."""

    since: int
    until: int

    def may_have_made(self, file: Path) -> bool:
        """Whether the file is from its time; an older or a younger lock is a person's, who may be at work."""
        try:
            return self.since <= file.stat().st_mtime_ns <= self.until
        except FileNotFoundError:
            return False


@contextmanager
def hold(path: Path | OwnPath, what: str, *, patience: float = 0.0) -> Iterator[Unfinished | None]:
    """Hold the lock; yields the run that held it before, if that one did not come through.

    ``what`` names the locked thing in messages; ``patience`` is how long to wait for it, in seconds.

    Raises:
        LockedError: another run holds it.
        DiskError: the file cannot be made or written.
    """
    path = own_path(path)
    descriptor = _open(path)
    try:
        _acquire(descriptor, path, what, time.monotonic() + patience)
        os.set_inheritable(descriptor, True)
        before = _before(descriptor)
        # a run that is killed before it has cleared the older rubbish must not hide it
        _write(descriptor, path, _holder(before.since if before else None))
        began = os.fstat(descriptor).st_mtime_ns
        try:
            yield Unfinished(before.since, before.until or began) if before else None
        except MirrorError as error:
            # git's locks are left by a git that has died, and by nothing else that fails
            died = isinstance(error, GitError | DiskError)
            with suppress(DiskError):
                _write(descriptor, path, _holder(began if died else time.time_ns(), ended=True))
            raise
        _write(descriptor, path, b"")
    finally:
        os.close(descriptor)


def _before(descriptor: int) -> Unfinished | None:
    """The run whose name is still there; ``until`` is 0 for one that was killed, nobody knows when."""
    if not (found := os.pread(descriptor, 4096, 0)):
        return None
    written = os.fstat(descriptor).st_mtime_ns
    try:
        notes = json.loads(found)
        since = written if notes["began"] is None else int(notes["began"])
        return Unfinished(since, written if notes["ended"] else 0)
    except (ValueError, KeyError, TypeError):
        return Unfinished(0, 0)


def _open(path: OwnPath) -> int:
    try:
        return path.open(os.O_RDWR | os.O_CREAT)
    except OSError as error:
        raise DiskError(f"{path}: {error.strerror}; the mirror must be writable") from error


def _acquire(descriptor: int, path: OwnPath, what: str, deadline: float) -> None:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            holder = _describe(path)
            if time.monotonic() >= deadline + (0 if holder else NAMELESS):
                raise LockedError(f"{what} is held by {holder or 'another run'}; try again when it is done") from None
            time.sleep(0.05)


def _holder(began: int | None, *, ended: bool = False) -> bytes:
    started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    who = {"pid": os.getpid(), "host": socket.gethostname(), "since": started}
    return json.dumps(who | {"began": began, "ended": ended}).encode()


def _write(descriptor: int, path: OwnPath, content: bytes) -> None:
    try:
        # never empty in between: that would say that nobody was killed
        os.pwrite(descriptor, content, 0)
        os.ftruncate(descriptor, len(content))
        os.fsync(descriptor)
    except OSError as error:
        raise DiskError(f"{path}: {error.strerror}") from error


def _describe(path: OwnPath) -> str:
    """Who holds it; empty if no name is there."""
    try:
        holder = json.loads(path.read())
        return f"process {holder['pid']} on {holder['host']} since {holder['since']}"
    except (OSError, DiskError, ValueError, KeyError, TypeError):
        return ""
