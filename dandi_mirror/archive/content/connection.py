"""One persistent connection for content, which reads into the caller's own memory.

This module decides which addresses and which proxy to connect to, gives up hosts that almost stall, and says in plain
words what went wrong.  :mod:`http.client` does the rest: heads, chunked bodies, tunnels, TLS (decision 0029).
"""

from __future__ import annotations

import io
import select
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Any
from urllib.parse import SplitResult

from dandi_mirror import __version__
from dandi_mirror.addresses import host_of, is_allowed, private_host
from dandi_mirror.archive.http.environment import Proxy, proxy_for, tls_context
from dandi_mirror.archive.http.reasons import ConnectTimeout, Stalled, explain
from dandi_mirror.archive.http.retry import NoResponse, RetryPolicy

SLOWEST = 256
"""Bytes a second; a host that sends less during a whole read timeout counts as stalled."""


class ConnectionFailed(NoResponse):
    """The connection cannot be made, broke or stalled, or the host does not speak HTTP."""


class PrivateAddress(Exception):
    """The host has an address on this machine or network that the user has not allowed."""


class Connection:
    """A connection to one origin; one thread uses it, and any thread may end it."""

    def __init__(self, origin: SplitResult, policy: RetryPolicy, addresses: frozenset[str] = frozenset()) -> None:
        """``addresses``: the private IP addresses that the user has allowed.

        Raises:
            SetupError: the proxy for this origin does not work here.
        """
        self._host = host_of(origin.geturl())
        self._connection = _HttpConnection(origin, policy, addresses)
        self._answer: HTTPResponse | None = None
        self.used = False
        """Whether it has brought a response before; then the server may have closed it because it was idle."""

    @property
    def proxy(self) -> Proxy | None:
        """The proxy through which it reaches the host."""
        return self._connection.proxy

    def ask(self, target: str, headers: Mapping[str, str], method: str = "GET", body: bytes = b"") -> HTTPResponse:
        """Send a request and read the head of the response.

        Raises:
            ConnectionFailed: no response came.
            SetupError: no response can come until the user changes the network settings.
            PrivateAddress: the user has not allowed the host.
        """
        connection = self._connection
        if self.used and _has_input(connection.sock):
            self.close()  # the host has closed it, or sends bytes that could be taken for the next response
        try:
            connection.putrequest(method, connection.prefix + target, skip_accept_encoding=True)
            for name, value in {**_HEADERS, **connection.headers_for_proxy, **headers}.items():
                connection.putheader(name, value)
            if method != "GET":
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body or None)
            self._answer = answer = connection.getresponse()
        except BaseException as error:
            self.close()
            if isinstance(error, (OSError, HTTPException, ValueError)):
                raise self._error(error) from None
            raise
        if isinstance(answer.fp, _Reader):
            answer.fp.begin()
        return answer

    def take(self, view: memoryview) -> int:
        """Read available bytes of the body into ``view``; their number, or 0 at its end.

        Raises:
            ConnectionFailed: it broke or stalled before the end of the body.
        """
        answer = self._answer
        if answer is None or answer.isclosed() or not len(view):
            return 0
        try:
            if answer.chunked:
                piece = answer.read1(len(view))
                view[: len(piece)] = piece
                return len(piece)
            count = answer.readinto(view)
        except (OSError, HTTPException, ValueError) as error:
            raise self._error(error) from None
        if not count and answer.length:
            raise ConnectionFailed(f"the response ended {answer.length} bytes early")
        return count

    def done(self) -> None:
        """After the response has been read: keep the connection for the next request if possible."""
        if self._answer is not None and not self._answer.isclosed() and self._answer.chunked:
            with suppress(ConnectionFailed):
                self.take(memoryview(bytearray(1)))  # the end of the last chunk
        if self._answer is None or not self._answer.isclosed():
            self.close()
        self.used = self._connection.sock is not None

    def close(self) -> None:
        """Close the connection; the next request makes a new one."""
        self.used = False
        self._connection.close()

    def end(self) -> None:
        """From another thread: make a thread that is reading see the end."""
        if (base := self._connection.base) is not None:
            with suppress(OSError):
                base.shutdown(socket.SHUT_RDWR)

    def _error(self, error: Exception) -> ConnectionFailed:
        found = explain(error, self._host, self.proxy)
        return ConnectionFailed(found.words, why=found.what, host=self._host, unreachable=found.unreachable)


