"""Answers that are given again without asking anybody, for as long as the files they depend on have not changed.

Many readers ask for the same small files.  What such an answer needed (the index, the refs of a dataset) is noted while
it is made; later a few calls of ``stat`` show that it is still true.  The bytes of a file are read anew each time.
"""

from __future__ import annotations

import errno
import os
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from dandi_mirror.files.opening import open_regular
from dandi_mirror.repo.git.files import FileStamp, stamps_of

LARGEST = 1 << 17
"""Bytes of the largest body: it is read by the thread that answers everybody."""
MOST, MOST_BYTES = 20_000, 1 << 25
"""Answers, and bytes of their bodies, in memory."""
_MOST_STAMPS = 60
_MOST_HEADERS = 256
_YOUNG = 1_000_000_000  # nanoseconds; two changes within a tick of the clock of files have the same stamp
_NOW = getattr(os, "RWF_NOWAIT", 0)
_HARMLESS = frozenset({
    b"accept", b"accept-encoding", b"accept-language", b"cookie", b"dnt", b"origin", b"referer", b"user-agent",
    b"sec-fetch-dest", b"sec-fetch-mode", b"sec-fetch-site", b"sec-fetch-user",
})  # fmt: skip
"""Headers that change no answer of this server."""
_REQUEST = re.compile(rb"GET (/[!-~]*) HTTP/1\.1\r\n((?:[!-9;-~]+:[\t -~\x80-\xff]*\r\n)+)\r\n")

Header = tuple[bytes, bytes]


@dataclass(slots=True)
class Basis:
    """What the answer to one request depends on."""

    stamps: dict[str, FileStamp | None] = field(default_factory=dict)
    """By path; None for a file that does not exist."""
    file: Path | None = None
    """The file that is the body."""
    begun: int = field(default_factory=time.time_ns)
    lasts: bool = False
    """Whether nothing else can change the answer."""


_basis: ContextVar[Basis | None] = ContextVar("basis", default=None)


def begin() -> Basis:
    """Note from now on what the answer to this request depends on."""
    basis = Basis()
    _basis.set(basis)
    return basis


def depends_on(stamps: Iterable[tuple[str, FileStamp | None]]) -> None:
    """Note files that the answer depends on, with their stamps from before they were read."""
    if basis := _basis.get():
        for place, stamp in stamps:
            basis.stamps.setdefault(place, stamp)


def lasts(file: Path | None = None) -> None:
    """Note that the answer stays true until one of these files changes; ``file`` is its body."""
    if basis := _basis.get():
        basis.file, basis.lasts = file, True


class _Answer(NamedTuple):
    head: bytes
    """The headers."""
    body: bytes
    file: Path | None
    size: int
    places: tuple[str, ...]
    stamps: Sequence[FileStamp | None]


class RepeatedAnswers:
    """Answers by the target of a request; several threads may use it."""

    def __init__(self, names: frozenset[str]) -> None:
        """``names``: what a request may call the server, with port."""
        self._names = frozenset(name.encode() for name in names)
        self._lock = threading.Lock()
        self._answers: OrderedDict[bytes, _Answer] = OrderedDict()
        self._held = 0
        self._plain: dict[bytes, bool] = {}

    def find(self, request: bytes) -> tuple[bytes, bytes] | None:
        """Headers and body of the answer to a request, if it is plain and complete and the answer is still true."""
        if not (found := _REQUEST.fullmatch(request)):
            return None
        target, headers = found.groups()
        with self._lock:
            answer = self._answers.get(target)
        if answer is None or not self._may_repeat(headers):
            return None
        if stamps_of(answer.places) == answer.stamps and (body := _body(answer)) is not None:
            return answer.head, body
        self._forget(target)
        return None

    def is_plain(self, headers: Iterable[Header]) -> bool:
        """Whether a request has no header that could change the answer, and calls the server by one of its names."""
        hosts = 0
        for name, value in headers:
            if name == b"host" and value.strip().lower() in self._names:
                hosts += 1
            elif not (name in _HARMLESS or (name == b"connection" and value.strip().lower() == b"keep-alive")):
                return False
        return hosts == 1

    def keep(self, target: bytes, basis: Basis, headers: Iterable[Header], body: bytes) -> None:
        """Keep an answer that lasts, unless something that it depends on has changed just now."""
        is_young = any(stamp and stamp.changed > basis.begun - _YOUNG for stamp in basis.stamps.values())
        if is_young or len(body) > LARGEST or not 0 < len(basis.stamps) <= _MOST_STAMPS:
            return
        head = b"".join(b"%s: %s\r\n" % header for header in headers)
        stored = b"" if basis.file else body
        places = tuple(basis.stamps)
        answer = _Answer(head, stored, basis.file, len(body), places, list(basis.stamps.values()))
        self._forget(target)
        with self._lock:
            self._answers[target] = answer
            self._held += len(stored)
            while len(self._answers) > MOST or self._held > MOST_BYTES:
                _, oldest_answer = self._answers.popitem(last=False)
                self._held -= len(oldest_answer.body)

    def _forget(self, target: bytes) -> None:
        with self._lock:
            if answer := self._answers.pop(target, None):
                self._held -= len(answer.body)

    def _may_repeat(self, headers: bytes) -> bool:
        """Whether a request's headers are plain; a client sends the same ones again and again."""
        if (known := self._plain.get(headers)) is None:
            pairs = (line.partition(b":") for line in headers.split(b"\r\n")[:-1])
            known = self.is_plain((name.lower(), value) for name, _, value in pairs)
            if len(self._plain) >= _MOST_HEADERS:
                self._plain.clear()
            self._plain[headers] = known
        return known


def _body(answer: _Answer) -> bytes | None:
    """The body; None if its file is gone, or if a disk would have to be waited for."""
    if answer.file is None:
        return answer.body
    try:
        descriptor = open_regular(answer.file)
        try:
            if os.fstat(descriptor).st_size != answer.size:
                return None
            content = _read(descriptor, answer.size)
        finally:
            os.close(descriptor)
    except OSError:
        return None
    return content if len(content) == answer.size else None


def _read(descriptor: int, size: int) -> bytes:
    """The first bytes of a file.

    Raises:
        BlockingIOError: they are not in memory.
    """
    content = bytearray(size)
    try:
        read = os.preadv(descriptor, [content], 0, _NOW) if size else 0
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:
            raise
        read = os.preadv(descriptor, [content], 0)  # tmpfs has nothing to wait for; others cannot tell
    return bytes(content[:read])
