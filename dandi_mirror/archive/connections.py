"""Connections to one host: few, kept open, and none that waits for ever for the head of an answer."""

from __future__ import annotations

import socket
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.response import HTTPResponse

from dandi_mirror import __version__

AT_ONCE = 6
"""Connections to one host, and so requests to it at a time, however many threads ask."""
HEAD = 2
"""Times the stall timeout: until then the head of an answer must be whole."""


class Http(requests.Session):
    """Follows no redirect and so reads none: requests would read its body without any bound."""

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """None, whatever the answer says."""
        return None


def http_session(headers: Mapping[str, str], at_once: int = AT_ONCE) -> Http:
    """Connections that send these headers; at most so many to a host."""
    session = Http()
    session.headers["User-Agent"] = f"dandi-mirror/{__version__}"
    session.headers.update(headers)
    # a .netrc entry would replace the token, or send one of its own
    session.auth = _no_auth
    for scheme in ("https://", "http://"):
        session.mount(scheme, FewConnections(at_once))
    return session


def _no_auth(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


class FewConnections(HTTPAdapter):
    """Lets a thread wait for a free connection; never asks a second time by itself."""

    def __init__(self, at_once: int) -> None:
        super().__init__(pool_connections=8, pool_maxsize=at_once, pool_block=True)

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        """As requests does, with our connections."""
        super().init_poolmanager(*arguments, **options)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}


class _HeadInTime(HTTPConnection):
    """Ends itself when a head drips in: for http.client a byte a minute is no stall, and a head may have millions."""

    def getresponse(self) -> HTTPResponse:  # type: ignore[override]
        sock, stall = self.sock, self.timeout
        if sock is None or not stall:
            return super().getresponse()
        late = threading.Event()
        watch = threading.Timer(HEAD * stall, _end, [sock, late])
        watch.daemon = True
        watch.start()
        try:
            answer = super().getresponse()
        finally:
            watch.cancel()
        if late.is_set():
            # what there was of the head would pass for a whole one
            raise TimeoutError
        return answer


class _SecureHeadInTime(_HeadInTime, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _HeadInTime


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureHeadInTime


def _end(sock: socket.socket, late: threading.Event) -> None:
    late.set()
    with suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
