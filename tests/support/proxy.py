"""A proxy in front of a served archive that passes answers on, or spoils them byte by byte."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from dandi_mirror.embedded import Server

RESET = struct.pack("ii", 1, 0)
"""SO_LINGER on, for no time: closing sends a reset."""


@dataclass(slots=True)
class Exchange:
    """One request that has come, and what is needed to answer it well or badly."""

    proxy: Proxy
    client: socket.socket
    head: bytes
    begun: bytes = b""
    """What has come of the body with the head."""
    taken: bool = False
    """Whether the body has been read."""

    @property
    def method(self) -> str:
        return self.head.split(b" ", 1)[0].decode("latin-1")

    @property
    def target(self) -> str:
        """The path with its query."""
        return self.head.split(b" ", 2)[1].decode("latin-1")

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return {name: values[-1] for name, values in parse_qs(urlsplit(self.target).query).items()}

    def answer(self) -> tuple[bytes, bytes]:
        """The head and the body that the archive answers with."""
        with socket.create_connection(self.proxy.upstream) as upstream:
            upstream.sendall(self.head)
            for piece in self.body():
                upstream.sendall(piece)
            return _read_answer(upstream)

    def body(self) -> Iterator[bytes]:
        """What the client sends, once."""
        missing, self.taken = 0 if self.taken else _length(self.head), True
        piece = self.begun
        while missing > 0:
            if piece:
                yield piece
                missing -= len(piece)
            if missing > 0 and not (piece := self.client.recv(1 << 18)):
                raise ConnectionAbortedError

    def send(self, status: str, body: bytes = b"", *, length: int | None = None, **headers: str) -> None:
        """An answer of our own; ``length`` is what it says of its body's."""
        for _ in self.body():
            pass  # or it would pass for the next request
        named = {"content-type": "application/json", "content-length": str(len(body) if length is None else length)}
        named |= {name.replace("_", "-"): value for name, value in headers.items()}
        lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in named.items()), "", ""]
        self.client.sendall("\r\n".join(lines).encode() + body)

    def reset(self) -> None:
        """Break the connection off."""
        self.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        raise ConnectionAbortedError

    def gone(self, seconds: float | None = None) -> bool:
        """Whether the client goes away within this time; without one, wait until it does."""
        self.client.settimeout(seconds)
        try:
            while self.client.recv(1 << 16):
                pass
            return True
        except TimeoutError:
            return False


Fault = Callable[[Exchange], None]
"""Answers, and returns if the connection is to be used again."""


class Proxy:
    """Listens on a port of its own; ``choose`` says for each request which fault it meets, if any."""

    def __init__(self, upstream: tuple[str, int]) -> None:
        self.upstream = upstream
        self.choose: Callable[[Exchange], Fault | None] = lambda exchange: None
        self.connections = 0
        self.asked: list[str] = []
        """The target of each request, in order of arrival."""
        self.struck = 0
        """How many requests met a fault."""
        self._lock = threading.Lock()
        self._clients: set[socket.socket] = set()
        self._listening: socket.socket | None = None
        self.port = 0
        self.up()
        self.origin = f"http://127.0.0.1:{self.port}"
        self.api_url = f"{self.origin}/api"

    def up(self) -> None:
        """Listen, if it does not."""
        with self._lock:
            if self._listening is not None:
                return
            listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(("127.0.0.1", self.port))
            listening.listen(128)
            self.port = listening.getsockname()[1]
            self._listening = listening
        threading.Thread(target=self._accept, args=[listening], daemon=True).start()

    def down(self) -> None:
        """Refuse connections, and break off those that there are."""
        with self._lock:
            listening, self._listening = self._listening, None
            clients = list(self._clients)
        if listening is not None:
            with suppress(OSError):
                listening.shutdown(socket.SHUT_RDWR)
            listening.close()
        for client in clients:
            with suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)

    def _accept(self, listening: socket.socket) -> None:
        while True:
            try:
                client, _ = listening.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=[client], daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with self._lock:
            self._clients.add(client)
        try:
            with client, suppress(OSError):
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                while head := _read_head(client):
                    self._exchange(Exchange(self, client, *head))
        finally:
            with self._lock:
                self._clients.discard(client)

    def _exchange(self, exchange: Exchange) -> None:
        self.asked.append(exchange.target)
        fault = self.choose(exchange)
        if fault is not None:
            self.struck += 1
            fault(exchange)
            return
        exchange.client.sendall(b"".join(exchange.answer()))


@contextmanager
def proxy_of(server: Server) -> Iterator[Proxy]:
    """A proxy before a server, which answers under the proxy's name as well, for as long as the block lasts."""
    place = urlsplit(server.origin)
    proxy = Proxy((place.hostname or "", place.port or 0))
    server.names.add(f"127.0.0.1:{proxy.port}")
    try:
        yield proxy
    finally:
        proxy.down()


def _read_head(place: socket.socket) -> tuple[bytes, bytes] | None:
    """Up to the empty line, and what came after it; None at the end of the connection."""
    held = b""
    while b"\r\n\r\n" not in held:
        piece = place.recv(65536)
        if not piece:
            return None
        held += piece
    head, line, rest = held.partition(b"\r\n\r\n")
    return head + line, rest


def _length(head: bytes) -> int:
    lines = head.lower().split(b"\r\n")
    return next((int(line.partition(b":")[2]) for line in lines if line.startswith(b"content-length:")), 0)


def _read_answer(place: socket.socket) -> tuple[bytes, bytes]:
    held = b""
    while b"\r\n\r\n" not in held:
        held += place.recv(65536)
    head, _, body = held.partition(b"\r\n\r\n")
    pieces, missing = [body], _length(head) - len(body)
    while missing > 0:
        pieces.append(piece := place.recv(1 << 18))
        missing -= len(piece)
    return head + b"\r\n\r\n", b"".join(pieces)
