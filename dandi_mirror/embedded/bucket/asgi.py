"""Receive the body of a request piece by piece, and answer under the archive's lock."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.types import Receive

from dandi_mirror.embedded.bucket.contents import PIECE


class BodyTooLarge(Exception):
    """A request whose body is over the limit."""


async def read_body(receive: Receive, limit: int | None = None) -> bytes:
    """Receive a whole body.

    Raises:
        BodyTooLarge: over ``limit`` bytes.
    """
    parts, size = [], 0
    async for part in _chunks(receive):
        parts.append(part)
        size += len(part)
        if limit is not None and size > limit:
            raise BodyTooLarge
    return b"".join(parts)


async def read_pieces(receive: Receive) -> AsyncIterator[bytes]:
    """Receive a body in pieces of a MiB or more, so that writing one is worth a call in a thread."""
    held = bytearray()
    async for chunk in _chunks(receive):
        held += chunk
        if len(held) >= PIECE:
            yield bytes(held)
            held.clear()
    yield bytes(held)


async def discard_body(receive: Receive) -> None:
    """Receive a body and drop it, so that the client reads the answer instead of a broken connection."""
    async for _ in _chunks(receive):
        pass


async def _chunks(receive: Receive) -> AsyncIterator[bytes]:
    """The body as it arrives; ends also when the client disconnects."""
    more = True
    while more:
        message = await receive()
        yield message.get("body", b"")
        more = message.get("more_body", False)


async def answer_locked(lock: threading.RLock, make: Callable[[], Response], *, in_thread: bool) -> Response:
    """Make an answer under ``lock``; in a thread if making it may take long."""

    def locked() -> Response:
        with lock:
            return make()

    return await run_in_threadpool(locked) if in_thread else locked()
