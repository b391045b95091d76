"""Downloading the bytes of one file: tries its URLs in turn, follows redirects, and retries with back-off.

The token is sent with the API's own URLs only, never to the target of a redirect.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from http.client import HTTPResponse
from typing import Protocol
from urllib.parse import SplitResult, urlsplit

from dandi_mirror.addresses import BadRedirect, redirect_target, without_secrets
from dandi_mirror.archive.content.connection import Connection, ConnectionFailed, PrivateAddress
from dandi_mirror.archive.content.sources import ContentUrls, TransferState, TransferStopped
from dandi_mirror.archive.http.environment import RequestRule
from dandi_mirror.archive.http.reasons import wants_password
from dandi_mirror.archive.http.retry import HOPS, LATER, REDIRECTED, RETRIED, NoResponse, retry_after, with_retries
from dandi_mirror.archive.http.wait_messages import WAIT_MESSAGES
from dandi_mirror.errors import CredentialsError, MirrorError, NotFoundError, PartError, TemporaryError

ENOUGH = 1 << 20
"""Bytes; after so much progress, the attempts are counted from one again."""


class RangeIgnored(Exception):
    """The server sends the whole file in answer to a request for a part."""


class Cursor(Protocol):
    """The destination of the bytes from ``position`` up to ``stop``, in order."""

    position: int
    stop: int
    whole: bool
    """Whether it takes the whole file, so that the download can start again from byte 0."""

    def room(self) -> memoryview:
        """The memory for the next bytes."""

    def put(self, count: int) -> None:
        """Take ``count`` bytes from :meth:`room`."""

    def begin_anew(self) -> None:
        """Discard the bytes so far; position is 0."""


class Downloader:
    """The connections of one thread."""

    def __init__(self, state: TransferState) -> None:
        self._state = state
        self._policy = state.settings.policy
        self._rule = RequestRule(state.settings.allowed)
        self._connections: dict[str, Connection] = {}
        self.waited = 0.0
        """Seconds from the last request to the head of its response."""
        self.received = 0
        """Bytes downloaded."""

    def download(self, source: ContentUrls, cursor: Cursor) -> str:
        """Fill the cursor; the URL that the last bytes came from.

        Raises:
            MirrorError: no URL gave all bytes; the cursor keeps those that came.
            RangeIgnored: the server sends only whole files, and the cursor is for a part.
            TransferStopped: the run is over.
        """
        for url in list(source.urls):
            try:
                self._require_allowed(url)
                self._with_retries(source, url, cursor)
                return url
            except MirrorError as error:
                source.drop(url, error)
        raise source.failure()

    def close(self) -> None:
        """Close all connections."""
        for connection in self._connections.values():
            connection.close()

    def end(self) -> None:
        """From another thread: make the current download end."""
        for connection in list(self._connections.values()):
            connection.end()

    def _with_retries(self, source: ContentUrls, url: str, cursor: Cursor) -> None:
        """Request one URL until all bytes have come or the retry policy gives up."""
        reached = cursor.position

        def once() -> None:
            nonlocal reached
            try:
                self._once(source, url, cursor)
            except NoResponse as missed:
                if self._state.stopped.is_set():
                    raise TransferStopped from None
                missed.progressed = cursor.position - reached >= ENOUGH
                reached = cursor.position if missed.progressed else reached
                raise

        name = without_secrets(url)
        try:
            with_retries(once, self._policy, self._state.host(urlsplit(url)), name, self._state.sleep)
        except NoResponse as missed:
            raise TemporaryError(f"{name}: {missed}; {LATER}") from None

    def _once(self, source: ContentUrls, url: str, cursor: Cursor) -> None:
        """Make one request, follow its redirects, and read the response into the cursor."""
        here = source.led.get(url, url)
        for _ in range(HOPS):
            parts = urlsplit(here)
            connection = self._connection(here, parts)
            with self._state.api_slot(parts):
                without = not self._state.token and self._state.is_api(parts)
                head = self._request(connection, parts, cursor, own=here == url)
                if head.status in {401, 403} and here == url and without and self._state.found_token():
                    connection.close()
                    continue
                if head.status in REDIRECTED and (location := head.headers.get("location")):
                    connection.close() if head.length is None or head.length > ENOUGH else _skip(connection)
                    here = source.led[url] = _followed(here, location)
                    continue
            try:
                if head.status == 407:
                    raise wants_password(connection.proxy)
                self._check(head, source, url, here)
                self._read(connection, head, source, cursor)
            except BaseException:
                connection.close()
                raise
            connection.done()
            return
        source.led.pop(url, None)
        raise PartError(f"{without_secrets(url)}: more than {HOPS} redirects")

    def _request(self, connection: Connection, parts: SplitResult, cursor: Cursor, *, own: bool) -> HTTPResponse:
        headers = self._state.headers(parts) if own else {}
        if cursor.position or not cursor.whole:
            headers["Range"] = f"bytes={cursor.position}-{cursor.stop - 1}"
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        begun, again = time.monotonic(), connection.used
        while True:
            try:
                with WAIT_MESSAGES.waiting(parts.netloc.rpartition("@")[2]):
                    head = connection.ask(target, headers)
                self.waited = time.monotonic() - begun
                return head
            except PrivateAddress as error:
                raise PartError(str(error)) from None
            except ConnectionFailed:
                connection.close()
                if not again or self._state.stopped.is_set():
                    raise
                again = False  # the server closed it while it was idle; a new connection may work

    def _check(self, head: HTTPResponse, source: ContentUrls, url: str, here: str) -> None:
        status = head.status
        if status in {200, 206}:
            return
        name = without_secrets(url)
        if here != url and status in {400, 401, 403, 404}:
            # a presigned URL expires; the next request asks the archive for a new one
            source.led.pop(url, None)
            if status == 404 and url in source.gone:
                raise NotFoundError(f"{name} redirects to a file that does not exist (404)")
            source.gone |= {url} if status == 404 else set()
            raise NoResponse(f"the target of its redirect answers with {status}")
        if status in {404, 410}:
            raise NotFoundError(f"{name} does not exist ({status})")
        if status in {401, 403}:
            raise CredentialsError(f"{name} is refused ({status}); {self._what_to_do(here)}")
        if status in RETRIED:
            raise NoResponse(f"it answers with {status}", retry_after(head.headers.get("retry-after")))
        kind = TemporaryError if status >= 500 else PartError
        raise kind(f"{name} answers with {status}")

    def _what_to_do(self, here: str) -> str:
        if not self._state.is_api(urlsplit(here)):
            return "the file is not public"
        check = " --check" if self._state.token else ""
        why = "your API key does not give access to it" if check else "it is embargoed, and you have not logged in"
        return f"{why}: dandi-mirror login{check} -i {self._state.settings.api_url}"

    def _read(self, connection: Connection, head: HTTPResponse, source: ContentUrls, cursor: Cursor) -> None:
        """Read the body into the cursor, if it holds the requested bytes."""
        if head.status == 206:
            wanted = f"bytes {cursor.position}-{cursor.stop - 1}/{source.size}"
            if head.headers.get("content-range") != wanted:
                raise PartError("the server sent another part than requested, or the file has another size there")
        elif cursor.position or not cursor.whole:
            if not cursor.whole:
                raise RangeIgnored
            cursor.begin_anew()
        if head.length is not None and head.length != cursor.stop - cursor.position:
            raise PartError(f"the server offers {head.length} bytes instead of {cursor.stop - cursor.position}")
        for count in _pieces(connection, cursor):
            cursor.put(count)
            self.received += count
            if self._state.stopped.is_set():
                raise TransferStopped
        if cursor.position < cursor.stop:
            raise NoResponse(f"the download ended {cursor.stop - cursor.position} bytes early")

    def _connection(self, url: str, parts: SplitResult) -> Connection:
        place = f"{parts.scheme}://{parts.netloc}"
        if place not in self._connections:
            self._require_allowed(url)
            self._connections[place] = Connection(parts, self._policy, self._state.settings.allowed.at(place))
        return self._connections[place]

    def _require_allowed(self, url: str) -> None:
        if why := self._rule.refuses(url):
            raise PartError(why)


def _pieces(connection: Connection, cursor: Cursor) -> Iterator[int]:
    """Read into the cursor's memory; the number of bytes each time that it is full or the body ends."""
    left = cursor.stop - cursor.position
    while left:
        room, filled = cursor.room(), 0
        room = room[: min(len(room), left)]
        try:
            while filled < len(room) and (count := connection.take(room[filled:])):
                filled += count
        except ConnectionFailed:
            if filled:
                yield filled
            raise
        if not filled:
            return
        yield filled
        left -= filled


def _followed(here: str, location: str) -> str:
    try:
        return redirect_target(here, location)
    except BadRedirect as error:
        raise PartError(f"{without_secrets(here)}: {error}") from None


def _skip(connection: Connection) -> None:
    """Read a short body to its end, so that the connection can be used again."""
    rest = memoryview(bytearray(1 << 16))
    while connection.take(rest):
        pass
    connection.done()
