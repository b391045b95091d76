"""A large file, in ranged parts by several threads; hashed in order as its start becomes contiguous."""

from __future__ import annotations

import os
import threading
from collections import deque

from dandi_mirror.archive.content import partials
from dandi_mirror.archive.content.downloader import RangeIgnored
from dandi_mirror.archive.content.partials import Stretches
from dandi_mirror.archive.content.single import Hand, Item, Outcome, write
from dandi_mirror.archive.content.sources import Source
from dandi_mirror.digests import hasher
from dandi_mirror.errors import DiskError, MirrorError

LARGE = 64 << 20
"""Bytes; from here on a file comes in parts."""
PART = 16 << 20
"""Bytes of a part: what a kill may cost of each."""
PARTS_AT_ONCE = 8
"""Parts of one file at a time."""


class _Part:
    """A part of a large file; it is hashed later, in order."""

    whole = False

    def __init__(self, hand: Hand, descriptor: int, start: int, stop: int) -> None:
        self._hand = hand
        self._descriptor = descriptor
        self.position, self.stop = start, stop

    def room(self) -> memoryview:
        return self._hand.view

    def put(self, count: int) -> None:
        write(self._descriptor, self._hand.view[:count], self.position)
        self.position += count
        self._hand.meter[0] += count

    def begin_anew(self) -> None:
        raise AssertionError("a part does not begin anew")


class Large:
    """A file that comes in parts, by several threads."""

    def __init__(self, item: Item) -> None:
        self._item = item
        self._source = Source(list(item.urls), item.size)
        self._lock = threading.Lock()
        self._descriptor = -1
        self._there = Stretches([])
        self._open: deque[tuple[int, int]] = deque([(0, 0)])  # until it has been looked at
        self._flying = 0
        self._digest = hasher(item.digest)
        self._hashed = 0
        self._hashing = False
        self._mixed = False
        self._at_once = 1
        self._error: BaseException | None = None

    def wants_help(self) -> bool:
        """Whether there is a part for another thread."""
        return bool(self._open) and self._flying < self._at_once and self._error is None

    def help(self, hand: Hand) -> Outcome | None:
        """Bring a part, and hash what is in order; the outcome, for the thread that comes last."""
        with self._lock:
            if not self.wants_help():
                return None
            start, stop = self._open.popleft()
            self._flying += 1
        try:
            if self._descriptor < 0:
                self._begin()
            else:
                self._bring(hand, start, stop)
            self._hash(hand)
        except BaseException as error:
            self._error = self._error or error
        with self._lock:
            self._flying -= 1
            if self._flying or (self._open and self._error is None):
                return None
        return self._end(hand)

    def _begin(self) -> None:
        """Look at what is there, and begin the file of stretches before any part is written."""
        self._descriptor = partials.open_locked(self._item.partial)
        self._there = Stretches.read(self._item.partial, self._descriptor, self._item.size)
        self._mixed = self._there.first() > 0
        if not partials.parts_path(self._item.partial).exists():
            partials.note_parts(self._item.partial, f"0 {self._there.first()}\n" if self._mixed else "")
        self._open.extend(self._there.missing(self._item.size, PART))
        self._at_once = PARTS_AT_ONCE

    def _bring(self, hand: Hand, start: int, stop: int) -> None:
        part = _Part(hand, self._descriptor, start, stop)
        try:
            hand.asker.bring(self._source, part)
        finally:
            if part.position > start:
                with self._lock:
                    partials.note_parts(self._item.partial, f"{start} {part.position}\n")
                    self._there.add(start, part.position)

    def _hash(self, hand: Hand) -> None:
        """Hash what has become contiguous, unless another thread is at it."""
        with self._lock:
            if self._hashing:
                return
            self._hashing = True
        while True:
            with self._lock:
                stop = self._there.first()
                if stop <= self._hashed or self._error or hand.hosts.stopped.is_set():
                    self._hashing = False
                    return
            while self._hashed < stop:
                room = hand.view[: stop - self._hashed]
                count = os.preadv(self._descriptor, [room], self._hashed)
                self._digest.update(room[:count])
                self._hashed += count

    def _end(self, hand: Hand) -> Outcome:
        """All parts have been tried: close the file, and judge it."""
        error = self._error
        if self._descriptor >= 0:
            if error is None:
                partials.begin_to_disk(self._descriptor)
            os.close(self._descriptor)
        if isinstance(error, OSError):
            raise DiskError.of(self._item.partial, error) from error
        if isinstance(error, RangeIgnored):
            return hand.one(self._item)
        if isinstance(error, MirrorError) and not isinstance(error, DiskError):
            return Outcome(self._item, error)
        if error is not None:
            raise error
        if self._digest.hexdigest() == self._item.digest:
            partials.forget_parts(self._item.partial)
            return Outcome(self._item)
        return self._wrong(hand)

    def _wrong(self, hand: Hand) -> Outcome:
        """Not the bytes of the SHA-256: all of it once more, in one piece."""
        with partials.opened(self._item.partial) as descriptor:
            partials.forget(self._item.partial, descriptor)
        return hand.one(self._item)
