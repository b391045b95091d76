"""Downloading a large file in parts, by several threads; hashed in order while the start becomes complete."""

from __future__ import annotations

import os
import threading
from collections import deque

from dandi_mirror.archive.content import partials
from dandi_mirror.archive.content.downloader import RangeIgnored
from dandi_mirror.archive.content.partials import Stretches
from dandi_mirror.archive.content.single import DownloadOutcome, FileDownloader, Item, write_at
from dandi_mirror.archive.content.sources import ContentUrls
from dandi_mirror.digests import hasher
from dandi_mirror.errors import DiskError, MirrorError

LARGE = 64 << 20
"""Bytes; files of this size and above are downloaded in parts."""
PART = 16 << 20
"""Bytes of a part: the most that each thread loses when the run is killed."""
PARTS_AT_ONCE = 8
"""Parts of one file at a time."""


class _Part:
    """The destination of one part, which is hashed later, in order."""

    whole = False

    def __init__(self, worker: FileDownloader, descriptor: int, start: int, stop: int) -> None:
        self._worker = worker
        self._descriptor = descriptor
        self.position, self.stop = start, stop

    def room(self) -> memoryview:
        return self._worker.view

    def put(self, count: int) -> None:
        write_at(self._descriptor, self._worker.view[:count], self.position)
        self.position += count
        self._worker.meter[0] += count

    def begin_anew(self) -> None:
        raise AssertionError("a part is never started again")


class MultipartFile:
    """A file that several threads download in parts."""

    def __init__(self, item: Item) -> None:
        self._item = item
        self._source = ContentUrls(list(item.urls), item.size)
        self._lock = threading.Lock()
        self._descriptor = -1
        self._there = Stretches([])
        self._open: deque[tuple[int, int]] = deque([(0, 0)])  # until the partial file has been read
        self._flying = 0
        self._digest = hasher(item.digest, item.size)
        self._hashed = 0
        self._hashing = False
        self._mixed = False
        self._at_once = 1
        self._error: BaseException | None = None

    def wants_help(self) -> bool:
        """Whether another thread can download a part."""
        return bool(self._open) and self._flying < self._at_once and self._error is None

    def help(self, worker: FileDownloader) -> DownloadOutcome | None:
        """Download a part, and hash what is complete; the outcome, for the last thread only."""
        with self._lock:
            if not self.wants_help():
                return None
            start, stop = self._open.popleft()
            self._flying += 1
        try:
            if self._descriptor < 0:
                self._begin(worker)
            else:
                self._download_part(worker, start, stop)
            self._hash(worker)
        except BaseException as error:
            self._error = self._error or error
        with self._lock:
            self._flying -= 1
            if self._flying or (self._open and self._error is None):
                return None
        return self._end(worker)

    def _begin(self, worker: FileDownloader) -> None:
        """Read what an earlier run has left, and write the list of stretches before any part."""
        self._descriptor = worker.folder.open_locked(self._item.partial)
        self._there = Stretches.read(self._item.partial, self._descriptor, self._item.size)
        self._mixed = self._there.first() > 0
        if not partials.parts_path(self._item.partial).exists():
            partials.note_parts(self._item.partial, f"0 {self._there.first()}\n" if self._mixed else "")
        self._open.extend(self._there.missing(self._item.size, PART))
        self._at_once = PARTS_AT_ONCE

    def _download_part(self, worker: FileDownloader, start: int, stop: int) -> None:
        part = _Part(worker, self._descriptor, start, stop)
        try:
            worker.downloader.download(self._source, part)
        finally:
            if part.position > start:
                with self._lock:
                    partials.note_parts(self._item.partial, f"{start} {part.position}\n")
                    self._there.add(start, part.position)

    def _hash(self, worker: FileDownloader) -> None:
        """Hash the complete bytes from the start on, unless another thread does."""
        with self._lock:
            if self._hashing:
                return
            self._hashing = True
        while True:
            with self._lock:
                stop = self._there.first()
                if stop <= self._hashed or self._error or worker.state.stopped.is_set():
                    self._hashing = False
                    return
            while self._hashed < stop:
                room = worker.view[: stop - self._hashed]
                count = os.preadv(self._descriptor, [room], self._hashed)
                self._digest.update(room[:count])
                self._hashed += count

    def _end(self, worker: FileDownloader) -> DownloadOutcome:
        """Close the file after the last part, and compare its digest."""
        error = self._error
        if self._descriptor >= 0:
            if error is None:
                partials.begin_to_disk(self._descriptor)
            os.close(self._descriptor)
        if isinstance(error, OSError):
            raise DiskError.of(self._item.partial, error) from error
        if isinstance(error, RangeIgnored):
            return worker.whole(self._item)
        if isinstance(error, MirrorError) and not isinstance(error, DiskError):
            return DownloadOutcome(self._item, error)
        if error is not None:
            raise error
        if self._digest.hexdigest() == self._item.digest:
            partials.forget_parts(self._item.partial)
            return DownloadOutcome(self._item)
        return self._wrong(worker)

    def _wrong(self, worker: FileDownloader) -> DownloadOutcome:
        """Download the whole file again in one piece, because it does not match its digest."""
        with worker.folder.opened(self._item.partial) as descriptor:
            partials.forget(self._item.partial, descriptor)
        return worker.whole(self._item)
