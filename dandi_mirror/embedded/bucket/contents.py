"""Bytes in the bucket: in memory if a test gave them, in files if they came over HTTP."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

PIECE = 1024 * 1024
"""Bytes that are read or written at a time."""


@dataclass(frozen=True, slots=True)
class StoredPart:
    """One file with a part of an object."""

    path: Path
    size: int
    md5: str


@dataclass(frozen=True, slots=True)
class Stored:
    """An object in files, in their order; completing an upload copies nothing."""

    parts: tuple[StoredPart, ...]
    etag: str
    kind: str = "application/octet-stream"
    """Its Content-Type."""

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(part.size for part in self.parts)


Content = bytes | Stored


def size_of(content: Content) -> int:
    """Bytes."""
    return len(content) if isinstance(content, bytes) else content.size


def etag_of(content: Content) -> str:
    """The ETag of an object: its MD5, or the ETag that its upload in parts gave it."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest() if isinstance(content, bytes) else content.etag


def multipart_etag(md5s: list[str]) -> str:
    """The ETag of an object in parts with these MD5s."""
    whole = hashlib.md5(b"".join(map(bytes.fromhex, md5s)), usedforsecurity=False)
    return f"{whole.hexdigest()}-{len(md5s)}"


def pieces(content: Content, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
    """The bytes from ``start`` to ``stop``, a piece at a time; one file is open at a time."""
    stop = size_of(content) if stop is None else stop
    if isinstance(content, bytes):
        yield content[start:stop]
        return
    for part in content.parts:
        if start < part.size and stop > 0:
            yield from _of_file(part.path, max(0, start), min(part.size, stop))
        start, stop = start - part.size, stop - part.size


def _of_file(path: Path, start: int, stop: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(start)
        while start < stop and (piece := file.read(min(PIECE, stop - start))):
            start += len(piece)
            yield piece


class IncomingFile:
    """A file that arrives; the end of the block deletes it unless ``keep`` was called."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("xb")
        self._md5 = hashlib.md5(usedforsecurity=False)
        self.size = 0

    def __enter__(self) -> IncomingFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        with suppress(FileNotFoundError):
            self._path.unlink()

    def write(self, piece: bytes) -> None:
        """Append bytes."""
        self._file.write(piece)
        self._md5.update(piece)
        self.size += len(piece)

    @property
    def md5(self) -> str:
        """MD5 of the bytes so far, in hexadecimal digits."""
        return self._md5.hexdigest()

    def keep(self, path: Path) -> StoredPart:
        """Move the file to ``path``, replacing any file there."""
        self._file.close()
        self._path.replace(path)
        return StoredPart(path, self.size, self.md5)
