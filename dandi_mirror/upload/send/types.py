"""What is sent, by what means, what becomes of it, and how far it has come."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dandi_mirror.archive.http.session import Session
from dandi_mirror.errors import MirrorError, PartError
from dandi_mirror.files.own import OwnPath
from dandi_mirror.repo.git.files import Look

PIECE = 1 << 20
"""Bytes that are read before they are sent."""


class Stopped(Exception):
    """The run is over; what has arrived is noted."""


@dataclass(frozen=True, slots=True)
class Source:
    """A file to send."""

    file: Path
    """Where its bytes are; links are followed."""
    path: str
    """Of the asset; only named in messages and handed back."""
    dandiset: str
    """Whose upload it is."""
    sha256: str = ""
    """If it is known, as from an annex key: it is asked for before the file is read, and the bytes must have it."""


@dataclass(frozen=True, slots=True)
class Sent:
    """The archive has its bytes."""

    source: Source
    blob: str
    """The blob's id."""
    size: int
    """Bytes."""
    sha256: str
    etag: str
    bytes_sent: int
    """By this run; 0 if the archive had it."""
    seen: Look | None = None
    """How the file looked when it was read; None if it was not."""


@dataclass(frozen=True, slots=True)
class Unsent:
    """It could not be sent."""

    source: Source
    error: MirrorError


class Meter:
    """How far it has come; read it from any thread."""

    def __init__(self) -> None:
        self.sent = 0
        """Bytes that went over the line, also those that went twice."""
        self.passed = 0
        """Bytes that are done with: they have arrived, or need not be sent."""
        self._lock = threading.Lock()

    def add(self, *, sent: int = 0, passed: int = 0) -> None:
        """Count."""
        with self._lock:
            self.sent += sent
            self.passed += passed


class Means:
    """What all files of a run are sent with."""

    def __init__(self, session: Session, state: Path | OwnPath, meter: Meter) -> None:
        self.session = session
        self.state = state
        self.meter = meter
        self.stopped = threading.Event()
        self.digesting = threading.Lock()
        """For one large file at a time: it takes all processors."""


class Bytes:
    """Some bytes of a file, to be sent; counted while they go."""

    def __init__(self, descriptor: int, start: int, size: int, means: Means) -> None:
        self._descriptor = descriptor
        self._start = start
        self._size = size
        self._means = means
        self._counted = 0

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[memoryview]:
        self.forget()
        for piece in self._pieces():
            if self._means.stopped.is_set():
                raise Stopped
            yield piece
            self._counted += len(piece)
            self._means.meter.add(sent=len(piece), passed=len(piece))

    def forget(self) -> None:
        """They did not arrive: count them no more."""
        self._means.meter.add(passed=-self._counted)
        self._counted = 0

    def md5(self) -> str:
        """What they are now."""
        found = hashlib.md5(usedforsecurity=False)
        for piece in self._pieces():
            found.update(piece)
        return found.hexdigest()

    def _pieces(self) -> Iterator[memoryview]:
        view, at = memoryview(bytearray(min(PIECE, self._size))), 0
        while at < self._size:
            try:
                count = os.preadv(self._descriptor, [view[: self._size - at]], self._start + at)
            except OSError as error:
                # not one of the line
                raise PartError(f"it cannot be read any more ({error.strerror})") from None
            if not count:
                raise PartError("it became shorter while it was sent; run the command again")
            yield view[:count]
            at += count
