"""A served mirror as an ASGI application: its routes, who may ask, and which web pages may read the answers."""

from __future__ import annotations

import logging
from collections.abc import Callable

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dandi_mirror.errors import MirrorError
from dandi_mirror.mirror.state.layout import Mirror
from dandi_mirror.model import is_asset_id, is_dandiset_id
from dandi_mirror.serve import git_files, repeated
from dandi_mirror.serve.access import Tokens
from dandi_mirror.serve.answers import ErrorAnswer, json_response, not_found
from dandi_mirror.serve.assets import Assets
from dandi_mirror.serve.dandisets import Dandisets
from dandi_mirror.serve.dav import METHODS, PLACE, REFUSED_METHODS, Dav
from dandi_mirror.serve.pages import Pages
from dandi_mirror.serve.repeated import RepeatedAnswers
from dandi_mirror.serve.sending import Sender
from dandi_mirror.serve.served import ServedMirror
from dandi_mirror.serve.tree import ServedTree
from dandi_mirror.serve.zarrs import Zarrs
from dandi_mirror.text import printable

LOG = logging.getLogger("dandi_mirror")
UNEXPECTED = "Something unexpected happened; the server's log has more."
MISDIRECTED = "This server answers under its own name and port only.\n"
_READ = ["GET", "HEAD"]
_EXPOSED = "Content-Length, Content-Range, Accept-Ranges, Content-Disposition, ETag, Location"
_CORS = {
    b"access-control-allow-origin": b"*",
    b"access-control-expose-headers": _EXPOSED.encode(),
}
_PREFLIGHT = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET, HEAD, OPTIONS",
    "Access-Control-Allow-Headers": "Range, If-Range, If-None-Match, Content-Type",
    "Access-Control-Allow-Private-Network": "true",
    "Access-Control-Max-Age": "600",
}
"""Any web page may read what everybody may read; none may send a token."""
Answer = Callable[[Request], Response]