_HEADERS = {"User-Agent": f"dandi-mirror/{__version__}", "Accept-Encoding": "identity"}


class _Steady(io.RawIOBase):
    """A socket's bytes; raises Stalled if almost none come, because a socket itself accepts one byte a minute."""

    def __init__(self, sock: socket.socket) -> None:
        self._raw = sock.makefile("rb", buffering=0)
        self._timeout = sock.gettimeout() or 0.0
        self.begin()

    def makefile(self, _mode: str) -> _Reader:
        """What http.client reads from, as it asks a socket for it."""
        return _Reader(self)

    def begin(self) -> None:
        """Start counting: the time until a host begins to respond does not count as a stall."""
        self._since, self._count = time.monotonic(), 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        count = self._raw.readinto(buffer)
        self._count += count or 0
        now = time.monotonic()
        if now - self._since > self._timeout:
            if self._count < SLOWEST * self._timeout:
                raise Stalled
            self.begin()
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Reader(io.BufferedReader):
    """Returns available bytes without waiting for more."""

    def __init__(self, steady: _Steady) -> None:
        super().__init__(steady)
        self.begin = steady.begin

    def readinto(self, buffer: Any) -> int:
        return self.readinto1(buffer)


class _Answer(HTTPResponse):
    def __init__(self, sock: socket.socket, *arguments: Any, **options: Any) -> None:
        steady: Any = _Steady(sock)
        super().__init__(steady, *arguments, **options)


class _HttpConnection(HTTPConnection):
    """Connects to allowed addresses only, through a proxy if the environment names one."""

    response_class = _Answer

    def __init__(self, origin: SplitResult, policy: RetryPolicy, addresses: frozenset[str]) -> None:
        host, self._secure = origin.hostname or "", origin.scheme == "https"
        self.default_port = 443 if self._secure else 80
        port, there = origin.port or self.default_port, host_of(origin.geturl())
        self.proxy = proxy_for(f"{origin.scheme}://{there}/")
        super().__init__(*((self.proxy.host, self.proxy.port) if self.proxy else (host, port)))
        self._server = host
        self._policy = policy
        self._addresses = addresses
        self.base: socket.socket | None = None
        """The socket to shut down in order to end it."""
        self.prefix = ""
        self.headers_for_proxy: Mapping[str, str] = {}
        """Sent with each request; for a tunnel, they are sent once, to the proxy alone."""
        if self.proxy and self._secure:
            self.set_tunnel(host, port, self.proxy.headers)
        elif self.proxy:
            self.prefix, self.headers_for_proxy = f"http://{there}", self.proxy.headers

    def connect(self) -> None:
        """Connect as http.client does, but to an allowed address, and verify certificates."""
        self.sock = self.base = self._dial()
        if self.proxy and self.proxy.scheme == "https":
            self.sock = self.base = tls_context().wrap_socket(self.sock, server_hostname=self.proxy.host)
        if self.proxy and self._secure:
            self._tunnel()  # type: ignore[attr-defined]
        if self._secure and self.proxy and self.proxy.scheme == "https":
            from urllib3.util.ssltransport import SSLTransport

            self.sock = SSLTransport(self.sock, tls_context(), self._server)
        elif self._secure:
            self.sock = self.base = tls_context().wrap_socket(self.sock, server_hostname=self._server)

    def _dial(self) -> socket.socket:
        """Connect to the first allowed address that answers; a proxy may have any address."""
        failure: Exception = OSError("no address")
        for family, kind, protocol, _, address in socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM):
            if not self.proxy and not is_allowed(str(address[0]), self._addresses):
                failure = PrivateAddress(private_host(self.host))
                continue
            sock = socket.socket(family, kind, protocol)
            try:
                sock.settimeout(self._policy.connect_timeout)
                sock.connect(address)
                sock.settimeout(self._policy.read_timeout)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return sock
            except TimeoutError:
                sock.close()
                failure = ConnectTimeout()
            except OSError as error:
                sock.close()
                failure = error
        raise failure


def _has_input(sock: socket.socket | None) -> bool:
    """Whether the host has closed the connection, or sends something before any request."""
    if sock is None:
        return True
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))
