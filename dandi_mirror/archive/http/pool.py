"""Connections to one host: few, kept open, and none that waits for ever for the head of an answer."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError
from urllib3.response import HTTPResponse

from dandi_mirror import __version__
from dandi_mirror.addresses import Allowed, is_allowed, refusal
from dandi_mirror.archive.http.environment import certificates, proxy_for
from dandi_mirror.errors import PartError

AT_ONCE = 6
"""Connections to one host, and so requests to it at a time, however many threads ask."""
HEAD = 2
"""Times the stall timeout: until then the head of an answer must be whole."""


class Http(requests.Session):
    """Follows no redirect and so reads none: requests would read its body without any bound."""

    def __init__(self, allowed: Allowed) -> None:
        super().__init__()
        self.allowed = allowed
        self._settings: dict[str, Any] = {}

    def merge_environment_settings(self, url: Any, *others: Any) -> Any:
        """As requests does it, once for each origin: it goes through all of the environment, twice.

        Raises:
            SetupError: the proxy or the certificates that a variable names cannot be used.
        """
        origin = str(url).split("/", 3)[2]
        if origin not in self._settings:
            proxy_for(str(url))  # says what is wrong with it
            settings = super().merge_environment_settings(url, *others)
            settings["verify"] = certificates() or settings["verify"]
            self._settings[origin] = settings
        return dict(self._settings[origin])

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """None, whatever the answer says."""
        return None


def http_session(headers: Mapping[str, str], allowed: Allowed, at_once: int = AT_ONCE) -> Http:
    """Connections that send these headers; at most so many to a host; to addresses that may be asked."""
    session = Http(allowed)
    session.headers["User-Agent"] = f"dandi-mirror/{__version__}"
    session.headers.update(headers)
    # a .netrc entry would replace the token, or send one of its own
    session.auth = _no_auth
    for scheme in ("https://", "http://"):
        session.mount(scheme, FewConnections(at_once, allowed))
    return session


def _no_auth(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


class FewConnections(HTTPAdapter):
    """Lets a thread wait for a free connection; never asks a second time by itself."""

    def __init__(self, at_once: int, allowed: Allowed) -> None:
        self._allowed = allowed
        super().__init__(pool_connections=8, pool_maxsize=at_once, pool_block=True)

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        """As requests does, with our connections."""
        super().init_poolmanager(*arguments, **options)
        pools: dict[str, Any] = {
            "http": partial(_Pool, allowed=self._allowed),
            "https": partial(_SecurePool, allowed=self._allowed),
        }
        self.poolmanager.pool_classes_by_scheme = pools


class _Careful(HTTPConnection):
    """Connects to addresses only that may be asked; to those beside the public ones in ``allowed``."""

    allowed: frozenset[str] = frozenset()

    def _new_conn(self) -> socket.socket:
        host = self._dns_host
        places = self._places(host)
        try:
            for number, self._dns_host in enumerate(places, start=1):
                try:
                    return super()._new_conn()
                except HTTPError:
                    if number == len(places):
                        raise
            raise PartError(refusal(host))
        finally:
            self._dns_host = host

    def _places(self, host: str) -> list[str]:
        """The addresses of a host that may be asked; the host itself where all may be, or it has none."""
        if "all" in self.allowed:
            return [host]
        try:
            found = socket.getaddrinfo(host.strip("[]"), self.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            return [host]
        return [place for place in dict.fromkeys(str(at[0]) for *_, at in found) if is_allowed(place, self.allowed)]


class _HeadInTime(_Careful):
    """Ends itself when a head drips in: for http.client a byte a minute is no stall, and a head may have millions."""

    def getresponse(self) -> HTTPResponse:  # type: ignore[override]
        sock, stall = self.sock, self.timeout
        if sock is None or not stall:
            return super().getresponse()
        _WATCH.begin(sock, HEAD * stall)
        try:
            answer = super().getresponse()
        finally:
            in_time = _WATCH.end(sock)
        if not in_time:
            # what there was of the head would pass for a whole one
            raise TimeoutError
        return answer


class _SecureHeadInTime(_HeadInTime, HTTPSConnection):
    pass


class _CarefulPool(HTTPConnectionPool):
    """Its connections know which addresses they may ask."""

    def __init__(self, *arguments: Any, allowed: Allowed, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._addresses = allowed.at(f"{self.scheme}://{self.host}:{self.port}")

    def _new_conn(self) -> Any:
        connection = super()._new_conn()
        connection.allowed = self._addresses  # type: ignore[attr-defined]
        return connection


class _Pool(_CarefulPool):
    ConnectionCls = _HeadInTime


class _SecurePool(_CarefulPool, HTTPSConnectionPool):
    ConnectionCls = _SecureHeadInTime


class _Watch:
    """Ends sockets that are not done in time; one thread for all, for to start one for each request takes longer."""

    def __init__(self) -> None:
        self._until: dict[socket.socket, float] = {}
        """The moment, of :func:`time.monotonic`, for each socket that is not done."""
        self._changed = threading.Condition()
        self._wakes = 0.0
        self._thread: threading.Thread | None = None

    def begin(self, sock: socket.socket, seconds: float) -> None:
        """End the socket after so many seconds, unless it is done by then."""
        until = time.monotonic() + seconds
        with self._changed:
            self._until[sock] = until
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._work, name="watch", daemon=True)
                self._thread.start()
            elif until < self._wakes:
                self._changed.notify()

    def end(self, sock: socket.socket) -> bool:
        """It is done; whether it was in time."""
        with self._changed:
            return self._until.pop(sock, None) is not None

    def _work(self) -> None:
        with self._changed:
            while self._until:
                now = time.monotonic()
                for sock in [sock for sock, until in self._until.items() if until <= now]:
                    del self._until[sock]
                    with suppress(OSError):
                        sock.shutdown(socket.SHUT_RDWR)
                self._wakes = min(self._until.values(), default=now)
                self._changed.wait(max(0.0, self._wakes - time.monotonic()))
            self._thread = None


_WATCH = _Watch()
