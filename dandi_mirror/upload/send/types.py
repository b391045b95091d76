"""The values that sending passes around: files, outcomes, progress, and what all files share."""

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
from dandi_mirror.repo.git.files import FileStamp

PIECE = 1 << 20
"""Bytes that are read before they are sent."""


class SendingStopped(Exception):
    """The run ends; the journals hold what has arrived."""


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file to send."""

    file: Path
    """Where its bytes are; links are followed."""
    path: str
    """The path of the asset, for messages and for the caller."""
    dandiset: str
    """Whose upload it is."""
    sha256: str = ""
    """If known, as from a git-annex key: we ask the archive before we read the file, and the bytes must match."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A file whose bytes the archive now has."""

    source: SourceFile
    blob: str
    """The blob's id."""
    size: int
    """Bytes."""
    sha256: str
    etag: str
    bytes_sent: int
    """By this run; 0 if the archive had it."""
    seen: FileStamp | None = None
    """How the file looked when it was read; None if it was not."""


@dataclass(frozen=True, slots=True)
class Unsent:
    """A file that could not be sent."""

    source: SourceFile
    error: MirrorError


class SendMeter:
    """The progress in bytes.  Thread-safe."""

    def __init__(self) -> None:
        self.sent = 0
        """Bytes that we sent, including those sent twice."""
        self.passed = 0
        """Bytes that are done: they have arrived or need not be sent."""
        self._lock = threading.Lock()

    def add(self, *, sent: int = 0, passed: int = 0) -> None:
        """Count."""
        with self._lock:
            self.sent += sent
            self.passed += passed


class SendContext:
    """What all files of a run share."""

    def __init__(self, session: Session, state: Path | OwnPath, meter: SendMeter) -> None:
        self.session = session
        self.state = state
        self.meter = meter
        self.stopped = threading.Event()
        self.digesting = threading.Lock()
        """Held while one large file is hashed: that uses all processors."""


class Bytes:
    """A range of bytes of a file as a request body; counts them while they are sent."""

    def __init__(self, descriptor: int, start: int, size: int, means: SendContext) -> None:
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
                raise SendingStopped
            yield piece
            self._counted += len(piece)
            self._means.meter.add(sent=len(piece), passed=len(piece))

    def forget(self) -> None:
        """Undo the count: the bytes did not arrive."""
        self._means.meter.add(passed=-self._counted)
        self._counted = 0

    def md5(self) -> str:
        """The MD5 of the bytes as they are now."""
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
                # an error of the file, not of the network
                raise PartError(f"it cannot be read any more ({error.strerror})") from None
            if not count:
                raise PartError("it became shorter while it was sent; run the command again")
            yield view[:count]
            at += count
