"""WebDAV, read-only, so that ``rclone mount``, ``davfs2`` or a file manager show a mirror as folders.

wsgidav answers what is asked about files and folders; the bytes of files are sent as by the API.
"""

from __future__ import annotations

import io
import sys
from http import HTTPStatus
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from dandi_mirror.serve.answers import ErrorAnswer
from dandi_mirror.serve.sending import Sender
from dandi_mirror.serve.tree import ServedTree
from dandi_mirror.text import how_to_install

PLACE = "/dav"
METHODS = ["GET", "HEAD", "OPTIONS", "PROPFIND"]
"""What is answered; wsgidav refuses the other methods of WebDAV as those of a read-only share."""
REFUSED_METHODS = ["PUT", "POST", "DELETE", "MKCOL", "COPY", "MOVE", "LOCK", "UNLOCK", "PROPPATCH", "PATCH"]
LONGEST = 1 << 16
"""Bytes of a request's body at most."""
LACKING = f"This server has no WebDAV; {how_to_install('dav')}\n"
FOLDER = "This is a folder. Open this address with a WebDAV client, for example: rclone ls ':webdav,url=\"ADDRESS\":'\n"


class Dav:
    """Answers requests below ``/dav``."""

    def __init__(self, tree: ServedTree, sender: Sender) -> None:
        self._tree = tree
        self._sender = sender
        self._app: Any = None

    async def answer(self, request: Request) -> Response:
        """Answer one request."""
        if request.method in REFUSED_METHODS:
            return Response(status_code=405, headers={"allow": ", ".join(METHODS)})
        body = bytearray()
        async for piece in request.stream():
            body += piece
            if len(body) > LONGEST:
                return Response(status_code=413, headers={"connection": "close"})
        return await run_in_threadpool(self._answer, request, bytes(body))

    def _answer(self, request: Request, body: bytes) -> Response:
        try:
            if request.method in {"GET", "HEAD"}:
                return self._file(request)
            if request.method == "PROPFIND" and request.headers.get("depth") not in {"0", "1"}:
                return Response(_FINITE, 403, media_type="application/xml")  # it would list the whole archive
            return self._about(request, body)
        except ErrorAnswer as refused:
            return PlainTextResponse(f"{refused.detail}\n", refused.status, dict(refused.headers))

    def _file(self, request: Request) -> Response:
        node = self._tree.find(request.scope["path"].removeprefix(PLACE))
        if node is None:
            raise ErrorAnswer(404, "Not found.")
        if node.content is None:
            return PlainTextResponse(FOLDER, 405, {"allow": "OPTIONS, PROPFIND"})
        return self._sender.send(request, node.content(), node.name, "inline", lasts=True)

    def _about(self, request: Request, body: bytes) -> Response:
        """What wsgidav says."""
        if self._app is None:
            try:
                self._app = _app(self._tree)
            except ImportError:
                return PlainTextResponse(LACKING, 501)
        started: list[Any] = []
        pieces = self._app(_environ(request, body), lambda *said: started.append(said))
        content = b"".join(pieces)
        status, headers = started[-1][:2]
        code = HTTPStatus(int(status[:3]))
        if code >= 400:
            return PlainTextResponse(f"{code.phrase}\n", code)  # not the page that wsgidav makes of it
        kept = {name: value for name, value in headers if name.lower() not in {"content-length", "date", "connection"}}
        return Response(content, code, kept)


_FINITE = b'<?xml version="1.0"?><D:error xmlns:D="DAV:"><D:propfind-finite-depth/></D:error>'


def _app(tree: ServedTree) -> Any:
    """The application of wsgidav on a tree."""
    from wsgidav.error_printer import ErrorPrinter
    from wsgidav.request_resolver import RequestResolver
    from wsgidav.wsgidav_app import WsgiDAVApp

    from dandi_mirror.serve.dav_provider import TreeProvider

    return WsgiDAVApp(
        {
            "provider_mapping": {PLACE: TreeProvider(tree)},
            "middleware_stack": [ErrorPrinter, RequestResolver],
            "logging": {"enable": False},
            "lock_storage": False,
            "property_manager": None,
            "suppress_version_info": True,
            "verbose": 1,
        }
    )


def _environ(request: Request, body: bytes) -> dict[str, Any]:
    """The request as WSGI has it."""
    environ = {
        "REQUEST_METHOD": request.method, "SCRIPT_NAME": "", "QUERY_STRING": "",
        "PATH_INFO": request.scope["path"].encode().decode("latin-1"),
        "SERVER_NAME": "localhost", "SERVER_PORT": "80", "SERVER_PROTOCOL": "HTTP/1.1",
        "CONTENT_LENGTH": str(len(body)), "CONTENT_TYPE": request.headers.get("content-type", ""),
        "wsgi.version": (1, 0), "wsgi.url_scheme": "http", "wsgi.input": io.BytesIO(body), "wsgi.errors": sys.stderr,
        "wsgi.multithread": True, "wsgi.multiprocess": False, "wsgi.run_once": False, "wsgidav.auth.user_name": "",
    }  # fmt: skip
    return environ | {"HTTP_DEPTH": request.headers.get("depth", "0"), "HTTP_HOST": request.headers.get("host", "")}
