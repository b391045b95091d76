"""One kept-alive HTTP/1.1 connection for content, read into the caller's own memory.

For thousands of small files, what a general client does around each answer takes several times as long as the
transfer itself (decision 0018 has the measurement).  Only what content needs is here: GET, ranges, bodies whose length
is announced or ended by the connection.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from base64 import b64encode
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, unquote, urlsplit

from dandi_mirror import __version__
from dandi_mirror.addresses import is_allowed, refusal
from dandi_mirror.archive.patience import Patience

if TYPE_CHECKING:
    import ssl

LARGEST_HEAD = 1 << 16  # bytes
HEAD = 2
"""Times the stall timeout: until then the head of an answer must be whole."""
SLOWEST = 256
"""Bytes a second; less, over a stall timeout, is a stall too."""


class WireError(Exception):
    """The connection cannot be made, broke, stalled, or said what HTTP does not."""


class Forbidden(WireError):
    """The host is at an address on this machine or network that is not allowed."""


class Chunked(WireError):
    """The body's length is not announced but comes in pieces; asked by HTTP/1.0 it does not."""


@dataclass(frozen=True, slots=True)
class Head:
    """The head of an answer."""

    status: int
    headers: Mapping[str, str]
    """By lower-case name; of one that is repeated, the last."""
    length: int | None
    """Bytes of the body; None: until the connection ends."""


