"""A file whose bytes gather: what of it is there, over the end of any run.

Bytes of a file that comes in one piece are there from its start up to the file's size.  Of one that comes in parts,
a second file (``.parts``) has a line for each stretch that is there: ``START STOP``.  Neither is believed in the end:
only the SHA-256 of all bytes makes a file whole.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dandi_mirror.below import open_own, read_file, remove_own
from dandi_mirror.errors import DiskError, LockedError

_STRETCH = re.compile(r"([0-9]{1,15}) ([0-9]{1,15})\n")


def parts_path(partial: Path) -> Path:
    """Where the stretches of a file that comes in parts are noted."""
    return partial.with_name(partial.name + ".parts")


@contextmanager
def opened(partial: Path) -> Iterator[int]:
    """The file, made if it is not there, open and locked.

    Raises:
        LockedError: another process is fetching it.
        DiskError: it cannot be opened.
    """
    descriptor = open_locked(partial)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def open_locked(partial: Path) -> int:
    """As :func:`opened`, for whoever closes it later."""
    try:
        descriptor = open_own(partial, os.O_RDWR | os.O_CREAT)
    except OSError as error:
        raise DiskError.of(partial, error) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise LockedError("another process is fetching it; try again when that is done") from None
    except OSError:
        pass  # a file system without locks
    return descriptor


def begin_to_disk(descriptor: int) -> None:
    """Let the system begin to bring a file to the disk, where it knows how to; nothing is waited for."""
    if hasattr(os, "posix_fadvise"):
        with suppress(OSError):
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)


def forget(partial: Path, descriptor: int) -> None:
    """Begin from nothing."""
    os.ftruncate(descriptor, 0)
    forget_parts(partial)


def forget_parts(partial: Path) -> None:
    """Note no stretches any more."""
    remove_own(parts_path(partial))


def note_parts(partial: Path, text: str) -> None:
    """Write more stretches down."""
    with os.fdopen(open_own(parts_path(partial), os.O_WRONLY | os.O_CREAT | os.O_APPEND), "w") as noted:
        noted.write(text)


class Stretches:
    """Which bytes of a file are there, as half-open ranges."""

    def __init__(self, there: list[tuple[int, int]]) -> None:
        self._there = _merged(there)

    @classmethod
    def read(cls, partial: Path, descriptor: int, size: int) -> Stretches:
        """What a run before has left; stretches beyond what the file holds are not believed."""
        if not (held := min(os.fstat(descriptor).st_size, size)):
            return cls([])
        if (noted := read_file(parts_path(partial))) is None:
            return cls([(0, held)])
        pairs = [(int(start), int(stop)) for start, stop in _STRETCH.findall(noted.decode(errors="replace"))]
        return cls([(start, stop) for start, stop in pairs if start < stop <= held])

    def add(self, start: int, stop: int) -> None:
        """These bytes have come."""
        self._there = _merged([*self._there, (start, stop)])

    def first(self) -> int:
        """How many bytes are there from the start on."""
        return self._there[0][1] if self._there and self._there[0][0] == 0 else 0

    def missing(self, size: int, step: int) -> list[tuple[int, int]]:
        """What is not there, in parts of at most ``step`` bytes, in order."""
        gaps, end = [], 0
        for start, stop in [*self._there, (size, size)]:
            if end < start:
                gaps.append((end, start))
            end = stop
        return [(at, min(at + step, stop)) for start, stop in gaps for at in range(start, stop, step)]


def _merged(pairs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, stop in sorted(pairs):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(stop, merged[-1][1]))
        else:
            merged.append((start, stop))
    return merged
