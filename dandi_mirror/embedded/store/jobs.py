"""Jobs that the archive does after its answer: digests, validation, publishing, the end of an embargo."""

from __future__ import annotations

import heapq
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count

Job = Callable[[], None]


class Jobs:
    """Jobs, one at a time, in the order of their due times.

    Each waits at least ``delay`` seconds; if that is None, until :meth:`settle`.
    """

    def __init__(self, delay: float | None = 0.0) -> None:
        self.delay = delay
        self._waiting: list[tuple[float, int, Job]] = []
        self._given = count()
        self._changed = threading.Condition()
        self._at_work = threading.Lock()
        self._serving = 0
        self._failures: list[Exception] = []

    def later(self, job: Job, after: float = 0.0) -> None:
        """Do ``job`` in another thread, ``after`` so many further seconds."""
        with self._changed:
            due = time.monotonic() + (self.delay or 0.0) + after
            heapq.heappush(self._waiting, (due, next(self._given), job))
            self._changed.notify_all()

    def settle(self) -> None:
        """Do all waiting jobs now, in this thread, and those that they add."""
        while True:
            with self._at_work:
                with self._changed:
                    if not self._waiting:
                        return
                    job = heapq.heappop(self._waiting)[2]
                job()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Do jobs until the block ends; those that wait then are not done.

        Raises:
            Exception: what the first job raised that failed.
        """
        with self._changed:
            self._serving += 1
        thread = threading.Thread(target=self._work, name="archive-jobs", daemon=True)
        thread.start()
        try:
            yield
        finally:
            with self._changed:
                self._serving -= 1
                self._changed.notify_all()
            thread.join(30)
        if self._failures:
            raise self._failures.pop(0)

    def _work(self) -> None:
        while self._wait():
            with self._at_work:
                with self._changed:
                    job = heapq.heappop(self._waiting)[2] if self._waiting else None
                if job is not None:
                    self._do(job)

    def _do(self, job: Job) -> None:
        """Do a job; keep its failure for the end, so that the next jobs are done."""
        try:
            job()
        except Exception as error:
            self._failures.append(error)

    def _wait(self) -> bool:
        """Wait until the next job is due; false once no ``running`` block is left."""
        with self._changed:
            while self._serving:
                if self.delay is None or not self._waiting:
                    self._changed.wait()
                    continue
                left = self._waiting[0][0] - time.monotonic()
                if left <= 0:
                    return True
                self._changed.wait(left)
        return False
