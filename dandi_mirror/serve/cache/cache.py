"""Content of the archive through the cache: one fetch however many readers ask, and whole files checked by digest."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

from dandi_mirror.archive.content.sources import ContentUrls, TransferStopped
from dandi_mirror.digests import hasher
from dandi_mirror.errors import IntegrityError, MirrorError, NotFoundError, TemporaryError
from dandi_mirror.serve.cache.blocks import BlockStore
from dandi_mirror.serve.cache.upstream import Blocks, Upstream

LOG = logging.getLogger("dandi_mirror")
BLOCK = 1 << 17
"""Bytes of a block (decision 0046)."""
WHOLE = 1 << 20
"""Bytes: a file up to this size is one block, and is checked before its first byte is sent."""
RUN = 1 << 23
"""Bytes that one request fetches at most."""
AT_ONCE = 16
"""Requests to the archive and its hosts at a time."""
RECENT = 1 << 25
"""Bytes of the blocks that were last used, which stay in memory: readers ask for the same block many times."""
_ENDS = "the server ends"
_LED = 256  # files whose redirects are remembered


@dataclass(frozen=True, slots=True)
class RemoteContent:
    """Content that is at the archive."""

    name: str
    """Its digest and size: content of the same name has the same bytes."""
    size: int
    """Bytes."""
    digest: str
    """Its SHA-256 or MD5; empty if neither is known."""
    urls: Callable[[], tuple[str, ...]]
    """Where it is; asked for only when something has to be fetched."""

    @property
    def block(self) -> int:
        """Bytes of its blocks; the last one may have fewer."""
        return max(1, self.size) if self.size <= WHOLE else BLOCK

    def length(self, number: int) -> int:
        """Bytes of a block."""
        return min(self.block, self.size - number * self.block)

    @property
    def count(self) -> int:
        """Blocks of the whole."""
        return -(-self.size // self.block)


class BlockCache:
    """Blocks from memory, disk or the archive; several threads may use it."""

    def __init__(self, store: BlockStore, upstream: Upstream | None) -> None:
        """``upstream``: None sends what is here, and asks nobody."""
        self._store = store
        self._upstream = upstream
        self._lock = threading.Lock()
        self._recent: OrderedDict[tuple[str, int], bytes] = OrderedDict()
        self._held = 0
        self._coming: dict[tuple[str, int], Future[bytes]] = {}
        self._led: OrderedDict[str, dict[str, str]] = OrderedDict()
        self._lacking: dict[str, int] = {}
        """A block that a file lacked when somebody looked."""
        self._wrong: dict[str, str] = {}
        """Files whose bytes are not those of their digests, and why."""
        self._fetchers = ThreadPoolExecutor(AT_ONCE, "fetch")
        self._checker = ThreadPoolExecutor(1, "check")

    def read(self, content: RemoteContent, start: int, stop: int) -> Generator[bytes]:
        """The bytes from ``start`` up to ``stop``, in pieces.

        Raises:
            MirrorError: they cannot be fetched, or are not those that the digest is of.
        """
        last = (stop - 1) // content.block
        while start < stop:
            number, skip = divmod(start, content.block)
            if why := self._wrong.get(content.name):
                raise IntegrityError(why)
            block = self._block(content, number, last)
            piece = block[skip : skip + stop - start]
            start += len(piece)
            yield piece

    def holds(self, content: RemoteContent, start: int, stop: int) -> bool:
        """Whether all blocks of a range are here."""
        return all(self._store.has(content.name, n) for n in range(start // content.block, -(-stop // content.block)))

    def close(self) -> None:
        """End all that is being fetched, and all waiting for it."""
        if self._upstream:
            self._upstream.stop()
        with self._lock:
            waited = list(self._coming)
        self._failed(waited, TemporaryError(_ENDS))
        for threads in (self._fetchers, self._checker):
            threads.shutdown(wait=False, cancel_futures=True)

    def _block(self, content: RemoteContent, number: int, last: int) -> bytes:
        """One block; if it has to be fetched, those up to ``last`` come with it that are not here either."""
        key = content.name, number
        with self._lock:
            if (found := self._recent.get(key)) is not None:
                self._recent.move_to_end(key)
                return found
            coming = self._coming.get(key)
            mine: Future[bytes] = Future()
            self._coming.setdefault(key, mine)
        if coming:
            return coming.result()
        try:
            found = self._store.read(*key, content.length(number))
            if found is None and self._upstream:
                self._fetch(content, number, last)
            elif found is None:
                raise NotFoundError("this part of the file is not in the cache")
            else:
                self._came(key, found)
        except BaseException as error:
            self._failed([key], error)
            raise
        return mine.result()

    def _fetch(self, content: RemoteContent, first: int, last: int) -> None:
        """Begin to fetch a block, and with it those after it that nobody fetches yet."""
        keys = [(content.name, first)]
        for number in range(first + 1, min(last, first + RUN // content.block - 1) + 1):
            key = content.name, number
            if self._store.has(*key):
                break
            with self._lock:
                if key in self._coming or key in self._recent:
                    break
                self._coming[key] = Future()
            keys.append(key)
        try:
            self._fetchers.submit(self._fetch_run, content, keys)
        except RuntimeError:  # the server ends
            self._failed(keys, TemporaryError(_ENDS))

    def _fetch_run(self, content: RemoteContent, keys: list[tuple[str, int]]) -> None:
        first, last = keys[0][1], keys[-1][1]

        def take(number: int, block: bytes) -> None:
            if content.count == 1:
                _check(content, block)
            self._store.write(content.name, number, block)
            self._came((content.name, number), block)

        try:
            stop = last * content.block + content.length(last)
            source = ContentUrls(list(content.urls()), content.size, self._redirects(content.name))
            assert self._upstream
            self._upstream.fetch(source, Blocks(first, content.block, stop, take, whole=content.count == 1))
            self._look_whether_whole(content)
        except TransferStopped:
            self._failed(keys, TemporaryError(_ENDS))
        except BaseException as error:
            self._failed(keys, error)
            if not isinstance(error, MirrorError):
                LOG.exception("unexpected, while content was fetched")

    def _redirects(self, name: str) -> dict[str, str]:
        """The targets of a file's redirects, which are signed for hours."""
        with self._lock:
            led = self._led.setdefault(name, {})
            self._led.move_to_end(name)
            while len(self._led) > _LED:
                self._led.popitem(last=False)
            return led

    def _came(self, key: tuple[str, int], block: bytes) -> None:
        """Hand a block to those who wait for it."""
        with self._lock:
            self._recent[key] = block
            self._held += len(block)
            while self._held > RECENT:
                self._held -= len(self._recent.popitem(last=False)[1])
            coming = self._coming.pop(key, None)
        if coming:
            coming.set_result(block)

    def _failed(self, keys: list[tuple[str, int]], error: BaseException) -> None:
        """Tell those who wait for blocks that did not come."""
        for key in keys:
            with self._lock:
                coming = self._coming.pop(key, None)
            if coming:
                coming.set_exception(error)

    # --- whole files ---------------------------------------------------------------------------------------------

    def _look_whether_whole(self, content: RemoteContent) -> None:
        """Have a file checked by its digest, if all its blocks are here now."""
        if content.count == 1 or not content.digest:
            return
        name, lacked = content.name, self._lacking.get(content.name)
        if lacked is not None and not self._store.has(name, lacked):
            return
        lacking = next((n for n in reversed(range(content.count)) if not self._store.has(name, n)), None)
        if lacking is not None:
            self._lacking[name] = lacking
            return
        self._lacking.pop(name, None)
        with suppress(RuntimeError):
            self._checker.submit(self._check_whole, content)

    def _check_whole(self, content: RemoteContent) -> None:
        digest = hasher(content.digest)
        for number in range(content.count):
            block = self._store.read(content.name, number, content.length(number))
            if block is None:
                return  # given up meanwhile
            digest.update(block)
        if digest.hexdigest() != content.digest:
            self._wrong[content.name] = _not_the(content)
            LOG.error("%s", _not_the(content))
            for number in range(content.count):
                self._store.drop(content.name, number)
            with self._lock:
                for key in [key for key in self._recent if key[0] == content.name]:
                    self._held -= len(self._recent.pop(key))
        else:
            LOG.info("all of %s is in the cache, as its digest says", content.name)


def _check(content: RemoteContent, block: bytes) -> None:
    """Refuse the bytes of a whole file that are not those of its digest."""
    digest = hasher(content.digest)
    digest.update(block)
    if content.digest and digest.hexdigest() != content.digest:
        raise IntegrityError(_not_the(content))


def _not_the(content: RemoteContent) -> str:
    return f"what the archive sends as {content.name} has another digest; nothing of it is kept"
