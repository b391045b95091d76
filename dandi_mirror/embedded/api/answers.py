"""The response to a call: content type, authentication, headers, the form of errors."""

from __future__ import annotations

import html
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from dandi_mirror.embedded.api.calls import Call
from dandi_mirror.embedded.rules.refusals import Refused, detail
from dandi_mirror.embedded.rules.values import dumps
from dandi_mirror.embedded.store.catalog import User

LEAST_GZIP = 200
"""The archive compresses answers of at least so many bytes."""
NOT_FOUND_PAGE = """
<!doctype html>
<html lang="en">
<head>
  <title>Not Found</title>
</head>
<body>
  <h1>Not Found</h1><p>The requested resource was not found on this server.</p>
</body>
</html>
"""


@dataclass(frozen=True, slots=True)
class View:
    """The methods of an endpoint in the order of ``Allow``, and the function behind each."""

    allow: str
    run: Mapping[str, Callable[[Call], Any]]
    """By method; HEAD is GET."""
    name: str


@dataclass(frozen=True, slots=True)
class Empty:
    """The answer of an endpoint that sends a status without a body."""

    status: int


class Redirect(Exception):
    """Not an error: the answer is a redirect (302) to ``location``."""

    def __init__(self, location: str) -> None:
        super().__init__(location)
        self.location = location


def answer(view: View, call: Call) -> Response:
    """Run an endpoint and make the response; a refusal becomes the API's error body."""
    status, headers = 200, {"Allow": view.allow}
    body: bytes | Empty
    kind = "application/json"
    try:
        kind = _negotiated(call)
        call.user = _user(call)
        body = _run(view, call)
    except Refused as refusal:
        headers |= refusal.headers
        if refusal.body is None:
            headers["Vary"] = "Accept, Cookie, origin"
            return _response(call, refusal.status, b"", headers, "text/html; charset=utf-8")
        status, body = refusal.status, dumps(refusal.body)
    except Redirect as redirect:
        headers |= {"Location": redirect.location, "Vary": "Accept, Cookie, origin"}
        return _response(call, 302, b"", headers, "text/html; charset=utf-8")
    if isinstance(body, Empty):
        headers["Vary"] = "Accept, Cookie, origin"
        return _response(call, body.status, b"", headers, None)
    if status == 401 and body.startswith(b"{"):
        headers["WWW-Authenticate"] = _challenge(call)
    if kind == "text/html":
        kind = "text/html; charset=utf-8"
        body = f"<!DOCTYPE html>\n<html><body><pre>{html.escape(body.decode())}</pre></body></html>\n".encode()
    return _response(call, status, body, headers, kind)


def page_not_found(call: Call) -> Response:
    """The HTML 404 for an id of the wrong form, and for an unknown endpoint."""
    return _response(call, 404, NOT_FOUND_PAGE.encode(), {}, "text/html; charset=utf-8")


def add_slash(path: str, query: str) -> Response:
    """The redirect to the same URL with a slash at its end; relative, with the query."""
    headers = {"Location": f"{path}/?{query}" if query else f"{path}/", "Vary": "Cookie, origin"}
    return Response(b"", 301, headers, "text/html; charset=utf-8")


def _run(view: View, call: Call) -> bytes | Empty:
    """The endpoint's answer in JSON.

    Raises:
        Refused: 405 for a method that the endpoint has not.
    """
    if call.method not in view.allow.split(", "):
        raise detail(405, f'Method "{call.method}" not allowed.')
    if call.method == "OPTIONS":
        parses = ["application/json", "application/x-www-form-urlencoded", "multipart/form-data"]
        renders = ["application/json", "text/html"]
        return dumps({"name": view.name, "description": "", "renders": renders, "parses": parses})
    found = view.run["GET" if call.method == "HEAD" else call.method](call)
    return found if isinstance(found, bytes | Empty) else dumps(found)


def _negotiated(call: Call) -> str:
    """The content type to answer in.

    Raises:
        Refused: 406.
    """
    accept = call.headers.get("accept", "*/*")
    if "text/html" in accept and "application/json" not in accept:
        return "text/html"
    if any(kind in accept for kind in ("application/json", "application/*", "*/*")):
        return "application/json"
    raise detail(406, "Could not satisfy the request Accept header.")


def _user(call: Call) -> User | None:
    """The user with the token of the request.

    Raises:
        Refused: 401 for an unknown token, also on pages that need none.
    """
    words = call.headers.get("authorization", "").split()
    if not words or words[0].lower() != "token":
        return None
    user = call.archive.users.get(" ".join(words[1:]))
    if user is None:
        raise detail(401, "Invalid token.")
    return user


def _challenge(call: Call) -> str:
    realm = 'Bearer realm="api"'
    if call.headers.get("authorization", "").lower().startswith("bearer "):
        return realm + ',error="invalid_token",error_description="The access token is invalid."'
    return realm


def _may_read(call: Call) -> bool:
    """Whether a web page may read the answer: any page if the request has no key, else only the archive's own."""
    origin, own = call.headers.get("origin"), call.archive.web_url.rstrip("/")
    is_open = call.method in {"GET", "HEAD", "OPTIONS"} and not {"authorization", "cookie"} & set(call.headers)
    return bool(origin) and (is_open or origin == own)


def _response(call: Call, status: int, body: bytes, headers: dict[str, str], kind: str | None) -> Response:
    """The response with the headers of every answer, compressed if the client accepts that."""
    long = len(body) >= LEAST_GZIP
    vary = ["Cookie", "origin"] if kind and kind.startswith("text/html") else ["Accept", "Cookie", "origin"]
    if long:
        vary.insert(-1, "Accept-Encoding")
    made = {
        "Vary": ", ".join(vary),
        "X-Frame-Options": "DENY",
        "X-Request-Username": call.user.username if call.user else "AnonymousUser",
    } | headers
    if _may_read(call):
        made["Access-Control-Allow-Origin"] = call.headers["origin"]
    if long and call.archive.gzip and "gzip" in call.headers.get("accept-encoding", ""):
        packer = zlib.compressobj(1, wbits=31)
        packed = packer.compress(body) + packer.flush()
        if len(packed) < len(body):
            body, made["Content-Encoding"] = packed, "gzip"
    return Response(body, status, made, kind)
