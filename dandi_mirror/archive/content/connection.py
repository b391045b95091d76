"""One kept-alive connection for content, by the standard library's client, read into the caller's own memory.

What is ours: which addresses may be asked, which proxy, that a host which all but stalls is given up, and the words
for what went wrong.  The rest (heads, chunked bodies, tunnels, TLS) is :mod:`http.client` (decision 0029).
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
from dandi_mirror.addresses import is_allowed, refusal
from dandi_mirror.archive.http.environment import Proxy, proxy_for, trust
from dandi_mirror.archive.http.reasons import ConnectTimeout, Stalled, place, reason
from dandi_mirror.archive.http.retry import Missed, RetryPolicy

SLOWEST = 256
"""Bytes a second; less, over a read timeout, is a stall too."""


class WireError(Missed):
    """The connection cannot be made, broke, stalled, or said what HTTP does not."""


class Forbidden(Exception):
    """The host is at an address on this machine or network that is not allowed."""


class Wire:
    """A connection to one origin; used by one thread, ended by any."""

    def __init__(self, origin: SplitResult, policy: RetryPolicy, addresses: frozenset[str] = frozenset()) -> None:
        """``addresses`` are those on this machine or network that may be asked.

        Raises:
            SetupError: the proxy that is to be asked cannot be used.
        """
        self._host = place(origin.geturl())
        self._connection = _Connection(origin, policy, addresses)
        self._answer: HTTPResponse | None = None
        self.used = False
        """Whether an answer has come on it before: then its end may only mean that it was idle too long."""

    @property
    def proxy(self) -> Proxy | None:
        """The proxy that is asked in place of the host."""
        return self._connection.proxy

    def ask(self, target: str, headers: Mapping[str, str]) -> HTTPResponse:
        """Send a GET and read the head of the answer.

        Raises:
            WireError: it did not come.
            SetupError: it will not come as the network is set up here.
            Forbidden: the host is not to be asked.
        """
        connection = self._connection
        if self.used and _speaks(connection.sock):
            self.close()  # it has ended, or sends what would pass for the next answer
        try:
            connection.putrequest("GET", connection.prefix + target, skip_accept_encoding=True)
            for name, value in {**_HEADERS, **connection.headers_for_proxy, **headers}.items():
                connection.putheader(name, value)
            connection.endheaders()
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
        """Bytes of the body into ``view``, as many as there are; 0 at its end.

        Raises:
            WireError: it broke or stalled before its end.
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
            raise WireError(f"it ended {answer.length} bytes early")
        return count

    def done(self) -> None:
        """The answer has been read: the connection is kept for the next one, or ended if it is of no use any more."""
        if self._answer is not None and not self._answer.isclosed() and self._answer.chunked:
            with suppress(WireError):
                self.take(memoryview(bytearray(1)))  # the end of the last chunk
        if self._answer is None or not self._answer.isclosed():
            self.close()
        self.used = self._connection.sock is not None

    def close(self) -> None:
        """End the connection; the next request makes a new one."""
        self.used = False
        self._connection.close()

    def end(self) -> None:
        """From another thread: let whoever reads see the end."""
        if (base := self._connection.base) is not None:
            with suppress(OSError):
                base.shutdown(socket.SHUT_RDWR)

    def _error(self, error: Exception) -> WireError:
        found = reason(error, self._host, self.proxy)
        return WireError(found.words, why=found.what, host=self._host, away=found.away)


_HEADERS = {"User-Agent": f"dandi-mirror/{__version__}", "Accept-Encoding": "identity"}


class _Steady(io.RawIOBase):
    """A socket's bytes, given up when they all but stall: for a socket alone, a byte a minute is no stall."""

    def __init__(self, raw: io.RawIOBase, timeout: float) -> None:
        self._raw = raw
        self._timeout = timeout
        self.begin()

    def begin(self) -> None:
        """Count anew: how long a host thinks before it answers is no stall of its answer."""
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
    """Gives what has come and does not wait for more."""

    def __init__(self, steady: _Steady) -> None:
        super().__init__(steady)
        self.begin = steady.begin

    def readinto(self, buffer: Any) -> int:
        return self.readinto1(buffer)


class _Answer(HTTPResponse):
    def __init__(self, sock: socket.socket, *arguments: Any, **options: Any) -> None:
        super().__init__(sock, *arguments, **options)
        bare: Any = self.fp
        self.fp = _Reader(_Steady(bare.detach(), sock.gettimeout() or 0.0))


class _Connection(HTTPConnection):
    """Connects where it may, by a proxy where one is to be asked."""

    response_class = _Answer

    def __init__(self, origin: SplitResult, policy: RetryPolicy, addresses: frozenset[str]) -> None:
        host, self._secure = origin.hostname or "", origin.scheme == "https"
        self.default_port = 443 if self._secure else 80
        port, there = origin.port or self.default_port, place(origin.geturl())
        self.proxy = proxy_for(f"{origin.scheme}://{there}/")
        super().__init__(*((self.proxy.host, self.proxy.port) if self.proxy else (host, port)))
        self._server = host
        self._policy = policy
        self._addresses = addresses
        self.base: socket.socket | None = None
        """What is shut down to end it."""
        self.prefix = ""
        self.headers_for_proxy: Mapping[str, str] = {}
        """Sent with each request; by a tunnel, they are sent once, to the proxy alone."""
        if self.proxy and self._secure:
            self.set_tunnel(host, port, self.proxy.headers)
        elif self.proxy:
            self.prefix, self.headers_for_proxy = f"http://{there}", self.proxy.headers

    def connect(self) -> None:
        """As http.client does, to an address that may be asked, and as safely."""
        self.sock = self.base = self._dial()
        if self.proxy and self.proxy.scheme == "https":
            self.sock = self.base = trust().wrap_socket(self.sock, server_hostname=self.proxy.host)
        if self.proxy and self._secure:
            self._tunnel()  # type: ignore[attr-defined]
        if self._secure and self.proxy and self.proxy.scheme == "https":
            from urllib3.util.ssltransport import SSLTransport

            self.sock = SSLTransport(self.sock, trust(), self._server)
        elif self._secure:
            self.sock = self.base = trust().wrap_socket(self.sock, server_hostname=self._server)

    def _dial(self) -> socket.socket:
        """Connect to the first address that may be asked and answers; a proxy may be anywhere."""
        failure: Exception = OSError("no address")
        for family, kind, protocol, _, address in socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM):
            if not self.proxy and not is_allowed(str(address[0]), self._addresses):
                failure = Forbidden(refusal(self.host))
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


def _speaks(sock: socket.socket | None) -> bool:
    """Whether something comes though nothing was asked for, an end above all."""
    if sock is None:
        return True
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))
