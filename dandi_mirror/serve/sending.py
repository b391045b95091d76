"""Send content, whole or a part of it: from disk, from the cache, or by telling where the archive has it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Generator
from contextlib import suppress
from enum import Enum
from mimetypes import guess_type
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import Receive, Scope, Send

from dandi_mirror.errors import CredentialsError, MirrorError, NotFoundError, PartError, TemporaryError
from dandi_mirror.serve import repeated
from dandi_mirror.serve.answers import ErrorAnswer
from dandi_mirror.serve.cache.cache import BlockCache
from dandi_mirror.serve.content import PIECE, Content

ABSENT = "The content of this file is not in this mirror, and the server runs offline."
UNKNOWN = "The content of this file is not in this mirror, and nobody is known to have it."
_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")
_STATUS: list[tuple[type[MirrorError], int]] = [(NotFoundError, 404), (CredentialsError, 403), (TemporaryError, 504)]


class Elsewhere(Enum):
    """What happens when content is asked for that is not on this machine."""

    FETCH = "it is fetched from the archive, through the cache"
    REDIRECT = "the answer is a redirect to the archive"
    OFFLINE = "only what the cache has is sent"


class Sender:
    """Sends content to those who ask."""

    def __init__(self, cache: BlockCache, elsewhere: Elsewhere) -> None:
        self._cache = cache
        self._elsewhere = elsewhere

    @property
    def is_offline(self) -> bool:
        """Whether the server asks nobody, and sends nobody elsewhere."""
        return self._elsewhere is Elsewhere.OFFLINE

    def send(
        self, request: Request, content: Content, name: str = "", how: str = "attachment", *, lasts: bool = False
    ) -> Response:
        """The answer to a request for content; ``name`` and ``how`` are of the file that a browser saves.

        ``lasts``: what was looked at to find the content was noted (:mod:`dandi_mirror.serve.repeated`).

        Raises:
            ErrorAnswer: it is not here and cannot be fetched, or the part that is asked for does not exist.
        """
        size, remote = content.size, content.remote
        if not remote and content.file is None and content.data is None:
            raise ErrorAnswer(404, UNKNOWN)
        if remote and self._elsewhere is Elsewhere.REDIRECT:
            if not (urls := remote.urls()):
                raise ErrorAnswer(404, UNKNOWN)
            return RedirectResponse(urls[0], 302)
        headers = _headers(content, name, how)
        if headers.get("etag") and headers["etag"] in _tags(request.headers.get("if-none-match", "")):
            return Response(status_code=304, headers={"etag": headers["etag"]})
        part = requested_part(request, size, headers.get("etag", ""))
        start, stop = part or (0, size)
        if remote and self.is_offline and not self._cache.holds(remote, start, stop):
            raise ErrorAnswer(404, ABSENT)
        headers |= {"content-range": f"bytes {start}-{stop - 1}/{size}"} if part else {}
        headers["content-length"] = str(stop - start)
        status = 206 if part else 200
        if request.method == "HEAD":
            return Response(status_code=status, headers=headers)
        if lasts and not remote and not part:
            repeated.lasts(content.file)
        pieces = self._cache.read(remote, start, stop) if remote else content.pieces(start, stop)
        return Pieces(pieces, stop - start, status, headers)


class Pieces(Response):
    """A body that is read piece by piece; the first one at once, so that a failure has a status of its own."""

    def __init__(self, pieces: Generator[bytes], size: int, status: int, headers: dict[str, str]) -> None:
        try:
            self._first = next(pieces, b"")
        except MirrorError as error:
            raise ErrorAnswer(
                next((code for kind, code in _STATUS if isinstance(error, kind)), 502), str(error)
            ) from error
        except OSError as error:
            raise ErrorAnswer(404, UNKNOWN) from error
        self._rest = pieces
        self._left = size - len(self._first)
        super().__init__(status_code=status, headers=headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it; when the reader has gone, nothing more is read."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self._first, "more_body": self._left > 0})
        if not self._left:
            return
        gone = asyncio.ensure_future(_gone(receive))
        try:
            while self._left > 0 and not gone.done():
                piece = await run_in_threadpool(_more, self._rest)
                if not piece:
                    raise PartError("the content ended early")
                self._left -= len(piece)
                await send({"type": "http.response.body", "body": piece, "more_body": self._left > 0})
        finally:
            gone.cancel()
            with suppress(ValueError):  # a thread is still reading
                self._rest.close()


def _more(rest: Generator[bytes]) -> bytes:
    """The next pieces, as many as are worth a change of threads; empty at the end."""
    found = bytearray()
    while len(found) < PIECE and (piece := next(rest, b"")):
        if len(piece) >= PIECE:
            return bytes(found) + piece if found else piece
        found += piece
    return bytes(found)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def requested_part(request: Request, size: int, tag: str) -> tuple[int, int] | None:
    """The part of content that ``Range`` asks for; None for all of it, also where it asks for several parts.

    Raises:
        ErrorAnswer: 416 for a part beyond the end.
    """
    wanted = _RANGE.fullmatch(request.headers.get("range", "").replace(" ", ""))
    condition = request.headers.get("if-range")
    if not wanted or not any(wanted.groups()) or (condition is not None and condition != tag):
        return None
    first, last = wanted.groups()
    start = int(first) if first else max(0, size - int(last))
    stop = min(int(last) + 1, size) if first and last else size
    if first and last and int(last) < start:
        return None  # no range at all
    if start >= size or start >= stop:
        raise ErrorAnswer(416, "This part of the file does not exist.", {"content-range": f"bytes */{size}"})
    return start, stop


def _headers(content: Content, name: str, how: str) -> dict[str, str]:
    headers = {"accept-ranges": "bytes", "content-type": guess_type(name)[0] or "application/octet-stream"}
    if content.tag:
        headers["etag"] = f'"{content.tag}"'
    if name:
        plain = quote(name)
        headers["content-disposition"] = (
            f'{how}; filename="{name}"' if plain == name else f"{how}; filename*=utf-8''{plain}"
        )
    return headers


def _tags(text: str) -> set[str]:
    return {tag.strip().removeprefix("W/") for tag in text.split(",")}
