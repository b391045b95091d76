"""Sending the bytes of many files: what the archive has is not sent, what an earlier run sent is not sent again.

Parts of several files are sent at a time, over kept-alive connections that all threads share.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue

from dandi_mirror.archive.http.pool import AT_ONCE
from dandi_mirror.archive.http.session import Session
from dandi_mirror.errors import CredentialsError, DiskError, MirrorError, TemporaryError
from dandi_mirror.files.own import OwnPath
from dandi_mirror.upload.send.journal import sweep
from dandi_mirror.upload.send.sending import Sending
from dandi_mirror.upload.send.types import Means, Meter, Sent, Source, Stopped, Unsent

JOBS = AT_ONCE
"""Threads, each of which sends a part; the session's ``at_once`` bounds its connections."""
END = 1.5
"""Seconds until threads that were told to end are left to themselves."""


def send_blobs(
    session: Session, sources: Iterable[Source], state: Path | OwnPath, *, jobs: int = JOBS, meter: Meter | None = None
) -> Iterator[Sent | Unsent]:
    """Send files, and tell of each what became of it, in the order in which they end.

    ``state`` is a folder (made if need be) for what has arrived of each file, over the end of any run.  When the
    generator is closed, or Ctrl-C comes, all ends within a second or two, and what has arrived is noted.  ``sources``
    are taken as there is time for them, and should come without delay.

    Raises:
        CredentialsError: the archive does not take the token (any more); nothing else is asked.
        DiskError: the state cannot be written.
    """
    sweep(state)
    run = _Run(sources, Means(session, state, meter or Meter()))
    threads = [threading.Thread(target=run.work, name="send", daemon=True) for _ in range(jobs)]
    for thread in threads:
        thread.start()
    working = len(threads)
    try:
        while working:
            outcome = run.outcomes.get()
            if outcome is None:
                working -= 1
            elif isinstance(outcome, BaseException):
                raise outcome
            else:
                yield outcome
    finally:
        run.stop()
        deadline = time.monotonic() + END
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        if not any(thread.is_alive() for thread in threads):
            run.close()


class _Run:
    """What the threads share: the files that are under way, and those that have the same bytes."""

    def __init__(self, sources: Iterable[Source], means: Means) -> None:
        self.outcomes: SimpleQueue[Sent | Unsent | BaseException | None] = SimpleQueue()
        self._means = means
        self._sources = iter(sources)
        self._exhausted = False
        self._changed = threading.Condition()
        self._under_way: list[Sending] = []
        self._alike: dict[str, list[Source]] = {}
        """By the etag of a file that is under way: others with the same bytes, which wait for it."""
        self._again: list[Source] = []
        """Those that waited in vain."""

    def stop(self) -> None:
        """Let all threads end."""
        self._means.stopped.set()
        with self._changed:
            self._changed.notify_all()

    def close(self) -> None:
        """Let go of the files that are under way; no thread is at work any more."""
        for sending in self._under_way:
            sending.close(over=False)

    def work(self) -> None:
        """Do what there is to do, until nothing is left."""
        try:
            while (sending := self._next()) is not None:
                self._help(sending)
        except Stopped:
            pass
        except BaseException as error:
            self.outcomes.put(error)
            self.stop()
        finally:
            self.outcomes.put(None)

    def _next(self) -> Sending | None:
        """A file to send parts of, before a new one; None when there is nothing left and nothing under way."""
        with self._changed:
            while not self._means.stopped.is_set():
                for sending in self._under_way:
                    if sending.wants_help():
                        return sending
                if (source := self._again.pop() if self._again else self._new()) is not None:
                    sending = Sending(source, self._means)
                    self._under_way.append(sending)
                    return sending
                if not self._under_way:
                    return None
                self._changed.wait()
        return None

    def _new(self) -> Source | None:
        source = None if self._exhausted else next(self._sources, None)
        self._exhausted = source is None
        return source

    def _help(self, sending: Sending) -> None:
        """Take a file as far as this thread can; tell its outcome, for the thread that comes last."""
        try:
            if not sending.etag and not self._begin(sending):
                return
            while True:
                sending.send()
                if self._means.stopped.is_set():
                    raise Stopped
                if not sending.is_last():
                    return
                if done := sending.end():
                    self._over(sending, done)
                    return
                self._tell_all()
        except MirrorError as error:
            self._failed(sending, error)

    def _begin(self, sending: Sending) -> bool:
        """Look at a new file; whether parts of it are to be sent."""
        if done := sending.look():
            self._over(sending, done)
        elif self._is_first(sending):
            if not (done := sending.begin()):
                self._tell_all()
                return True
            self._over(sending, done)
        return False

    def _is_first(self, sending: Sending) -> bool:
        """Whether no other file with the same bytes is under way; else this one waits for that."""
        with self._changed:
            if sending.etag not in self._alike:
                self._alike[sending.etag] = []
                return True
            self._alike[sending.etag].append(sending.source)
            self._under_way.remove(sending)
        sending.close(over=False)
        return False

    def _tell_all(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _failed(self, sending: Sending, error: MirrorError) -> None:
        # no other file would fare better
        if isinstance(error, CredentialsError) or (isinstance(error, DiskError) and sending.etag):
            raise error
        self._over(sending, Unsent(sending.source, error))

    def _over(self, sending: Sending, outcome: Sent | Unsent) -> None:
        """Tell what became of a file, and of those with the same bytes."""
        with self._changed:
            self._under_way.remove(sending)
            alike = self._alike.pop(sending.etag, [])
            if isinstance(outcome, Unsent):
                self._again += alike  # its file may have been to blame
            self._changed.notify_all()
        kept = isinstance(outcome, Unsent) and isinstance(outcome.error, TemporaryError)
        sending.close(over=not kept)
        self.outcomes.put(outcome)
        if isinstance(outcome, Sent):
            for source in alike:
                self._means.meter.add(passed=outcome.size)
                self.outcomes.put(replace(outcome, source=source, bytes_sent=0, seen=None))


__all__ = ["JOBS", "Meter", "Sent", "Source", "Unsent", "send_blobs"]
