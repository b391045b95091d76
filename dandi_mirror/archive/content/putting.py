"""Store many small objects at presigned URLs, over connections that stay open.

A general client takes longer around a small object than the object takes on the line; see decision 0030.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import suppress
from http.client import HTTPResponse
from types import MappingProxyType
from urllib.parse import SplitResult, urlsplit

from dandi_mirror.addresses import BadRedirect, redirect_target
from dandi_mirror.archive.content.connection import Connection, ConnectionFailed, PrivateAddress
from dandi_mirror.archive.http.environment import refuse_request
from dandi_mirror.archive.http.reasons import wants_password
from dandi_mirror.archive.http.retry import LATER, REDIRECTED, RETRIED, HostState, NoResponse, retry_after, with_retries
from dandi_mirror.archive.http.retrying_client import RequestRefused
from dandi_mirror.archive.http.session import Session
from dandi_mirror.archive.http.wait_messages import WAIT_MESSAGES
from dandi_mirror.errors import BadAnswerError, CredentialsError, NotFoundError, PartError, TemporaryError

LARGEST_ANSWER = 1 << 16
"""Bytes of a response that are read; S3 answers a PUT without a body, and a refusal with a few lines."""
_DONE = frozenset({200, 201, 204})


class ObjectPutter:
    """Stores objects; any number of threads may call :meth:`put`, and each has connections of its own."""

    def __init__(self, session: Session) -> None:
        """``session``: the session with the API that presigns the URLs; its token is not used."""
        self._session = session
        self._hosts: dict[str, HostState] = {}
        self._own = threading.local()
        self._all: list[Connection] = []

    def close(self) -> None:
        """Close all connections; requests that are under way fail."""
        for connection in list(self._all):
            connection.end()

    def put(self, url: str, body: bytes, headers: Mapping[str, str] = MappingProxyType({})) -> str:
        """Store bytes; the ETag of the response, or empty.  Doing it twice has the same effect as once.

        Raises:
            as :meth:`Session.store`.
        """
        parts = urlsplit(url)
        place = f"{parts.scheme}://{parts.netloc}"
        if place not in self._hosts:
            self._check_allowed(url)
        host = self._hosts.setdefault(place, HostState(parts.netloc))
        try:
            return with_retries(lambda: self._once(place, parts, body, headers), self._session.policy, host, parts.path)
        except NoResponse as missed:
            raise TemporaryError(f"{parts.path}: {missed}; {LATER}") from None

    def _check_allowed(self, url: str) -> None:
        """Refuse an origin that the API may not lead to, as it is refused for a redirect."""
        try:
            redirect_target(self._session.api_url, url)
        except BadRedirect as error:
            raise BadAnswerError(f"a presigned URL: {error}") from None
        if why := refuse_request(url, self._session.allowed):
            raise PartError(why)

    def _once(self, place: str, parts: SplitResult, body: bytes, headers: Mapping[str, str]) -> str:
        connection = self._connection(place, parts)
        answer = self._asked(connection, parts, body, headers)
        try:
            said = _read(connection)
            _check(answer, connection, parts.path, said)
        except BaseException:
            connection.close()
            raise
        connection.done()
        return answer.headers.get("etag", "")

    def _connection(self, place: str, parts: SplitResult) -> Connection:
        own: dict[str, Connection] = self._own.__dict__
        if place not in own:
            own[place] = Connection(parts, self._session.policy, self._session.allowed.at(place))
            self._all.append(own[place])
        return own[place]

    @staticmethod
    def _asked(connection: Connection, parts: SplitResult, body: bytes, headers: Mapping[str, str]) -> HTTPResponse:
        target, again = f"{parts.path}?{parts.query}", connection.used
        while True:
            try:
                with WAIT_MESSAGES.waiting(parts.netloc):
                    return connection.ask(target, headers, "PUT", body)
            except PrivateAddress as error:
                raise PartError(str(error)) from None
            except ConnectionFailed:
                connection.close()
                if not again:
                    raise
                again = False  # the server closed it while it was idle; a new connection may work


def _read(connection: Connection) -> bytes:
    """The body of a response, as far as it is used."""
    room = memoryview(bytearray(LARGEST_ANSWER))
    count = 0
    while count < len(room) and (more := connection.take(room[count:])):
        count += more
    return bytes(room[:count])


def _check(answer: HTTPResponse, connection: Connection, shown: str, said: bytes) -> None:
    status = answer.status
    if status in _DONE:
        return
    if status == 407:
        raise wants_password(connection.proxy)
    if status in REDIRECTED:
        raise PartError(f"{shown}: the host redirects the upload ({status}), which dandi-mirror does not follow")
    if status in {404, 410}:
        raise NotFoundError(f"{shown} does not exist ({status})")
    if status in {401, 403}:
        raise CredentialsError(f"{shown} is refused ({status}); the link may have expired")
    if status in RETRIED:
        raise NoResponse(f"it answers with {status}", retry_after(answer.headers.get("retry-after")))
    if status >= 500:
        raise TemporaryError(f"{shown}: the host answers with {status}; {LATER}")
    words = said.decode(errors="replace")
    with suppress(ValueError):
        words = words[words.index("<Message>") + 9 : words.index("</Message>")]
    raise RequestRefused(f"{shown}: the host answers with {status}: {words[:200]}", status, words)
