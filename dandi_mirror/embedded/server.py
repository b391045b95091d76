"""Serving an archive on loopback: uvicorn in a thread, for as long as a ``with`` block lasts."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import uvicorn
from starlette.concurrency import run_in_threadpool
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dandi_mirror.embedded import s3
from dandi_mirror.embedded.bucket import BUCKET
from dandi_mirror.embedded.contents import PIECE
from dandi_mirror.embedded.endpoints import ENDPOINTS
from dandi_mirror.embedded.http import Call, add_slash, answer, page_not_found
from dandi_mirror.embedded.routes import parameters
from dandi_mirror.embedded.store import Archive

ROBOTS = "User-agent: *\nDisallow: /\n"
MISDIRECTED = "Bad Request: this server answers under its own name and port only.\n"
MOST_BODY = 64 * 1024 * 1024
"""Bytes of a request's body at most, unless it goes to the bucket."""
_BUCKET = f"/{BUCKET}/"


@dataclass(slots=True)
class Request:
    """One request that arrived; ``status`` is 0 until the answer has begun."""

    method: str
    path: str
    """Decoded, from the root: ``/api/dandisets/``."""
    query: str
    """The query string as it was sent; :attr:`params` has it split."""
    headers: dict[str, str]
    """By lower-case name."""
    status: int = 0

    @property
    def params(self) -> dict[str, str]:
        """The query's parameters; the last of several values counts."""
        return parameters(self.query)


Intercept = Callable[[Request], ASGIApp | None]


class Server:
    """A served archive.

    ``requests`` has every request in order of arrival.  ``intercept``, when set, sees each one first, in a
    thread of its own: what it returns is the answer (a starlette Response or any ASGI app); on None the
    archive answers.
    """

    def __init__(self, archive: Archive, host: str, port: int) -> None:
        self.archive = archive
        self.origin = f"http://{host}:{port}"
        self.api_url = f"{self.origin}/api"
        self.names = {f"{name}:{port}" for name in (host, "localhost", "127.0.0.1", "[::1]")}
        """What a request may call this server (``Host``): by another name a web page could reach loopback."""
        self.requests: list[Request] = []
        self.intercept: Intercept | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, as ASGI has it."""
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        query = scope["query_string"].decode("latin-1")
        request = Request(scope["method"], scope["path"], query, headers)
        self.requests.append(request)
        if headers.get("host", "").lower() not in self.names:
            request.status = 400
            await PlainTextResponse(MISDIRECTED, 400, {"Connection": "close"})(scope, receive, send)
            return

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                request.status = message["status"]
            await send(message)

        streamed = request.method == "PUT" and request.path.startswith(_BUCKET)
        has_body = "content-length" in headers or "transfer-encoding" in headers
        try:
            body = await _body(receive) if has_body and not streamed else b""
        except TooLarge:
            await PlainTextResponse("Request Entity Too Large", 413, {"Connection": "close"})(scope, receive, noting)
            return
        app: ASGIApp | None = None
        if self.intercept is not None:
            app = await run_in_threadpool(self.intercept, request)
        if app is not None and streamed:
            await _drained(receive)
        if app is None and streamed:
            app = await self._take(request, receive)
        if app is None and self.archive.bucket is not self.archive.own_bucket:
            app = await run_in_threadpool(self._locked_answer, request, body, scope)
        await (app or self._locked_answer(request, body, scope))(scope, receive, noting)

    async def _take(self, request: Request, receive: Receive) -> Response:
        """Receive a PUT to the bucket, into a file, a piece at a time."""
        with self.archive.lock:
            taken = s3.accept(self._asked(request), self.archive.own_bucket)
        if isinstance(taken, Response):
            await _drained(receive)
            return taken
        with await run_in_threadpool(self.archive.own_bucket.room) as arriving:
            async for piece in _pieces(receive):
                await run_in_threadpool(arriving.write, piece)
            with self.archive.lock:
                return taken.keep(arriving)

    def _asked(self, request: Request) -> s3.Asked:
        key = request.path.removeprefix(_BUCKET)
        return s3.Asked(self.archive, request.method, key, request.params, request.headers)

    def _locked_answer(self, request: Request, body: bytes, scope: Scope) -> Response:
        with self.archive.lock:
            return self.answer(request, body, scope["raw_path"].decode("latin-1"))

    def answer(self, request: Request, body: bytes, raw_path: str) -> Response:
        """The archive's own answer."""
        path, headers = request.path, request.headers
        if path.startswith(_BUCKET):
            return s3.respond(self._asked(request), self.archive.own_bucket, body)
        url = f"http://{headers.get('host', '')}{raw_path}" + (f"?{request.query}" if request.query else "")
        call = Call(self.archive, request.method, url, request.params, headers, body)
        for endpoint in ENDPOINTS:
            if match := endpoint.pattern.fullmatch(path):
                call.args = match.groupdict()
                return answer(endpoint, call)
        if any(endpoint.pattern.fullmatch(path + "/") for endpoint in ENDPOINTS):
            return add_slash(raw_path, request.query)
        return PlainTextResponse(ROBOTS) if path == "/robots.txt" else page_not_found(call)


class TooLarge(Exception):
    """A body that is not for the bucket, and too large for anything else."""


async def _body(receive: Receive) -> bytes:
    parts, size = [], 0
    async for part in _chunks(receive):
        parts.append(part)
        size += len(part)
        if size > MOST_BODY:
            raise TooLarge
    return b"".join(parts)


async def _chunks(receive: Receive) -> AsyncIterator[bytes]:
    """What is received, as it comes; it ends also where the client goes away."""
    more = True
    while more:
        message = await receive()
        yield message.get("body", b"")
        more = message.get("more_body", False)


async def _pieces(receive: Receive) -> AsyncIterator[bytes]:
    """What is received, in pieces that are worth a thread's while."""
    held = bytearray()
    async for chunk in _chunks(receive):
        held += chunk
        if len(held) >= PIECE:
            yield bytes(held)
            held.clear()
    yield bytes(held)


async def _drained(receive: Receive) -> None:
    """Let a body go by, so that the client reads the answer instead of a broken connection."""
    async for _ in _chunks(receive):
        pass


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
