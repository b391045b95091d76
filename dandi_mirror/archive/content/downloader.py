"""Asking for bytes of one content until they have come: its URLs in turn, redirects, retries, back-off.

The token is sent with the API's own URLs only, never where a redirect leads.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from http.client import HTTPResponse
from typing import Protocol
from urllib.parse import SplitResult, urlsplit

from dandi_mirror.addresses import NotFollowed, followed, refusal
from dandi_mirror.archive.content.connection import Forbidden, Wire, WireError
from dandi_mirror.archive.content.sources import Hosts, Source, Stopped, origin, shown
from dandi_mirror.archive.http.notices import NOTICES
from dandi_mirror.archive.http.reasons import wants_password
from dandi_mirror.archive.http.retry import HOPS, LATER, REDIRECTED, RETRIED, Missed, ask_again, retry_after
from dandi_mirror.errors import CredentialsError, MirrorError, NotFoundError, PartError, TemporaryError

ENOUGH = 1 << 20
"""Bytes; when so many have come, counting of attempts begins anew."""


class RangeIgnored(Exception):
    """The server sends all of the content where a part was asked for."""


class Cursor(Protocol):
    """Where bytes go: from ``position`` up to ``stop``, in order."""

    position: int
    stop: int
    whole: bool
    """Whether it wants all of the content, so that it can begin anew."""

    def room(self) -> memoryview:
        """Memory for the next bytes."""

    def put(self, count: int) -> None:
        """So many bytes stand in :meth:`room`."""

    def begin_anew(self) -> None:
        """Forget what has come; position is 0."""


class Asker:
    """One thread's connections."""

    def __init__(self, hosts: Hosts) -> None:
        self._hosts = hosts
        self._policy = hosts.access.policy
        self._wires: dict[str, Wire] = {}
        self.waited = 0.0
        """Seconds from the last request until its answer's head was there."""
        self.received = 0
        """Bytes of content."""

    def bring(self, source: Source, cursor: Cursor) -> str:
        """Fill the cursor; the URL that the last bytes came from.

        Raises:
            MirrorError: no URL gave all of them; what came is kept.
            RangeIgnored: they would come with all of the content only, and the cursor is for a part.
            Stopped: the run is over.
        """
        for url in list(source.urls):
            try:
                self._patiently(source, url, cursor)
                return url
            except MirrorError as error:
                source.drop(url, error)
        raise source.failure()

    def close(self) -> None:
        """End all connections."""
        for wire in self._wires.values():
            wire.close()

    def end(self) -> None:
        """From another thread: let what is being read come to its end."""
        for wire in list(self._wires.values()):
            wire.end()

    def _patiently(self, source: Source, url: str, cursor: Cursor) -> None:
        """Ask one URL until the bytes have come or the policy ends."""
        reached = cursor.position

        def once() -> None:
            nonlocal reached
            try:
                self._once(source, url, cursor)
            except Missed as missed:
                if self._hosts.stopped.is_set():
                    raise Stopped from None
                missed.advanced = cursor.position - reached >= ENOUGH
                reached = cursor.position if missed.advanced else reached
                raise

        name = shown(url)
        try:
            ask_again(once, self._policy, self._hosts.host(origin(url)), name, self._hosts.sleep)
        except Missed as missed:
            raise TemporaryError(f"{name}: {missed}; {LATER}") from None

    def _once(self, source: Source, url: str, cursor: Cursor) -> None:
        """One request, redirects followed, and its answer into the cursor."""
        here = source.led.get(url, url)
        for _ in range(HOPS):
            parts = urlsplit(here)
            wire = self._wire(parts)
            with self._hosts.turn(parts):
                without = not self._hosts.token and self._hosts.is_api(parts)
                head = self._asked(wire, parts, cursor, own=here == url)
                if head.status in {401, 403} and here == url and without and self._hosts.found_token():
                    wire.close()
                    continue
                if head.status in REDIRECTED and (location := head.headers.get("location")):
                    wire.close() if head.length is None or head.length > ENOUGH else _skip(wire)
                    here = source.led[url] = _followed(here, location)
                    continue
            try:
                if head.status == 407:
                    raise wants_password(wire.proxy)
                self._check(head, source, url, here)
                self._take(wire, head, source, cursor)
            except BaseException:
                wire.close()
                raise
            wire.done()
            return
        source.led.pop(url, None)
        raise PartError(f"{shown(url)}: more than {HOPS} redirects")

    def _asked(self, wire: Wire, parts: SplitResult, cursor: Cursor, *, own: bool) -> HTTPResponse:
        headers = self._hosts.headers(parts) if own else {}
        if cursor.position or not cursor.whole:
            headers["Range"] = f"bytes={cursor.position}-{cursor.stop - 1}"
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        begun, again = time.monotonic(), wire.used
        while True:
            try:
                with NOTICES.waiting(parts.netloc.rpartition("@")[2]):
                    head = wire.ask(target, headers)
                self.waited = time.monotonic() - begun
                return head
            except Forbidden as error:
                raise PartError(str(error)) from None
            except WireError:
                wire.close()
                if not again or self._hosts.stopped.is_set():
                    raise
                again = False  # it had been idle for too long; a new one may do

    def _check(self, head: HTTPResponse, source: Source, url: str, here: str) -> None:
        status, name = head.status, shown(url)
        if status in {200, 206}:
            return
        if here != url and status in {400, 401, 403, 404}:
            # a presigned URL has an end; the next request asks anew where the content is
            source.led.pop(url, None)
            if status == 404 and url in source.gone:
                raise NotFoundError(f"{name} leads to what is not there (404)")
            source.gone |= {url} if status == 404 else set()
            raise Missed(f"where it leads answers with {status}")
        if status in {404, 410}:
            raise NotFoundError(f"{name} is not there ({status})")
        if status in {401, 403}:
            raise CredentialsError(f"{name} is refused ({status}); {self._what_to_do(here)}")
        if status in RETRIED:
            raise Missed(f"it answers with {status}", retry_after(head.headers.get("retry-after")))
        kind = TemporaryError if status >= 500 else PartError
        raise kind(f"{name} answers with {status}")

    def _what_to_do(self, here: str) -> str:
        if not self._hosts.is_api(urlsplit(here)):
            return "what is there cannot be read by all"
        check = " --check" if self._hosts.token else ""
        why = "your API key does not open it" if check else "it is under embargo, and there is no API key"
        return f"{why}: dandi-mirror login{check} -i {self._hosts.access.api_url}"

    def _take(self, wire: Wire, head: HTTPResponse, source: Source, cursor: Cursor) -> None:
        """The body into the cursor, if it is of the bytes that are wanted."""
        if head.status == 206:
            wanted = f"bytes {cursor.position}-{cursor.stop - 1}/{source.size}"
            if head.headers.get("content-range") != wanted:
                raise PartError("another part of it came than was asked for, or it has another size")
        elif cursor.position or not cursor.whole:
            if not cursor.whole:
                raise RangeIgnored
            cursor.begin_anew()
        if head.length is not None and head.length != cursor.stop - cursor.position:
            raise PartError(f"{head.length} bytes are offered where there are to be {cursor.stop - cursor.position}")
        for count in _pieces(wire, cursor):
            cursor.put(count)
            self.received += count
            if self._hosts.stopped.is_set():
                raise Stopped
        if cursor.position < cursor.stop:
            raise Missed(f"it ended {cursor.stop - cursor.position} bytes early")

    def _wire(self, parts: SplitResult) -> Wire:
        place = f"{parts.scheme}://{parts.netloc}"
        if place not in self._wires:
            if self._hosts.access.allowed.refuses(place):
                raise PartError(refusal(parts.hostname or ""))
            self._wires[place] = Wire(parts, self._policy, self._hosts.access.allowed.at(place))
        return self._wires[place]


def _pieces(wire: Wire, cursor: Cursor) -> Iterator[int]:
    """How many bytes come into the cursor's memory, each time that it is full or they have an end."""
    left = cursor.stop - cursor.position
    while left:
        room, filled = cursor.room(), 0
        room = room[: min(len(room), left)]
        try:
            while filled < len(room) and (count := wire.take(room[filled:])):
                filled += count
        except WireError:
            if filled:
                yield filled
            raise
        if not filled:
            return
        yield filled
        left -= filled


def _followed(here: str, location: str) -> str:
    try:
        return followed(here, location)
    except NotFollowed as error:
        raise PartError(f"{shown(here)}: {error}") from None


def _skip(wire: Wire) -> None:
    """Read a short body that nobody wants."""
    rest = memoryview(bytearray(1 << 16))
    while wire.take(rest):
        pass
    wire.done()
