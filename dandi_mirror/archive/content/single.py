"""A file to fetch, and fetching it in one piece: hashed while it comes, resumed where an earlier run stopped."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dandi_mirror.archive.content import partials
from dandi_mirror.archive.content.downloader import Asker, RangeIgnored
from dandi_mirror.archive.content.partials import Stretches
from dandi_mirror.archive.content.sources import Access, Hosts, Source
from dandi_mirror.digests import hasher, is_sha256
from dandi_mirror.errors import DiskError, MirrorError, NotFoundError, PartError

PIECE = 1 << 18
"""Bytes that are read before they are written."""


@dataclass(frozen=True, slots=True)
class Item:
    """A file to fetch."""

    urls: tuple[str, ...]
    """Asked in this order, each until it fails for good."""
    size: int
    """Bytes."""
    digest: str
    """Hexadecimal digits: of the SHA-256, or of the MD5 if there are 32."""
    partial: Path
    """Where the bytes gather; its folder is there."""
    copies: tuple[Path, ...] = ()
    """Files on this machine that may hold it; read before any URL is asked."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an item."""

    item: Item
    error: MirrorError | None = None
    """None: the partial holds the bytes of the digest; they are on their way to the disk, not waited for."""


class Meter:
    """How many bytes have come over the network; read it from any thread."""

    def __init__(self) -> None:
        self._cells: list[list[int]] = []

    def cell(self) -> list[int]:
        """A number of one's own that counts."""
        self._cells.append([0])
        return self._cells[-1]

    @property
    def received(self) -> int:
        """Bytes."""
        return sum(cell[0] for cell in self._cells)


class Hand:
    """One thread's connections and memory."""

    def __init__(self, hosts: Hosts, meter: Meter) -> None:
        self.hosts = hosts
        self.asker = Asker(hosts)
        self.view = memoryview(bytearray(PIECE))
        self.meter = meter.cell()

    def one(self, item: Item) -> Outcome:
        """A file in one piece."""
        try:
            with partials.opened(item.partial) as descriptor:
                return Outcome(item, self._one(item, descriptor))
        except OSError as error:
            raise DiskError.of(item.partial, error) from error
        except DiskError:
            raise
        except MirrorError as error:
            return Outcome(item, error)

    def _one(self, item: Item, descriptor: int) -> MirrorError | None:
        source = Source(list(item.urls), item.size)
        cursor = _Whole(self, descriptor, item)
        mixed = cursor.resume()
        for copy in item.copies:
            cursor.copy(copy)
            mixed = True
        while True:
            url = ""
            if cursor.position < item.size:
                url = self.asker.bring(source, cursor)
            if cursor.digest.hexdigest() == item.digest:
                if mixed:
                    partials.forget_parts(item.partial)
                partials.begin_to_disk(descriptor)
                return None
            # bytes of an earlier run may be to blame, and are asked for again once
            if not mixed and url:
                source.drop(url, wrong_bytes(item))
            mixed = False
            cursor.begin_anew()
            if not source.urls:
                return source.failure()


class _Whole:
    """All of a file, hashed as it comes."""

    whole = True

    def __init__(self, hand: Hand, descriptor: int, item: Item) -> None:
        self._hand = hand
        self._descriptor = descriptor
        self._item = item
        self.position, self.stop = 0, item.size
        self.digest = hasher(item.digest)

    def resume(self) -> bool:
        """Take what an earlier run has left; whether there was anything."""
        if not (held := os.fstat(self._descriptor).st_size):
            return False
        there = Stretches.read(self._item.partial, self._descriptor, self.stop).first()
        if held > there:
            os.ftruncate(self._descriptor, there)
        while self.position < there:
            room = self._hand.view[: there - self.position]
            count = os.preadv(self._descriptor, [room], self.position)
            self.digest.update(room[:count])
            self.position += count
        return there > 0

    def copy(self, file: Path) -> None:
        """Take the rest from a file of the right size; from one that cannot be read, nothing."""
        try:
            descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return
        try:
            found = os.fstat(descriptor)
            right = stat.S_ISREG(found.st_mode) and found.st_size == self.stop
            while right and self.position < self.stop and not self._hand.hosts.stopped.is_set():
                if not (count := os.preadv(descriptor, [self._hand.view], self.position)):
                    return
                self.put(count)
        finally:
            os.close(descriptor)

    def room(self) -> memoryview:
        return self._hand.view

    def put(self, count: int) -> None:
        piece = self._hand.view[:count]
        write(self._descriptor, piece, self.position)
        self.digest.update(piece)
        self.position += count
        self._hand.meter[0] += count

    def begin_anew(self) -> None:
        partials.forget(self._item.partial, self._descriptor)
        self.position, self.digest = 0, hasher(self._item.digest)


class _First:
    """The first byte, which nobody keeps."""

    def __init__(self, size: int) -> None:
        self.position, self.stop = 0, min(size, 1)
        self.whole = not size
        self._byte = memoryview(bytearray(1))

    def room(self) -> memoryview:
        return self._byte

    def put(self, count: int) -> None:
        self.position += count

    def begin_anew(self) -> None:
        self.position = 0


TWICE = 2
"""Requests for whether something is there."""


def is_there(urls: Sequence[str], size: int, access: Access) -> bool:
    """Whether content of ``size`` bytes can be had: one byte is asked for.

    Raises:
        CredentialsError: the API has it not for this token.
        TemporaryError, PartError: it cannot be told.
    """
    # who asks has a person waiting, and may ask again
    asker = Asker(Hosts(replace(access, policy=replace(access.policy, attempts=TWICE))))
    try:
        if urls:
            asker.bring(Source(list(urls), size), _First(size))
    except RangeIgnored:
        return True
    except NotFoundError:
        return False
    finally:
        asker.close()
    return bool(urls)


def wrong_bytes(item: Item) -> PartError:
    """What is said of bytes that are not those of the digest."""
    return PartError(f"its bytes are not those of its {'SHA-256' if is_sha256(item.digest) else 'MD5'}")


def write(descriptor: int, piece: memoryview, position: int) -> None:
    """All of a piece, at a place in a file."""
    while piece:
        count = os.pwrite(descriptor, piece, position)
        piece, position = piece[count:], position + count
