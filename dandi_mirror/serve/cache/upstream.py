"""Fetch ranges of content from the archive, block by block, over connections that stay open."""

from __future__ import annotations

import threading
from collections.abc import Callable

from dandi_mirror.archive.content.downloader import Downloader, RangeIgnored
from dandi_mirror.archive.content.sources import ContentUrls, TransferSettings, TransferState
from dandi_mirror.errors import MirrorError, PartError

Take = Callable[[int, bytes], None]
"""Takes the number and the bytes of a block."""


class Blocks:
    """What a download fills: blocks of ``length`` bytes from ``first`` on, up to ``stop``; or the ``whole`` file."""

    def __init__(self, first: int, length: int, stop: int, take: Take, *, whole: bool) -> None:
        self.position, self.stop = first * length, stop
        self.whole = whole
        self._length = length
        self._take = take
        self._begin()

    def _begin(self) -> None:
        self._number = self.position // self._length
        self._block = bytearray(min(self._length, self.stop - self.position))
        self._filled = 0

    def room(self) -> memoryview:
        """The memory for the next bytes."""
        return memoryview(self._block)[self._filled :]

    def put(self, count: int) -> None:
        """Take bytes from there."""
        self._filled += count
        self.position += count
        if self._filled == len(self._block):
            try:
                self._take(self._number, bytes(self._block))
            except BaseException:
                self.position = self._number * self._length  # another URL may send other bytes
                raise
            finally:
                self._begin()

    def begin_anew(self) -> None:
        """Discard the bytes so far."""
        self.position = 0
        self._begin()


class Upstream:
    """The archive and the hosts of its content; several threads may use it."""

    def __init__(self, access: TransferSettings) -> None:
        self._access = access
        self._lock = threading.Lock()
        self._state = TransferState(access)
        self._idle: list[Downloader] = []
        self._busy: set[Downloader] = set()

    def fetch(self, source: ContentUrls, blocks: Blocks) -> None:
        """Fetch blocks that follow each other; each is handed over as soon as it is complete.

        Raises:
            MirrorError: they did not all come.
            TransferStopped: the server ends.
        """
        with self._lock:
            state = self._state
            downloader = self._idle.pop() if self._idle else Downloader(state)
            self._busy.add(downloader)
        try:
            downloader.download(source, blocks)
        except RangeIgnored:
            downloader.close()
            raise PartError("the server gives no ranges of files") from None
        except BaseException as error:
            downloader.close()
            if isinstance(error, MirrorError):
                self._begin_anew(state)
            raise
        finally:
            with self._lock:
                self._busy.discard(downloader)
                if state is self._state:
                    self._idle.append(downloader)

    def stop(self) -> None:
        """End all that is being fetched."""
        with self._lock:
            self._state.stopped.set()
            for downloader in self._busy:
                downloader.end()

    def _begin_anew(self, state: TransferState) -> None:
        """Forget which hosts did not answer: they are given up for one run, and a server runs for months."""
        with self._lock:
            if state is self._state and not state.stopped.is_set():
                self._state, self._idle = TransferState(self._access), []
