"""Connections for requests to the API: few to a host, kept open, to allowed addresses only, and with a time limit."""

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
from dandi_mirror.addresses import Allowed, is_allowed, private_host
from dandi_mirror.archive.http.environment import certificates, proxy_for
from dandi_mirror.errors import PartError

AT_ONCE = 6
"""Connections to one host, and so requests at a time, however many threads there are."""
HEAD = 2
"""Times the read timeout: the head of a response must be complete by then."""


class HttpSession(requests.Session):
    """A session that follows no redirect, because requests would read the redirect's body without a limit."""

    def __init__(self, allowed: Allowed) -> None:
        super().__init__()
        self.allowed = allowed
        self._settings: dict[str, Any] = {}

    def merge_environment_settings(self, url: Any, *others: Any) -> Any:
        """As requests does, but once for each origin, because requests reads the whole environment twice.

        Raises:
            SetupError: the proxy or the certificates that a variable names do not work here.
        """
        origin = str(url).split("/", 3)[2]
        if origin not in self._settings:
            proxy_for(str(url))  # raises SetupError
            settings = super().merge_environment_settings(url, *others)
            settings["verify"] = certificates() or settings["verify"]
            self._settings[origin] = settings
        return dict(self._settings[origin])

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """None, whatever the response says."""
        return None


def make_http_session(headers: Mapping[str, str], allowed: Allowed, at_once: int = AT_ONCE) -> HttpSession:
    """Connections that send these headers: at most ``at_once`` to a host, and to allowed addresses only."""
    session = HttpSession(allowed)
    session.headers["User-Agent"] = f"dandi-mirror/{__version__}"
    session.headers.update(headers)
    # otherwise requests would send what .netrc holds, or replace the token by it
    session.auth = _no_auth
    for scheme in ("https://", "http://"):
        session.mount(scheme, BoundedAdapter(at_once, allowed))
    return session


def _no_auth(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


class BoundedAdapter(HTTPAdapter):
    """Makes a thread wait for a free connection; never repeats a request by itself."""

    def __init__(self, at_once: int, allowed: Allowed) -> None:
        self._allowed = allowed
        super().__init__(pool_connections=8, pool_maxsize=at_once, pool_block=True)

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        """As requests does, with the connections of this module."""
        super().init_poolmanager(*arguments, **options)
        pools: dict[str, Any] = {
            "http": partial(_Pool, allowed=self._allowed),
            "https": partial(_SecurePool, allowed=self._allowed),
        }
        self.poolmanager.pool_classes_by_scheme = pools


class _Checked(HTTPConnection):
    """Connects to public addresses, and to private ones in ``allowed``."""

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
            raise PartError(private_host(host))
        finally:
            self._dns_host = host

    def _places(self, host: str) -> list[str]:
        """The allowed addresses of a host; the host itself if all are allowed, or its name is not found."""
        if "all" in self.allowed:
            return [host]
        try:
            found = socket.getaddrinfo(host.strip("[]"), self.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            return [host]
        return [place for place in dict.fromkeys(str(at[0]) for *_, at in found) if is_allowed(place, self.allowed)]


class _Timed(_Checked):
    """Ends itself when a head comes too slowly: http.client would accept one byte a minute, and millions of bytes."""

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
            # otherwise the part that came would be taken for a complete head
            raise TimeoutError
        return answer


class _SecureTimed(_Timed, HTTPSConnection):
    pass


class _CheckedPool(HTTPConnectionPool):
    """A pool whose connections know the allowed addresses."""

    def __init__(self, *arguments: Any, allowed: Allowed, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._addresses = allowed.at(f"{self.scheme}://{self.host}:{self.port}")

    def _new_conn(self) -> Any:
        connection = super()._new_conn()
        connection.allowed = self._addresses  # type: ignore[attr-defined]
        return connection


class _Pool(_CheckedPool):
    ConnectionCls = _Timed


class _SecurePool(_CheckedPool, HTTPSConnectionPool):
    ConnectionCls = _SecureTimed


class _Watch:
    """Shuts down sockets that are not done in time; one thread for all, because one per request would be slower."""

    def __init__(self) -> None:
        self._until: dict[socket.socket, float] = {}
        """Socket → the time (:func:`time.monotonic`) by which it must be done."""
        self._changed = threading.Condition()
        self._wakes = 0.0
        self._thread: threading.Thread | None = None

    def begin(self, sock: socket.socket, seconds: float) -> None:
        """Shut the socket down after so many seconds, unless it is done by then."""
        until = time.monotonic() + seconds
        with self._changed:
            self._until[sock] = until
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._work, name="watch", daemon=True)
                self._thread.start()
            elif until < self._wakes:
                self._changed.notify()

    def end(self, sock: socket.socket) -> bool:
        """The socket is done; whether it was in time."""
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
