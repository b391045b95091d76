"""Let one run at a time work on a dataset: a file lock that the git processes of the run inherit.

If a run is killed, the lock lasts until its last child process ends.  The file names the run that holds it.  A run
that finishes removes its name, so a name in the file tells the next run that the run before was not finished.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from dandi_mirror.errors import DiskError, LockedError, MirrorError
from dandi_mirror.file_lock import NoLocks, try_lock
from dandi_mirror.files.own import OwnPath, own_path
from dandi_mirror.repo.git.process import GitError

UNNAMED_SECONDS = 1.0
"""Seconds that a run gets to write its name after it took the lock, or to end after it removed its name."""

TURN = 300.0
"""Seconds: how long :func:`turn` waits; a turn takes about a second, and longer in a dataset with very many files."""


@dataclass(frozen=True, slots=True)
class UnfinishedRun:
    """An unfinished earlier run, and the time (ns, by the disk's clock) in which it may have left git's locks."""

    since: int
    until: int

    def may_have_made(self, file: Path) -> bool:
        """Whether a lock file is from the time of that run; an older or younger one belongs to a person at work."""
        try:
            return self.since <= file.stat().st_mtime_ns <= self.until
        except FileNotFoundError:
            return False


@contextmanager
def hold(path: Path | OwnPath, what: str, *, wait: float = 0.0) -> Iterator[UnfinishedRun | None]:
    """Hold the lock; yields the run that held it before, if that run was not finished.

    ``what`` names the locked thing in messages; ``wait`` is the longest time to wait for the lock, in seconds.

    Raises:
        LockedError: another run holds it.
        DiskError: the file cannot be made or written, or the disk has no locks.
    """
    path = own_path(path)
    descriptor = _open(path)
    try:
        _acquire(descriptor, path, what, time.monotonic() + wait)
        os.set_inheritable(descriptor, True)
        before = _before(descriptor)
        # if this run is killed before it cleans up after an older one, the next run must still know of the older one
        _write(descriptor, path, _holder(before.since if before else None))
        began = os.fstat(descriptor).st_mtime_ns
        try:
            yield UnfinishedRun(before.since, before.until or began) if before else None
        except MirrorError as error:
            # only a git that died leaves locks, no other failure does
            died = isinstance(error, GitError | DiskError)
            with suppress(DiskError):
                _write(descriptor, path, _holder(began if died else time.time_ns(), ended=True))
            raise
        _write(descriptor, path, b"")
    finally:
        os.close(descriptor)


@contextmanager
def turn(git_dir: Path, what: str) -> Iterator[None]:
    """Take turns with other runs at something short that git or DataLad cannot do twice at once in a repository.

    On a disk without locks, nobody waits.

    Raises:
        LockedError: another run takes longer than :data:`TURN`.
        DiskError: the lock's file cannot be made.
    """
    with ExitStack() as stack:
        with suppress(NoLocks):
            stack.enter_context(hold(git_dir / "dandi-mirror-init.lock", what, wait=TURN))
        yield


def _before(descriptor: int) -> UnfinishedRun | None:
    """The run whose name is in the file; ``until`` is 0 if it was killed at an unknown time."""
    if not (found := os.pread(descriptor, 4096, 0)):
        return None
    written = os.fstat(descriptor).st_mtime_ns
    try:
        notes = json.loads(found)
        since = written if notes["began"] is None else int(notes["began"])
        return UnfinishedRun(since, written if notes["ended"] else 0)
    except (ValueError, KeyError, TypeError):
        return UnfinishedRun(0, 0)


def _open(path: OwnPath) -> int:
    try:
        return path.open(os.O_RDWR | os.O_CREAT)
    except OSError as error:
        raise DiskError(f"{DiskError.of(path, error)}; a run must be able to write there") from error


def _acquire(descriptor: int, path: OwnPath, what: str, deadline: float) -> None:
    while True:
        if try_lock(descriptor, path):
            return
        holder = _describe(path)
        if time.monotonic() >= deadline + (0 if holder else UNNAMED_SECONDS):
            raise LockedError(f"{what} is held by {holder or 'another run'}; try again when it is done")
        time.sleep(0.05)


def _holder(began: int | None, *, ended: bool = False) -> bytes:
    started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    who = {"pid": os.getpid(), "host": socket.gethostname(), "since": started}
    return json.dumps(who | {"began": began, "ended": ended}).encode()


def _write(descriptor: int, path: OwnPath, content: bytes) -> None:
    try:
        # the file is never empty in between: that would mean that no run was killed
        os.pwrite(descriptor, content, 0)
        os.ftruncate(descriptor, len(content))
        os.fsync(descriptor)
    except OSError as error:
        raise DiskError.of(path, error) from error


def _describe(path: OwnPath) -> str:
    """The run that holds the lock; empty if it has not written its name."""
    try:
        holder = json.loads(path.read())
        return f"process {holder['pid']} on {holder['host']} since {holder['since']}"
    except (OSError, DiskError, ValueError, KeyError, TypeError):
        return ""


@contextmanager
def look(path: OwnPath, what: str) -> Iterator[bool]:
    """Keep others from taking the lock while somebody reads, without a trace; yields whether the last run was killed.

    Where there is no lock file nothing is held: no run was ever there, or the mirror is somebody else's.

    Raises:
        LockedError: a run holds the lock.
    """
    try:
        descriptor = path.open(os.O_RDONLY)
    except OSError:
        yield False
        return
    try:
        _acquire(descriptor, path, what, time.monotonic())
        before = _before(descriptor)
        yield before is not None and not before.until  # a run that failed has noted when it ended
    finally:
        os.close(descriptor)
