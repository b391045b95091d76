"""Serve an archive on loopback: uvicorn in a thread, until a ``with`` block ends."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import uvicorn

from dandi_mirror.embedded.serving.app import Server
from dandi_mirror.embedded.store.archive import Archive


class _Uvicorn(uvicorn.Server):
    """uvicorn that says when it is up, and stops at once instead of at its next tick."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()

    async def main_loop(self) -> None:
        self._loop = asyncio.get_running_loop()
        ticking = asyncio.create_task(super().main_loop())
        self.up.set()
        await self._stop.wait()
        ticking.cancel()

    def stop(self) -> None:
        """End the serving, from another thread."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)


def _config(server: Server) -> uvicorn.Config:
    """Quiet, patient with idle connections, and not with slow readers at the end."""
    return uvicorn.Config(
        server,
        loop="asyncio",
        http="h11",  # it refuses to send what is no HTTP, whatever else is installed
        log_config=None,
        access_log=False,
        lifespan="off",
        ws="none",
        timeout_keep_alive=75,
        timeout_graceful_shutdown=5,
    )


@contextmanager
def serve(archive: Archive, port: int = 0, host: str = "127.0.0.1") -> Iterator[Server]:
    """Serve ``archive`` until the block ends; port 0 is a free one.

    Raises:
        OSError: the port is taken.
    """
    # With its protocol named, or asyncio leaves Nagle's algorithm on and a small answer takes 40 ms.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        server = Server(archive, host, listening.getsockname()[1])
        archive.at(server.origin)
        running = _Uvicorn(_config(server))
        thread = threading.Thread(target=partial(running.run, sockets=[listening]), daemon=True)
        thread.start()
        try:
            if not running.up.wait(30):
                raise RuntimeError("the embedded archive did not start within 30 s")
            with archive.jobs.running():
                yield server
        finally:
            running.stop()
            thread.join(30)
