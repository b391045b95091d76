"""Ports on loopback that nobody has a reason to ask: what comes to them is kept."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar


@dataclass
class Listener:
    """One port; as a proxy it is asked for any host."""

    port: int
    heard: list[str] = field(default_factory=list)
    """Each request as it came: its first line, and its headers."""

    @property
    def origin(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"


class _Handler(BaseHTTPRequestHandler):
    heard: ClassVar[list[str]]

    def log_message(self, *_: object) -> None:
        """Nothing is printed."""

    def handle_one_request(self) -> None:
        """Keep what came, and answer that there is nothing; then the connection ends."""
        self.close_connection = True
        self.raw_requestline = self.rfile.readline(65537)
        if self.raw_requestline and self.parse_request():
            self.heard.append(f"{self.requestline}\n{self.headers}")
            self.send_error(404)


@contextmanager
def listening() -> Iterator[Listener]:
    """Listen for as long as the block lasts."""
    heard: list[str] = []
    handler = type("Handler", (_Handler,), {"heard": heard})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield Listener(server.server_address[1], heard)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
