"""Partial files: which bytes of a download are on disk, so that the next run can resume it.

A file that is downloaded in one piece has all bytes from its start up to its size.  For one that is downloaded in
parts, a second file (``.parts``) has a line for each stretch on disk: ``START STOP``.  Neither is trusted in the end:
a file is complete only if all its bytes match the digest.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from dandi_mirror.errors import DiskError, LockedError
from dandi_mirror.file_lock import NoLocks, try_lock
from dandi_mirror.files.opening import read_file
from dandi_mirror.files.own import OwnPath, own_path_in_own_folder

_STRETCH = re.compile(r"([0-9]{1,15}) ([0-9]{1,15})\n")


def parts_path(partial: Path) -> Path:
    """The file that lists the stretches of a partial file."""
    return partial.with_name(partial.name + ".parts")


class PartialFolder:
    """The folder of partial files, which stays open for the next file: it is looked at once.  For one thread."""

    def __init__(self) -> None:
        self._own: OwnPath | None = None
        self._descriptor = -1
        self._open = ExitStack()

    def close(self) -> None:
        """Close the folder; the next file opens it again."""
        self._own = None
        self._open.close()

    @contextmanager
    def opened(self, partial: Path) -> Iterator[int]:
        """Open and lock a partial file; makes it if necessary.

        Raises:
            LockedError: another process is downloading it.
            DiskError: it cannot be opened.
        """
        descriptor = self.open_locked(partial)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def open_locked(self, partial: Path) -> int:
        """As :meth:`opened`; the caller closes the descriptor."""
        try:
            try:
                descriptor = self._open_in(partial)
            except FileNotFoundError:
                self.close()  # somebody has removed the folder meanwhile
                descriptor = self._open_in(partial)
        except OSError as error:
            raise DiskError.of(partial, error) from error
        with suppress(NoLocks):
            if not try_lock(descriptor, partial):
                os.close(descriptor)
                raise LockedError("another process is downloading it; try again when that has ended")
        return descriptor

    def _open_in(self, partial: Path) -> int:
        own = own_path_in_own_folder(partial)
        folder = own.parent
        if folder != self._own:
            self.close()
            self._descriptor = self._open.enter_context(folder.opened_folder(make=True))
            self._own = folder
        flags = os.O_RDWR | os.O_CREAT
        try:
            return own.open_in(self._descriptor, flags | os.O_EXCL)
        except FileExistsError:  # an earlier run has left it
            return own.open_in(self._descriptor, flags)


def begin_to_disk(descriptor: int) -> None:
    """Have the system begin to write a file to disk, without waiting for it."""
    if hasattr(os, "posix_fadvise"):
        with suppress(OSError):
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)


def forget(partial: Path, descriptor: int) -> None:
    """Discard all bytes."""
    os.ftruncate(descriptor, 0)
    forget_parts(partial)


def forget_parts(partial: Path) -> None:
    """Remove the list of stretches."""
    own_path_in_own_folder(parts_path(partial)).unlink()


def note_parts(partial: Path, text: str) -> None:
    """Append to the list of stretches."""
    own_path_in_own_folder(parts_path(partial)).append(text.encode())


class Stretches:
    """Which bytes of a file are on disk, as half-open ranges."""

    def __init__(self, there: list[tuple[int, int]]) -> None:
        self._there = _merged(there)

    @classmethod
    def read(cls, partial: Path, descriptor: int, size: int) -> Stretches:
        """What an earlier run has left; ignores stretches beyond the end of the file."""
        if not (held := min(os.fstat(descriptor).st_size, size)):
            return cls([])
        if (noted := read_file(parts_path(partial))) is None:
            return cls([(0, held)])
        pairs = [(int(start), int(stop)) for start, stop in _STRETCH.findall(noted.decode(errors="replace"))]
        return cls([(start, stop) for start, stop in pairs if start < stop <= held])

    def add(self, start: int, stop: int) -> None:
        """Add bytes that have been written."""
        self._there = _merged([*self._there, (start, stop)])

    def first(self) -> int:
        """How many bytes are complete from the start on."""
        return self._there[0][1] if self._there and self._there[0][0] == 0 else 0

    def missing(self, size: int, step: int) -> list[tuple[int, int]]:
        """The missing bytes, in parts of at most ``step`` bytes, in order."""
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
