"""The archive as an ASGI application: it keeps a record of requests and lets a test answer in its place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from starlette.concurrency import run_in_threadpool
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route, Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dandi_mirror.embedded.api import routes
from dandi_mirror.embedded.bucket.app import BucketApp
from dandi_mirror.embedded.bucket.asgi import BodyTooLarge, discard_body, read_body
from dandi_mirror.embedded.bucket.objects import BUCKET
from dandi_mirror.embedded.rules.queries import parameters
from dandi_mirror.embedded.store.archive import Archive

ROBOTS = "User-agent: *\nDisallow: /\n"
MISDIRECTED = "Bad Request: this server answers under its own name and port only.\n"
MOST_BODY = 64 * 1024 * 1024
"""Bytes of a request's body at most, unless it goes to the bucket."""
routes.register_text("object_key", "(?s:.*)")
routes.register_text("with_newline", "(?s:.*\n.*)")


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
Rewrite = Callable[[Request, Response], Response]


class Server:
    """A served archive.

    ``requests`` has every request in order of arrival.  A test may set ``intercept``: it sees each request first, in
    a thread of its own, and returns the answer (a starlette Response or any ASGI application), or None to let the
    archive answer.  A test may set ``rewrite``: it sees what the archive has answered, and returns what the client
    gets.
    """

    def __init__(self, archive: Archive, host: str, port: int) -> None:
        self.archive = archive
        self.origin = f"http://{host}:{port}"
        self.api_url = f"{self.origin}/api"
        self.names = {f"{name}:{port}" for name in (host, "localhost", "127.0.0.1", "[::1]")}
        """What a request may call this server (``Host``): by another name a web page could reach loopback."""
        self.requests: list[Request] = []
        self.intercept: Intercept | None = None
        self.rewrite: Rewrite | None = None
        self._routes = _routes(archive)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, as ASGI has it."""
        request = _request(scope)
        self.requests.append(request)

        async def send_noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                request.status = message["status"]
            await send(message)

        if request.headers.get("host", "").lower() not in self.names:
            refusal = PlainTextResponse(MISDIRECTED, 400, {"Connection": "close"})
            return await refusal(scope, receive, send_noting)
        streamed = request.method == "PUT" and request.path.startswith(f"/{BUCKET}/")
        has_body = "content-length" in request.headers or "transfer-encoding" in request.headers
        try:
            body = await read_body(receive, MOST_BODY) if has_body and not streamed else b""
        except BodyTooLarge:
            refusal = PlainTextResponse("Request Entity Too Large", 413, {"Connection": "close"})
            return await refusal(scope, receive, send_noting)
        if self.intercept is not None and (app := await run_in_threadpool(self.intercept, request)):
            if streamed:
                await discard_body(receive)
            return await app(scope, receive, send_noting)
        if not streamed:
            receive = _replay(body, receive)
        if self.rewrite is None:
            return await self._routes(scope, receive, send_noting)
        response = self.rewrite(request, await _collect(self._routes, scope, receive))
        await response(scope, receive, send_noting)


def _request(scope: Scope) -> Request:
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    return Request(scope["method"], scope["path"], scope["query_string"].decode("latin-1"), headers)


def _replay(body: bytes, receive: Receive) -> Receive:
    """Give a body that has been received once more; after it comes what ``receive`` gives."""
    left = [body]

    async def again() -> Message:
        return {"type": "http.request", "body": left.pop()} if left else await receive()

    return again


async def _collect(app: ASGIApp, scope: Scope, receive: Receive) -> Response:
    """The whole response of ``app``; its body is not compressed."""
    sent: list[Message] = []

    async def keep(message: Message) -> None:
        sent.append(message)

    plain = [(name, value) for name, value in scope["headers"] if name != b"accept-encoding"]
    await app({**scope, "headers": plain}, receive, keep)
    response = Response(b"".join(message.get("body", b"") for message in sent), sent[0]["status"])
    response.raw_headers = sent[0]["headers"]
    return response


def _routes(archive: Archive) -> Router:
    """Bucket, API and the rest.  A pattern's ``$`` also matches before a newline: no such path exists."""
    in_thread = archive.bucket is not archive.own_bucket
    not_found = routes.NotFound(archive, [])
    bucket = BucketApp(archive.own_bucket, in_thread=in_thread)
    return Router(
        [
            Route(f"/{BUCKET}/{{key:object_key}}", bucket),
            Route(f"/{BUCKET}", bucket),
            Route("/{path:with_newline}", not_found),
            Mount("/api", routes.router(archive, in_thread=in_thread)),
            Route("/robots.txt", PlainTextResponse(ROBOTS)),
        ],
        redirect_slashes=False,
        default=not_found,
    )
