"""Downloading one file in one piece: hashed on the way, and resumed where an earlier run stopped."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dandi_mirror.archive.content import partials
from dandi_mirror.archive.content.downloader import Downloader, RangeIgnored
from dandi_mirror.archive.content.partials import PartialFolder, Stretches
from dandi_mirror.archive.content.sources import ContentUrls, TransferSettings, TransferState
from dandi_mirror.digests import hasher, is_sha256
from dandi_mirror.errors import DiskError, MirrorError, NotFoundError, PartError

PIECE = 1 << 18
"""Bytes read before each write."""


@dataclass(frozen=True, slots=True)
class Item:
    """A file to download."""

    urls: tuple[str, ...]
    """Tried in this order, each until it fails for good."""
    size: int
    """Bytes."""
    digest: str
    """Hexadecimal digits: of the SHA-256, or of the MD5 if there are 32; or an ETag ``<md5>-<parts>``."""
    partial: Path
    """The partial file; its folder exists."""
    copies: tuple[Path, ...] = ()
    """Files on this machine that may have the same content; read before any URL is tried."""


@dataclass(frozen=True, slots=True)
class DownloadOutcome:
    """The result of one download."""

    item: Item
    error: MirrorError | None = None
    """None if the partial file matches the digest; the system may not have written all of it to disk yet."""


class ByteCounter:
    """Counts the bytes received from the network; any thread may read it."""

    def __init__(self, waiting: Callable[[int], None] = lambda count: None) -> None:
        """``waiting`` is told, now and then, how many files another process is downloading, which are waited for."""
        self._cells: list[list[int]] = []
        self.waiting = waiting

    def cell(self) -> list[int]:
        """A counter for one thread."""
        self._cells.append([0])
        return self._cells[-1]

    @property
    def received(self) -> int:
        """Bytes."""
        return sum(cell[0] for cell in self._cells)


class FileDownloader:
    """The connections and memory of one thread."""

    def __init__(self, state: TransferState, meter: ByteCounter) -> None:
        self.state = state
        self.downloader = Downloader(state)
        self.view = memoryview(bytearray(PIECE))
        self.meter = meter.cell()
        self.folder = PartialFolder()

    def close(self) -> None:
        """Close all connections, and the folder of partial files."""
        self.downloader.close()
        self.folder.close()

    def whole(self, item: Item) -> DownloadOutcome:
        """Download a file in one piece."""
        try:
            with self.folder.opened(item.partial) as descriptor:
                return DownloadOutcome(item, self._whole(item, descriptor))
        except OSError as error:
            raise DiskError.of(item.partial, error) from error
        except DiskError:
            raise
        except MirrorError as error:
            return DownloadOutcome(item, error)

    def _whole(self, item: Item, descriptor: int) -> MirrorError | None:
        source = ContentUrls(list(item.urls), item.size)
        cursor = _Whole(self, descriptor, item)
        mixed = cursor.resume()
        for copy in item.copies:
            cursor.copy(copy)
            mixed = True
        while True:
            url = ""
            if cursor.position < item.size:
                url = self.downloader.download(source, cursor)
            if cursor.digest.hexdigest() == item.digest:
                if mixed:
                    partials.forget_parts(item.partial)
                partials.begin_to_disk(descriptor)
                return None
            # the bytes of an earlier run may be wrong, so all bytes are downloaded again, once
            if not mixed and url:
                source.drop(url, wrong_bytes(item))
            mixed = False
            cursor.begin_anew()
            if not source.urls:
                return source.failure()


class _Whole:
    """The destination of a whole file, hashed on the way."""

    whole = True

    def __init__(self, worker: FileDownloader, descriptor: int, item: Item) -> None:
        self._worker = worker
        self._descriptor = descriptor
        self._item = item
        self.position, self.stop = 0, item.size
        self.digest = hasher(item.digest, item.size)

    def resume(self) -> bool:
        """Hash the bytes that an earlier run has left; whether there were any."""
        if not (held := os.fstat(self._descriptor).st_size):
            return False
        there = Stretches.read(self._item.partial, self._descriptor, self.stop).first()
        if held > there:
            os.ftruncate(self._descriptor, there)
        while self.position < there:
            room = self._worker.view[: there - self.position]
            count = os.preadv(self._descriptor, [room], self.position)
            self.digest.update(room[:count])
            self.position += count
        return there > 0

    def copy(self, file: Path) -> None:
        """Copy the rest from a file of the right size; nothing if the file cannot be read."""
        try:
            descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return
        try:
            found = os.fstat(descriptor)
            right = stat.S_ISREG(found.st_mode) and found.st_size == self.stop
            while right and self.position < self.stop and not self._worker.state.stopped.is_set():
                if not (count := os.preadv(descriptor, [self._worker.view], self.position)):
                    return
                self.put(count)
        finally:
            os.close(descriptor)

    def room(self) -> memoryview:
        return self._worker.view

    def put(self, count: int) -> None:
        piece = self._worker.view[:count]
        write_at(self._descriptor, piece, self.position)
        self.digest.update(piece)
        self.position += count
        self._worker.meter[0] += count

    def begin_anew(self) -> None:
        partials.forget(self._item.partial, self._descriptor)
        self.position, self.digest = 0, hasher(self._item.digest, self._item.size)


class _First:
    """The destination of the first byte, which is discarded."""

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
"""Attempts at finding out whether a file exists."""


def is_there(urls: Sequence[str], size: int, access: TransferSettings) -> bool:
    """Whether a file of ``size`` bytes can be downloaded; requests one byte.

    Raises:
        CredentialsError: the API refuses it to this token.
        TemporaryError, PartError: the hosts do not say.
    """
    # a person is waiting for the result, and can run the command again
    downloader = Downloader(TransferState(replace(access, policy=replace(access.policy, attempts=TWICE))))
    try:
        if urls:
            downloader.download(ContentUrls(list(urls), size), _First(size))
    except RangeIgnored:
        return True
    except NotFoundError:
        return False
    finally:
        downloader.close()
    return bool(urls)


def wrong_bytes(item: Item) -> PartError:
    """The error for bytes that do not match the digest."""
    what = "SHA-256" if is_sha256(item.digest) else "ETag" if "-" in item.digest else "MD5"
    return PartError(f"the downloaded bytes do not match its {what}")


def write_at(descriptor: int, piece: memoryview, position: int) -> None:
    """Write all of a piece at a position of a file."""
    while piece:
        count = os.pwrite(descriptor, piece, position)
        piece, position = piece[count:], position + count