class Wire:
    """A connection to one origin; used by one thread, ended by any."""

    def __init__(self, origin: SplitResult, patience: Patience, addresses: frozenset[str] = frozenset()) -> None:
        """``addresses`` are those on this machine or network that may be asked."""
        self._origin = origin
        self._patience = patience
        self._addresses = addresses
        self._sock: socket.socket | None = None
        self._buffer = bytearray(LARGEST_HEAD)
        self._start = self._stop = 0  # of what is in the buffer and not taken yet
        self._left: int | None = 0
        self._keep = False
        self._prefix = ""
        self._mark, self._since = 0.0, 0
        self.used = False
        """Whether an answer has come on it before: then its end may only mean that it was idle too long."""

    def ask(self, target: str, headers: Mapping[str, str], *, old: bool = False) -> Head:
        """Send a GET and read the head of the answer; ``old``: by HTTP/1.0.

        Raises:
            WireError: it did not come.
        """
        lines = [
            f"GET {self._prefix}{target} HTTP/1.{0 if old else 1}",
            f"Host: {self._origin.netloc.rpartition('@')[2]}",
        ]
        lines += [f"User-Agent: dandi-mirror/{__version__}", "Accept-Encoding: identity"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        try:
            self._socket().sendall("\r\n".join([*lines, "", ""]).encode("latin-1"))
            head = self._head()
            while 100 <= head.status < 200:
                head = self._head()
        except (OSError, UnicodeEncodeError) as error:
            raise WireError(_words(error)) from None
        if "transfer-encoding" in head.headers:
            self.close()
            raise Chunked("a body without its length")
        self._left = head.length
        self._keep = head.length is not None and not old and "close" not in head.headers.get("connection", "").lower()
        self._mark, self._since = time.monotonic(), 0
        return head

    def take(self, view: memoryview) -> int:
        """Bytes of the body into ``view``, as many as there are; 0 at its end.

        Raises:
            WireError: it broke or stalled before its end.
        """
        room = len(view) if self._left is None else min(len(view), self._left)
        if room == 0:
            return 0
        if waiting := min(room, self._stop - self._start):
            view[:waiting] = memoryview(self._buffer)[self._start : self._start + waiting]
            self._start += waiting
            count = waiting
        else:
            count = self._receive(view[:room])
        if self._left is not None:
            self._left -= count
            if not count:
                raise WireError(f"it ended {self._left} bytes early")
        return count

    def done(self) -> None:
        """The answer has been read: the connection is kept for the next one, or ended if it is of no use any more."""
        self.used = True
        if not self._keep or self._left or self._stop > self._start:
            # more than was announced would pass for the next answer
            self.close()

    def close(self) -> None:
        """End the connection; the next request makes a new one."""
        sock, self._sock = self._sock, None
        self._start = self._stop = 0
        self.used = False
        if sock is not None:
            sock.close()

    def end(self) -> None:
        """From another thread: let whoever reads see the end."""
        if (sock := self._sock) is not None:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def _receive(self, view: memoryview) -> int:
        assert self._sock is not None
        try:
            count = self._sock.recv_into(view)
        except OSError as error:
            raise WireError(_words(error)) from None
        self._since += count
        if self._since < SLOWEST * self._patience.stall and time.monotonic() - self._mark > self._patience.stall:
            raise WireError("it has all but stalled")
        if self._since >= SLOWEST * self._patience.stall:
            self._mark, self._since = time.monotonic(), 0
        return count

    def _head(self) -> Head:
        """The next head, of what is in the buffer and what comes."""
        assert self._sock is not None
        self._buffer[: self._stop - self._start] = self._buffer[self._start : self._stop]
        self._start, self._stop = 0, self._stop - self._start
        deadline, view = time.monotonic() + HEAD * self._patience.stall, memoryview(self._buffer)
        while (end := self._buffer.find(b"\r\n\r\n", 0, self._stop)) < 0:
            if self._stop == LARGEST_HEAD or time.monotonic() > deadline:
                raise WireError("an endless head")
            count = self._sock.recv_into(view[self._stop :])
            if not count:
                raise WireError("it ended before it answered")
            self._stop += count
        self._start = end + 4
        return _parse(bytes(view[:end]))

    def _socket(self) -> socket.socket:
        if self._sock is None:
            self._sock = self._dial()
        return self._sock

    def _dial(self) -> socket.socket:
        host, secure = self._origin.hostname or "", self._origin.scheme == "https"
        port = self._origin.port or (443 if secure else 80)
        proxy = _proxy(self._origin.scheme, host)
        if proxy:
            return self._by_proxy(urlsplit(proxy if "://" in proxy else f"http://{proxy}"), host, port)
        sock = self._connect(host, port)
        return self._secured(sock, host) if secure else sock

    def _connect(self, host: str, port: int) -> socket.socket:
        """Connect to the first address that may be asked and answers."""
        failure: OSError | None = None
        for family, kind, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            if not is_allowed(str(address[0]), self._addresses):
                failure = failure or PermissionError()
                continue
            sock = socket.socket(family, kind, protocol)
            try:
                sock.settimeout(self._patience.connect)
                sock.connect(address)
                sock.settimeout(self._patience.stall)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return sock
            except OSError as error:
                sock.close()
                failure = error
        if isinstance(failure, PermissionError):
            raise Forbidden(refusal(host))
        raise failure or OSError("no address")

    def _by_proxy(self, proxy: SplitResult, host: str, port: int) -> socket.socket:
        """Through a proxy: a tunnel for https, the whole URL for http."""
        sock = socket.create_connection((proxy.hostname or "", proxy.port or 80), self._patience.connect)
        sock.settimeout(self._patience.stall)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._origin.scheme == "http":
            self._prefix = f"http://{self._origin.netloc}"
            return sock
        who = (
            b64encode(f"{unquote(proxy.username)}:{unquote(proxy.password or '')}".encode()).decode()
            if proxy.username
            else ""
        )
        more = f"Proxy-Authorization: Basic {who}\r\n" if who else ""
        sock.sendall(f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n{more}\r\n".encode())
        self._sock, head = sock, None
        try:
            head = self._head()
        finally:
            self._sock = None
            if head is None or head.status != 200:
                sock.close()
        if head.status != 200:
            raise WireError(f"the proxy answers with {head.status}")
        return self._secured(sock, host)

    def _secured(self, sock: socket.socket, host: str) -> socket.socket:
        try:
            return _trust().wrap_socket(sock, server_hostname=host)
        except BaseException:
            sock.close()
            raise


def _parse(head: bytes) -> Head:
    """A head from its bytes.

    Raises:
        WireError: it is not one.
    """
    first, *lines = head.decode("latin-1").split("\r\n")
    version, _, rest = first.partition(" ")
    status = rest[:3]
    if not version.startswith("HTTP/1.") or not (status.isascii() and status.isdigit()):
        raise WireError("an answer that is not HTTP")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    text = headers.get("content-length")
    if text is not None and not (text.isascii() and text.isdigit() and len(text) < 19):
        raise WireError("a length that is no number")
    if version == "HTTP/1.0" and "keep-alive" not in headers.get("connection", "").lower():
        headers["connection"] = "close"
    none = status in {"204", "304"} or status.startswith("1")
    return Head(int(status), headers, 0 if none else None if text is None else int(text))


def _proxy(scheme: str, host: str) -> str | None:
    """The URL of the proxy that is to be asked in place of a host."""
    if sys.platform == "linux" and not any(name.lower().endswith("_proxy") for name in os.environ):
        return None
    from urllib.request import getproxies, proxy_bypass  # brings a whole HTTP client

    return None if proxy_bypass(host) else getproxies().get(scheme)


@cache
def _trust() -> ssl.SSLContext:
    """Whom requests would trust."""
    import ssl

    import certifi

    bundle = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or certifi.where()
    folder = os.path.isdir(bundle)  # noqa: PTH112
    return ssl.create_default_context(cafile=None if folder else bundle, capath=bundle if folder else None)


def _words(error: Exception) -> str:
    """What happened, without a URL."""
    if isinstance(error, TimeoutError):
        return "no byte came in time"
    return getattr(error, "strerror", None) or type(error).__name__
