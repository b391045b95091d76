"""Send the bytes of many files, but nothing that the archive has or an earlier run sent.

Threads send parts of several files at a time over shared connections.
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
from dandi_mirror.upload.send.send_file import Sending
from dandi_mirror.upload.send.types import SendContext, SendingStopped, SendMeter, Sent, SourceFile, Unsent

JOBS = AT_ONCE
"""Threads that each send a part; ``at_once`` of the session limits the connections."""
END = 1.5
"""Seconds to wait for threads to end."""


def send_blobs(
    session: Session,
    sources: Iterable[SourceFile],
    state: Path | OwnPath,
    *,
    jobs: int = JOBS,
    meter: SendMeter | None = None,
) -> Iterator[Sent | Unsent]:
    """Send files; yields the outcome of each file when it is done.

    ``state`` is a folder for the journals; it is made if necessary.  If the caller closes the generator or presses
    Ctrl-C, everything ends within about two seconds, and the journals hold what has arrived.  ``sources`` are read as
    threads become free, and should not block.

    Raises:
        CredentialsError: the archive refuses the API key; no further request is made.
        DiskError: a journal cannot be written.
    """
    sweep(state)
    run = _SendRun(sources, SendContext(session, state, meter or SendMeter()))
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


class _SendRun:
    """What the threads share: the files that they are sending, and other files with the same bytes."""

    def __init__(self, sources: Iterable[SourceFile], means: SendContext) -> None:
        self.outcomes: SimpleQueue[Sent | Unsent | BaseException | None] = SimpleQueue()
        self._means = means
        self._sources = iter(sources)
        self._exhausted = False
        self._changed = threading.Condition()
        self._under_way: list[Sending] = []
        self._alike: dict[str, list[SourceFile]] = {}
        """Files that wait for one with the same bytes, by the ETag."""
        self._again: list[SourceFile] = []
        """Files that waited for one that failed."""

    def stop(self) -> None:
        """Tell all threads to end."""
        self._means.stopped.set()
        with self._changed:
            self._changed.notify_all()

    def close(self) -> None:
        """Close all files; no thread is running any more."""
        for sending in self._under_way:
            sending.close(over=False)

    def work(self) -> None:
        """Send parts until nothing is left; every thread runs this."""
        try:
            while (sending := self._next()) is not None:
                self._help(sending)
        except SendingStopped:
            pass
        except BaseException as error:
            self.outcomes.put(error)
            self.stop()
        finally:
            self.outcomes.put(None)

    def _next(self) -> Sending | None:
        """The next file to work on, begun files first; None if all files are done."""
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

    def _new(self) -> SourceFile | None:
        source = None if self._exhausted else next(self._sources, None)
        self._exhausted = source is None
        return source

    def _help(self, sending: Sending) -> None:
        """Send parts of a file; the last thread also ends the upload and reports the outcome."""
        try:
            if not sending.etag and not self._begin(sending):
                return
            while True:
                sending.send()
                if self._means.stopped.is_set():
                    raise SendingStopped
                if not sending.is_last():
                    return
                if done := sending.end():
                    self._over(sending, done)
                    return
                self._tell_all()
        except MirrorError as error:
            self._failed(sending, error)

    def _begin(self, sending: Sending) -> bool:
        """Begin a file; returns whether it has parts to send."""
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
        # all other files would fail, too
        if isinstance(error, CredentialsError) or (isinstance(error, DiskError) and sending.etag):
            raise error
        self._over(sending, Unsent(sending.source, error))

    def _over(self, sending: Sending, outcome: Sent | Unsent) -> None:
        """Report the outcome of a file, and of those with the same bytes."""
        with self._changed:
            self._under_way.remove(sending)
            alike = self._alike.pop(sending.etag, [])
            if isinstance(outcome, Unsent):
                self._again += alike  # perhaps only that file was the problem
            self._changed.notify_all()
        kept = isinstance(outcome, Unsent) and isinstance(outcome.error, TemporaryError)
        sending.close(over=not kept)
        self.outcomes.put(outcome)
        if isinstance(outcome, Sent):
            for source in alike:
                self._means.meter.add(passed=outcome.size)
                self.outcomes.put(replace(outcome, source=source, bytes_sent=0, seen=None))


__all__ = ["JOBS", "SendMeter", "Sent", "SourceFile", "Unsent", "send_blobs"]
