"""The archive's own bucket as an ASGI application."""

from __future__ import annotations

from functools import partial

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from dandi_mirror.embedded.bucket import answers
from dandi_mirror.embedded.bucket.asgi import answer_locked, discard_body, read_body, read_pieces
from dandi_mirror.embedded.bucket.own import Bucket
from dandi_mirror.embedded.rules.queries import parameters

SMALL = 64 * 1024
"""Bytes of an object that is written at once: to wait for a thread would take longer."""


class BucketApp:
    """Answers requests for the object ``key`` (a path parameter) of ``bucket``."""

    def __init__(self, bucket: Bucket, *, in_thread: bool) -> None:
        self._bucket = bucket
        self._lock = bucket.archive.lock
        self._in_thread = in_thread

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["method"] == "PUT":
            response = await self._put(scope, receive)
        else:
            body = await read_body(receive)
            respond = partial(self._respond, scope, body)
            response = await answer_locked(self._lock, respond, in_thread=self._in_thread)
        await response(scope, receive, send)

    def _respond(self, scope: Scope, body: bytes) -> Response:
        return answers.respond(self._request(scope), self._bucket, body)

    def _request(self, scope: Scope) -> answers.ObjectRequest:
        query = parameters(scope["query_string"].decode("latin-1"))
        now = self._bucket.archive.now()
        key = scope["path_params"].get("key", "")
        return answers.ObjectRequest(now, scope["method"], key, query, Headers(scope=scope))

    async def _put(self, scope: Scope, receive: Receive) -> Response:
        """Receive a PUT into a file, piece by piece."""
        with self._lock:
            accepted = answers.accept(self._request(scope), self._bucket)
        if isinstance(accepted, Response):
            await discard_body(receive)
            return accepted
        if int(accepted.request.headers["content-length"]) <= SMALL:
            content = await read_body(receive)
            with self._lock, self._bucket.room() as arriving:
                arriving.write(content)
                return accepted.keep(arriving)
        with await run_in_threadpool(self._bucket.room) as arriving:
            async for piece in read_pieces(receive):
                await run_in_threadpool(arriving.write, piece)
            with self._lock:
                return accepted.keep(arriving)
