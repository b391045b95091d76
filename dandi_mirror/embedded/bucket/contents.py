"""Bytes in the bucket: in memory if a test gave them, in files if they came over HTTP, or computed from a seed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

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


@dataclass(frozen=True, slots=True)
class InParts:
    """Bytes in memory that a client has sent in parts: the ETag is no MD5 of them."""

    content: bytes
    etag: str

    @classmethod
    def of(cls, content: bytes, part_size: int) -> InParts:
        """Content that came in parts of ``part_size`` bytes."""
        parts = [content[start : start + part_size] for start in range(0, len(content), part_size)] or [b""]
        return cls(content, multipart_etag([etag_of(part) for part in parts]))

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self.content)


class Generated(NamedTuple):
    """Bytes that are computed from ``seed`` when somebody reads them; without a seed nobody can read them."""

    size: int
    etag: str
    seed: bytes = b""

    @classmethod
    def of(cls, seed: bytes, size: int) -> Generated:
        """Content of ``size`` bytes that can be read; its ETag is their MD5."""
        return cls(size, etag_of(hashlib.shake_128(seed).digest(size)), seed)

    def read(self) -> bytes:
        """All bytes."""
        return hashlib.shake_128(self.seed).digest(self.size)


Content = bytes | Stored | InParts | Generated


def size_of(content: Content) -> int:
    """Bytes."""
    return len(content) if isinstance(content, bytes) else content.size


def etag_of(content: Content) -> str:
    """The ETag of an object: its MD5, or the ETag that its upload in parts gave it."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest() if isinstance(content, bytes) else content.etag


def is_readable(content: Content) -> bool:
    """Whether the bytes exist: the archive knows some content only by its size and ETag."""
    return not isinstance(content, Generated) or bool(content.seed)


def multipart_etag(md5s: list[str]) -> str:
    """The ETag of an object in parts with these MD5s."""
    whole = hashlib.md5(b"".join(map(bytes.fromhex, md5s)), usedforsecurity=False)
    return f"{whole.hexdigest()}-{len(md5s)}"


def in_memory(content: bytes | InParts | Generated) -> bytes:
    """All bytes of content that lies in no file."""
    if isinstance(content, bytes):
        return content
    return content.content if isinstance(content, InParts) else content.read()


def pieces(content: Content, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
    """The bytes from ``start`` to ``stop``, a piece at a time; one file is open at a time."""
    stop = size_of(content) if stop is None else stop
    if not isinstance(content, Stored):
        yield in_memory(content)[start:stop]
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
