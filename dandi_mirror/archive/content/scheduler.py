"""Downloading many files at once: connections stay open, large files come in parts, and all bytes are verified.

:func:`fetch` takes items and yields an outcome for each, in the order in which they end.  The bytes of an item go to
its ``partial``.  After a good outcome, that file matches its digest; the caller waits until it is on disk, and moves
it to its place.  After any other end (an error, Ctrl-C, a kill) it holds the bytes that came, and the next fetch with
the same partial downloads only the rest.

The number of threads depends on how long they wait for responses: few are fastest on a fast line, and all that are
allowed on a line with latency.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import suppress
from queue import SimpleQueue

from dandi_mirror.archive.content import JOBS
from dandi_mirror.archive.content.multipart import LARGE, MultipartFile
from dandi_mirror.archive.content.single import ByteCounter, DownloadOutcome, FileDownloader, Item
from dandi_mirror.archive.content.sources import TransferSettings, TransferState, TransferStopped

FEW = 2
"""Threads at the start."""
SLOW = 0.008
"""Seconds until a response; if it takes longer, more threads help."""
LOOKS = 4
"""Responses, of which the fastest tells how far away a host is; others may only wait for a busy processor."""
END = 1.5
"""Seconds to wait for threads that were told to stop."""
_QUEUED = 1024
"""Outcomes that may wait until the caller takes them."""


def fetch(
    items: Iterable[Item], access: TransferSettings, *, jobs: int = JOBS, meter: ByteCounter | None = None
) -> Generator[DownloadOutcome, None, None]:
    """Download items; yields an outcome for each.

    Takes each item only when a thread is free.  When the generator is closed, or on Ctrl-C, all threads end within a
    second or two, and partial files are kept.

    Raises:
        DiskError: the disk is full or not writable; complete outcomes are yielded first, as on Ctrl-C.
    """
    transfer = _Transfer(items, access, jobs, meter or ByteCounter())
    try:
        transfer.grow()
        while transfer.going():
            outcome = transfer.outcomes.get()
            if isinstance(outcome, DownloadOutcome):
                transfer.told.release()
                yield outcome
            elif isinstance(outcome, BaseException):
                transfer.stop()
                yield from transfer.complete()
                raise outcome
    except KeyboardInterrupt:
        transfer.stop()
        yield from transfer.complete()
        raise
    finally:
        transfer.stop()


class _Transfer:
    """The threads of one call of :func:`fetch`."""

    def __init__(self, items: Iterable[Item], access: TransferSettings, jobs: int, meter: ByteCounter) -> None:
        self.state = TransferState(access)
        self.meter = meter
        self.outcomes: SimpleQueue[DownloadOutcome | BaseException | None] = SimpleQueue()
        self.told = threading.Semaphore(_QUEUED)
        self._items = iter(items)
        self._large: deque[MultipartFile] = deque()
        self._lock = threading.Lock()
        self._jobs = jobs
        self._workers: list[FileDownloader] = []
        self._threads: list[threading.Thread] = []
        self._ended = 0

    def grow(self, *, more: int = FEW) -> None:
        """Start up to ``more`` threads."""
        with self._lock:
            for _ in range(min(more, self._jobs - len(self._threads))):
                worker = FileDownloader(self.state, self.meter)
                thread = threading.Thread(target=self._work, args=[worker], name="fetch", daemon=True)
                self._workers.append(worker)
                self._threads.append(thread)
                thread.start()

    def going(self) -> bool:
        """Whether more outcomes may come."""
        return self._ended < len(self._threads) or not self.outcomes.empty()

    def stop(self) -> None:
        """Stop all threads."""
        self.state.stopped.set()
        with self._lock:
            workers, threads = list(self._workers), list(self._threads)
        for worker in workers:
            worker.downloader.end()
            self.told.release()
        deadline = time.monotonic() + END
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def complete(self) -> Iterator[DownloadOutcome]:
        """The outcomes that the caller has not taken yet."""
        while not self.outcomes.empty():
            if isinstance(outcome := self.outcomes.get(), DownloadOutcome):
                yield outcome

    def tell(self, outcome: DownloadOutcome) -> None:
        """Pass an outcome to the caller; waits while many are queued."""
        self.told.acquire()
        self.outcomes.put(outcome)

    def next(self) -> MultipartFile | Item | None:
        """The next item; a large file that has parts left comes first."""
        with self._lock:
            for large in self._large:
                if large.wants_help():
                    return large
            item = next(self._items, None)
            if item is None or item.size < LARGE or item.copies:
                return item
            large = MultipartFile(item)
            self._large.append(large)
            return large

    def over(self, large: MultipartFile) -> None:
        """Forget a large file that has had its outcome."""
        with self._lock, suppress(ValueError):
            self._large.remove(large)

    def _work(self, worker: FileDownloader) -> None:
        waits: deque[float] = deque(maxlen=LOOKS)
        try:
            while not self.state.stopped.is_set() and (job := self.next()) is not None:
                if isinstance(job, Item):
                    self.tell(worker.whole(job))
                elif outcome := job.help(worker):
                    self.over(job)
                    self.tell(outcome)
                waits.append(worker.downloader.waited)
                if isinstance(job, MultipartFile) or (min(waits) > SLOW and len(self._threads) < self._jobs):
                    self.grow(more=1)
        except TransferStopped:
            pass
        except BaseException as error:
            self.outcomes.put(error)
        finally:
            worker.close()
            with self._lock:
                self._ended += 1
            self.outcomes.put(None)


__all__ = ["ByteCounter", "DownloadOutcome", "Item", "TransferSettings", "fetch"]