class ServedApp:
    """Answers requests that come under one of the server's own names."""

    def __init__(
        self,
        mirror: Mirror,
        origin: str,
        names: frozenset[str],
        sender: Sender,
        hosts: frozenset[str] = frozenset(),
        pages: Pages | None = None,
        tokens: Tokens | None = None,
    ) -> None:
        """``origin``: the address in answers; ``names``: what a request may call the server (``Host``), with port.

        ``sender`` sends content; ``hosts``, besides those of the archive, may have some; ``pages`` are for people.
        ``tokens`` let who sends one see what is under embargo.
        """
        self._names = names
        self._tokens = tokens or Tokens()
        self.repeated = RepeatedAnswers(names)
        served, api_url = ServedMirror(mirror), f"{origin}/api"
        zarrs = Zarrs(served, api_url, sender, hosts)
        assets = Assets(served, api_url, sender, zarrs)
        table = _table(Dandisets(served, api_url), assets, zarrs)
        routes = [Route(f"/api{path}", _endpoint(answer), methods=_READ) for path, answer in table.items()]
        # as the archive does; dandi asks so for the entries of a Zarr
        routes += [Route(f"/api{path[:-1]}", _add_slash, methods=_READ) for path in table if path.endswith("/")]
        dav = Dav(ServedTree(served, zarrs), sender)
        routes.append(Route(f"{PLACE}{{path:path}}", dav.answer, methods=[*METHODS, *REFUSED_METHODS]))
        files = git_files.GitFiles(served, zarrs, sender)
        routes.append(Route(f"{git_files.PLACE}/{{path:path}}", _endpoint(files.answer), methods=_READ))
        if pages:
            routes.append(Route("/{path:path}", _endpoint(pages.answer), methods=_READ))
        self._routes = Router(routes, redirect_slashes=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        self._tokens.note(request)
        response: ASGIApp = self._routes
        # by another name a web page could reach a server that only this machine is to reach
        if request.headers.get("host", "").lower() not in self._names:
            response = PlainTextResponse(MISDIRECTED, 421)
        elif request.method == "OPTIONS" and not _is_of_dav(request):
            response = Response(status_code=204, headers=_PREFLIGHT)

        plain = response is not self._routes and request.method == "OPTIONS"
        sent = _Sent()
        basis = repeated.begin()

        async def send_noting(message: Message) -> None:
            if message["type"] == "http.response.start" and not plain:
                message["headers"] = [*message["headers"], *_CORS.items()]
            sent.note(message)
            await send(message)

        try:
            await response(scope, receive, send_noting)
            if basis.lasts and sent.is_whole and self.repeated.is_plain(scope["headers"]):
                self.repeated.keep(_target(scope), basis, sent.headers, sent.body)
        except Exception as error:
            _tell(request, error)
            if not sent.has_begun:
                await json_response({"detail": UNEXPECTED}, 500)(scope, receive, send_noting)
            # else the connection is cut: half an answer is not to look complete


class _Sent:
    """What of an answer was sent."""

    def __init__(self) -> None:
        self.has_begun = self.is_whole = False
        self.headers: list[repeated.Header] = []
        self.body = b""

    def note(self, message: Message) -> None:
        """Note a message; an answer is whole that has come in one piece."""
        if message["type"] == "http.response.start":
            self.has_begun, self.headers = True, list(message["headers"])
            self.is_whole = message["status"] == 200
        elif message["type"] == "http.response.body":
            self.is_whole = self.is_whole and not self.body and not message.get("more_body")
            self.body = message.get("body", b"")


def _target(scope: Scope) -> bytes:
    """The target of a request, as its first line has it."""
    query: bytes = scope["query_string"]
    path: bytes = scope["raw_path"]
    return path + (b"?" + query if query else b"")


async def _add_slash(request: Request) -> Response:
    raw, query = request.scope["raw_path"].decode("latin-1"), request.url.query
    # two slashes at the start would lead to another host
    return RedirectResponse(f"/{raw.strip('/')}/" + (f"?{query}" if query else ""), 301)


def _tell(request: Request, error: Exception) -> None:
    """Log why an answer could not be completed."""
    path = printable(request.url.path)
    if isinstance(error, (MirrorError, OSError)):
        LOG.warning("%s was not sent to its end: %s", path, error)
    else:
        LOG.error("unexpected, at %s: %s: %s", path, type(error).__name__, error)
    LOG.debug("where it happened:", exc_info=error)


def _is_of_dav(request: Request) -> bool:
    """Whether a WebDAV client asks what the server can do; the question of a browser is another one."""
    return request.url.path.startswith(PLACE) and "access-control-request-method" not in request.headers


def _table(about: Dandisets, assets: Assets, zarrs: Zarrs) -> dict[str, Answer]:
    """What answers which path of the API."""
    one = "/dandisets/{dandiset}/"
    version = one + "versions/{version}/"
    table: dict[str, Answer] = {
        "/info/": about.info,
        "/stats/": about.stats,
        "/dandisets/": about.dandisets,
        one: about.dandiset,
        one + "users/": about.users,
        one + "versions/": about.versions,
        version: about.version,
        version + "info/": about.version_info,
        version + "assets/": assets.assets,
        version + "assets/paths/": assets.paths,
        "/webdav/assets/atpath/": assets.at_path,
        "/zarr/": zarrs.zarrs,
        "/zarr/{zarr}/": zarrs.zarr,
        "/zarr/{zarr}/files/": zarrs.files,
        "/zarr/{zarr}/content/{path:path}": zarrs.entry,
        "/assets/{asset}/content/": assets.download,
    }
    for place in (version + "assets/{asset}/", "/assets/{asset}/"):
        ways = {
            "": assets.asset,
            "info/": assets.asset_info,
            "validation/": assets.validation,
            "download/": assets.download,
        }
        table |= {place + way: answer for way, answer in ways.items()}
    return table


def _endpoint(answer: Answer) -> Callable[[Request], object]:
    def run(request: Request) -> Response:
        try:
            _check(request)
            return answer(request)
        except ErrorAnswer as refused:
            return json_response({"detail": refused.detail}, refused.status, refused.headers)
        except MirrorError as error:
            return json_response({"detail": str(error)}, 500)

    async def endpoint(request: Request) -> Response:
        return await run_in_threadpool(run, request)

    return endpoint


def _check(request: Request) -> None:
    """Look nothing up by an id that has not the form of one."""
    path = request.path_params
    if not is_dandiset_id(path.get("dandiset", "000000")):
        raise not_found()
    if any(name in path and not is_asset_id(path[name]) for name in ("asset", "zarr")):
        raise not_found()
