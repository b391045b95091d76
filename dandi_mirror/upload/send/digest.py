"""Compute the archive's ETag and the SHA-256 of a file in one pass."""

from __future__ import annotations

import hashlib
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from dandi_mirror.digests import etag_of_parts, etag_part_size

SMALL = 4 << 20
"""Bytes; for smaller files, threads do not help."""
PIECE = 1 << 18
"""Bytes that are read before they are hashed: they stay in a processor's cache."""
THREADS = 4


@dataclass(frozen=True, slots=True)
class Digests:
    """The digests of a file."""

    size: int
    """Bytes."""
    sha256: str
    etag: str
    parts: tuple[str, ...]
    """The MD5 of each part of an upload, in hexadecimal digits."""


def digest(file: Path) -> Digests:
    """Read a file once, by a few threads; memory does not depend on its size.

    Raises:
        OSError: it cannot be read, or becomes shorter while it is read.
    """
    descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return digest_of(descriptor)
    finally:
        os.close(descriptor)


def digest_of(descriptor: int) -> Digests:
    """As :func:`digest`, for an open file."""
    work = _DigestJob(descriptor, os.fstat(descriptor).st_size)
    count = 1 if work.size <= SMALL else min(THREADS, os.cpu_count() or 1)
    threads = [threading.Thread(target=work.run, name="digest", daemon=True) for _ in range(count - 1)]
    for thread in threads:
        thread.start()
    try:
        work.run()
    except BaseException as error:
        work.failure = error
    for thread in threads:
        thread.join()
    if work.failure is not None:
        raise work.failure
    parts = [work.parts[number] for number in range(len(work.parts))]
    return Digests(work.size, work.sha256.hexdigest(), etag_of_parts(parts), tuple(part.hex() for part in parts))


class _Hash(Protocol):
    def update(self, data: memoryview, /) -> None: ...


class _DigestJob:
    """The SHA-256, which is taken part after part, and the MD5 of each part, which are taken in any order.

    Both stay within a few parts of each other, so that the disk is read once.
    """

    def __init__(self, descriptor: int, size: int) -> None:
        self.size = size
        self.sha256 = hashlib.sha256()
        self.parts: dict[int, bytes] = {}
        """The MD5 of each part by its number, from 0."""
        self.failure: BaseException | None = None
        self._descriptor = descriptor
        self._step = etag_part_size(size)
        self._count = -(-size // self._step)
        self._lock = threading.Lock()
        self._hashed = 0  # parts that the SHA-256 has
        self._hashing = False
        self._next = 0  # the part that is next for its MD5

    def run(self) -> None:
        """Do what there is to do until nothing is left."""
        view = memoryview(bytearray(min(PIECE, self.size) or 1))
        try:
            while (job := self._take()) is not None:
                number, whole = job
                if whole:
                    self._read(view, number, self.sha256)
                    self._hashed, self._hashing = number + 1, False
                else:
                    md5 = hashlib.md5(usedforsecurity=False)
                    self._read(view, number, md5)
                    self.parts[number] = md5.digest()
        except BaseException as error:
            self.failure = self.failure or error

    def _take(self) -> tuple[int, bool] | None:
        """A part, and whether the SHA-256 is to have it or its MD5 is to be taken; None when nothing is left."""
        with self._lock:
            if self.failure is not None:
                return None
            if not self._hashing and self._hashed < self._count and self._hashed <= self._next:
                self._hashing = True
                return self._hashed, True
            if self._next < self._count:
                self._next += 1
                return self._next - 1, False
            if not self._hashing and self._hashed < self._count:
                self._hashing = True
                return self._hashed, True
            return None

    def _read(self, view: memoryview, number: int, hash_: _Hash) -> None:
        at = number * self._step
        stop = min(at + self._step, self.size)
        while at < stop and self.failure is None:
            count = os.preadv(self._descriptor, [view[: stop - at]], at)
            if not count:
                raise OSError(f"it ended {self.size - at} bytes early while it was read")
            hash_.update(view[:count])
            at += count
