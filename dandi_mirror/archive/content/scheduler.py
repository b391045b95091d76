"""Many files at once: kept-alive connections, ranged parts of large files, resumed, verified while they come.

:func:`fetch` takes items and gives an outcome for each, in the order in which they end.  The bytes of an item gather in
its ``partial``; after a good outcome that file holds exactly the bytes of the SHA-256, which are on their way to the
disk, and it is the caller's to wait until they are there and to put it in its place.  After any other end (an error,
Ctrl-C, a kill) it holds what has come, and the next fetch with the same partial asks for the rest only.

How many threads ask at once follows from how long they wait for answers: on a fast line a few are fastest, on one with
latency all that are allowed.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import suppress
from queue import SimpleQueue

from dandi_mirror.archive.content.multipart import LARGE, Large
from dandi_mirror.archive.content.single import Hand, Item, Meter, Outcome
from dandi_mirror.archive.content.sources import Access, Hosts, Stopped

JOBS = 48
"""Connections at most."""
FEW = 2
"""Threads to begin with."""
SLOW = 0.008
"""Seconds of waiting for an answer from which on more threads help."""
LOOKS = 4
"""Answers of which the quickest says how far away a host is; on a busy machine, others wait for the processor."""
END = 1.5
"""Seconds until threads that were told to end are left to themselves."""
_QUEUED = 1024
"""Outcomes that may wait for the caller."""


def fetch(
    items: Iterable[Item], access: Access, *, jobs: int = JOBS, meter: Meter | None = None
) -> Generator[Outcome, None, None]:
    """Fetch items, and tell of each what became of it.

    Items are taken as there is time for them.  When the generator is closed, or Ctrl-C comes, all threads end within
    a second or two, and what has come is kept.

    Raises:
        DiskError: the disk is full, or not ours to write; outcomes that were complete come before, as before Ctrl-C.
    """
    run = _Run(items, access, jobs, meter or Meter())
    try:
        run.grow()
        while run.going():
            outcome = run.outcomes.get()
            if isinstance(outcome, Outcome):
                run.told.release()
                yield outcome
            elif isinstance(outcome, BaseException):
                run.stop()
                yield from run.complete()
                raise outcome
    except KeyboardInterrupt:
        run.stop()
        yield from run.complete()
        raise
    finally:
        run.stop()


class _Run:
    """What the threads of one fetch share."""

    def __init__(self, items: Iterable[Item], access: Access, jobs: int, meter: Meter) -> None:
        self.hosts = Hosts(access)
        self.meter = meter
        self.outcomes: SimpleQueue[Outcome | BaseException | None] = SimpleQueue()
        self.told = threading.Semaphore(_QUEUED)
        self._items = iter(items)
        self._large: deque[Large] = deque()
        self._lock = threading.Lock()
        self._jobs = jobs
        self._hands: list[Hand] = []
        self._threads: list[threading.Thread] = []
        self._ended = 0

    def grow(self, *, more: int = FEW) -> None:
        """Start up to so many more threads."""
        with self._lock:
            for _ in range(min(more, self._jobs - len(self._threads))):
                hand = Hand(self.hosts, self.meter)
                thread = threading.Thread(target=self._work, args=[hand], name="fetch", daemon=True)
                self._hands.append(hand)
                self._threads.append(thread)
                thread.start()

    def going(self) -> bool:
        """Whether outcomes may come."""
        return self._ended < len(self._threads) or not self.outcomes.empty()

    def stop(self) -> None:
        """End all threads."""
        self.hosts.stopped.set()
        with self._lock:
            hands, threads = list(self._hands), list(self._threads)
        for hand in hands:
            hand.asker.end()
            self.told.release()
        deadline = time.monotonic() + END
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def complete(self) -> Iterator[Outcome]:
        """Outcomes that nobody has taken yet."""
        while not self.outcomes.empty():
            if isinstance(outcome := self.outcomes.get(), Outcome):
                yield outcome

    def tell(self, outcome: Outcome) -> None:
        """Hand an outcome to the caller, waiting when many wait there."""
        self.told.acquire()
        self.outcomes.put(outcome)

    def next(self) -> Large | Item | None:
        """What to do next: a part of a large file before anything else."""
        with self._lock:
            for large in self._large:
                if large.wants_help():
                    return large
            item = next(self._items, None)
            if item is None or item.size < LARGE or item.copies:
                return item
            large = Large(item)
            self._large.append(large)
            return large

    def over(self, large: Large) -> None:
        """A large file has had its outcome."""
        with self._lock, suppress(ValueError):
            self._large.remove(large)

    def _work(self, hand: Hand) -> None:
        waits: deque[float] = deque(maxlen=LOOKS)
        try:
            while not self.hosts.stopped.is_set() and (job := self.next()) is not None:
                if isinstance(job, Item):
                    self.tell(hand.one(job))
                elif outcome := job.help(hand):
                    self.over(job)
                    self.tell(outcome)
                waits.append(hand.asker.waited)
                if isinstance(job, Large) or (min(waits) > SLOW and len(self._threads) < self._jobs):
                    self.grow(more=1)
        except Stopped:
            pass
        except BaseException as error:
            self.outcomes.put(error)
        finally:
            hand.asker.close()
            with self._lock:
                self._ended += 1
            self.outcomes.put(None)


__all__ = ["JOBS", "Access", "Item", "Meter", "Outcome", "fetch"]
