"""The blocks on disk: each a file of its own, written whole or not at all, with a checksum behind its bytes.

Nothing is synced to disk: after a power cut a file may hold anything, and its checksum shows it.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from hashlib import blake2b

from dandi_mirror.files.not_ours import NotOurs
from dandi_mirror.files.own import OwnPath

LOG = logging.getLogger("dandi_mirror")
MARK = 16
"""Bytes of the checksum behind the bytes of a block."""
KEPT = 0.9
"""The share of the limit that is left when room is made, so that not every block has to make some."""
_CLUSTER = 4096  # bytes: what a file takes is a multiple of it on most disks
_LEFT_BEHIND = 3600.0  # seconds; a temporary file that is older belongs to a process that was killed


class BlockStore:
    """The blocks in a folder; several threads and processes may use it."""

    def __init__(self, folder: OwnPath, limit: int) -> None:
        """``limit``: bytes on disk at most.  With 0 nothing is kept."""
        self._folder = folder
        self._limit = limit
        self._used: int | None = None
        """Bytes on disk; None until they have been counted."""
        self._lock = threading.Lock()
        self._is_broken = False

    def read(self, name: str, number: int, length: int) -> bytes | None:
        """A block of ``length`` bytes; None if it is not here, or not as it was written."""
        path = self._path(name, number)
        try:
            with os.fdopen(path.open(os.O_RDONLY), "rb") as file:
                found = file.read(length + MARK + 1)
                os.utime(file.fileno())  # when it was last used
        except OSError:
            return None
        except NotOurs:
            self.drop(name, number)
            return None
        block = found[:length]
        if len(found) == length + MARK and found[length:] == _mark(block, path.name):
            return block
        LOG.warning("a block in %s was damaged; it is fetched again", self._folder)
        self.drop(name, number)
        return None

    def has(self, name: str, number: int) -> bool:
        """Whether a block is here, without looking into it."""
        return self._path(name, number).exists()

    def write(self, name: str, number: int, block: bytes) -> None:
        """Keep a block; the least recently used ones are given up for it.  A disk that is full keeps less."""
        taken = _on_disk(len(block) + MARK)
        if taken > self._limit * KEPT:
            return
        path = self._path(name, number)
        try:
            self._make_room(taken)
            path.replace(block + _mark(block, path.name), to_disk=False)
        except (OSError, NotOurs) as error:
            if not self._is_broken:
                LOG.warning("content is sent, but not kept in %s: %s", self._folder, error)
            self._is_broken = True

    def drop(self, name: str, number: int) -> None:
        """Give up a block."""
        with suppress(OSError, NotOurs):
            self._path(name, number).unlink()

    def _path(self, name: str, number: int) -> OwnPath:
        known = blake2b(f"{name}/{number}".encode(), digest_size=20).hexdigest()
        return self._folder / known[:2] / known

    def _make_room(self, taken: int) -> None:
        with self._lock:
            if self._used is None:
                self._used = sum(size for _, size, _ in self._files())
            if self._used + taken > self._limit:
                self._used = self._give_up(int(self._limit * KEPT) - taken)
            self._used += taken

    def _give_up(self, left: int) -> int:
        """Remove what was used longest ago, until at most ``left`` bytes are there; how many are."""
        files = sorted(self._files(), key=lambda file: file[0])
        used = sum(size for _, size, _ in files)
        for _, size, path in files:
            if used <= left:
                break
            with suppress(OSError):
                path.unlink()
            used -= size
        return used

    def _files(self) -> Iterator[tuple[float, int, OwnPath]]:
        """When each file was last used, and the bytes that it takes; what a killed process has left is removed."""
        old = time.time() - _LEFT_BEHIND
        for shard in self._folder.names():
            for name in (self._folder / shard).names():
                path = self._folder / shard / name
                with suppress(OSError):
                    facts = os.lstat(path)
                    if name.startswith(".") and facts.st_mtime < old:
                        path.unlink()
                    else:
                        yield facts.st_mtime, _on_disk(facts.st_size), path


def _mark(block: bytes, name: str) -> bytes:
    """The checksum of a block at its own place: one that was moved elsewhere is as wrong as one that was changed."""
    return blake2b(block, digest_size=MARK, key=name.encode()).digest()


def _on_disk(size: int) -> int:
    return -(-size // _CLUSTER) * _CLUSTER
