"""HTTP as the archive speaks it: one call in, one answer out; tokens, headers, the error shapes."""

from __future__ import annotations

import html
import json
import re
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.responses import Response

from dandi_mirror.embedded.dandiset import Dandiset
from dandi_mirror.embedded.rules import Refused, detail, dumps
from dandi_mirror.embedded.store import Archive, User

LEAST_GZIP = 200
"""Bytes from which an answer is compressed."""
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
NO_CREDENTIALS = "Authentication credentials were not provided."
NO_PERMISSION = "You do not have permission to perform this action."


@dataclass(slots=True)
class Call:
    """One request, as an endpoint sees it."""

    archive: Archive
    method: str
    url: str
    """Absolute, with the query, under the host that the client named."""
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    args: Mapping[str, str] = field(default_factory=dict)
    """What the endpoint's pattern names."""
    user: User | None = None

    def need_user(self) -> User:
        """Who is asking.

        Raises:
            Refused: 401 for nobody.
        """
        if self.user is None:
            raise detail(401, NO_CREDENTIALS)
        return self.user

    def need_approved(self) -> User:
        """Who is asking, if the archive has approved of them.

        Raises:
            Refused: 401 for nobody, 403 for who waits.
        """
        user = self.need_user()
        if not user.approved:
            raise detail(403, NO_PERMISSION)
        return user

    def need_owner(self, dandiset: Dandiset) -> User:
        """Who is asking, if the Dandiset is theirs to change.

        Raises:
            Refused: 401 for nobody, 403 with no body for others.
        """
        user = self.need_approved()
        if not self.owns(dandiset):
            raise Refused(403, None)
        return user

    def posted(self, *wanted: str) -> dict[str, Any]:
        """The JSON object that was sent.

        Raises:
            Refused: 415, 400, also for a key of ``wanted`` that is missing.
        """
        body = self.posted_json()
        missing = [key for key in wanted if not isinstance(body, dict) or key not in body]
        if missing:
            raise Refused(400, {key: ["This field is required."] for key in missing})
        if not isinstance(body, dict):
            raise Refused(400, {"non_field_errors": ["Invalid data. Expected a dictionary."]})
        return body

    def posted_json(self) -> Any:
        """The JSON that was sent, of any shape.

        Raises:
            Refused: 415, 400.
        """
        kind = self.headers.get("content-type", "").partition(";")[0]
        if kind != "application/json":
            raise detail(415, f'Unsupported media type "{kind}" in request.')
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise detail(400, f"JSON parse error - {error}") from None

    def owns(self, dandiset: Dandiset) -> bool:
        """Whether who asks is an owner or an admin."""
        return self.user is not None and (self.user.admin or self.user.username in dandiset.owners)

    def check_readable(self, dandiset: Dandiset) -> None:
        """Let owners and admins only read what is embargoed.

        Raises:
            Refused: 401 without a token, 403 with one.
        """
        if not dandiset.is_open and not self.owns(dandiset):
            self.need_user()
            raise detail(403, NO_PERMISSION)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A URL pattern under ``/api``, its methods in the order of ``Allow``, and the function behind each."""

    pattern: re.Pattern[str]
    allow: str
    run: Mapping[str, Callable[[Call], Any]]
    """By method; HEAD is GET."""
    name: str = ""


@dataclass(frozen=True, slots=True)
class Empty:
    """What an endpoint returns that answers with a status alone."""

    status: int


class Found(Exception):
    """Not an error: the answer is a redirect (302) to ``location``."""

    def __init__(self, location: str) -> None:
        super().__init__(location)
        self.location = location


def answer(endpoint: Endpoint, call: Call) -> Response:
    """Run an endpoint and dress its answer; refusals become the API's error bodies."""
    status, headers = 200, {"Allow": endpoint.allow}
    body: bytes | Empty
    kind = "application/json"
    try:
        kind = _negotiated(call)
        call.user = _user(call)
        body = _run(endpoint, call)
    except Refused as refusal:
        headers |= refusal.headers
        if refusal.body is None:
            headers["Vary"] = "Accept, Cookie, origin"
            return _dressed(call, refusal.status, b"", headers, "text/html; charset=utf-8")
        status, body = refusal.status, dumps(refusal.body)
    except Found as found:
        headers |= {"Location": found.location, "Vary": "Accept, Cookie, origin"}
        return _dressed(call, 302, b"", headers, "text/html; charset=utf-8")
    if isinstance(body, Empty):
        headers["Vary"] = "Accept, Cookie, origin"
        return _dressed(call, body.status, b"", headers, None)
    if status == 401 and body.startswith(b"{"):
        headers["WWW-Authenticate"] = _challenge(call)
    if kind == "text/html":
        kind = "text/html; charset=utf-8"
        body = f"<!DOCTYPE html>\n<html><body><pre>{html.escape(body.decode())}</pre></body></html>\n".encode()
    return _dressed(call, status, body, headers, kind)


def page_not_found(call: Call) -> Response:
    """The HTML 404 of an id that does not fit its pattern, and of an unknown endpoint."""
    return _dressed(call, 404, NOT_FOUND_PAGE.encode(), {}, "text/html; charset=utf-8")


def add_slash(path: str, query: str) -> Response:
    """The redirect to the same URL with its slash, relative, the query kept."""
    headers = {"Location": f"{path}/?{query}" if query else f"{path}/", "Vary": "Cookie, origin"}
    return Response(b"", 301, headers, "text/html; charset=utf-8")


def _run(endpoint: Endpoint, call: Call) -> bytes | Empty:
    """The endpoint's answer in JSON; what it does not do is refused."""
    if call.method not in endpoint.allow.split(", "):
        raise detail(405, f'Method "{call.method}" not allowed.')
    if call.method == "OPTIONS":
        parses = ["application/json", "application/x-www-form-urlencoded", "multipart/form-data"]
        renders = ["application/json", "text/html"]
        return dumps({"name": endpoint.name, "description": "", "renders": renders, "parses": parses})
    found = endpoint.run["GET" if call.method == "HEAD" else call.method](call)
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
    """Who sent the token; a bad one is refused even where nobody needs one."""
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
    """Whether a web page may read the answer: any page what is open to all, the archive's own page also with a key."""
    origin, own = call.headers.get("origin"), call.archive.web_url.rstrip("/")
    is_open = call.method in {"GET", "HEAD", "OPTIONS"} and not {"authorization", "cookie"} & set(call.headers)
    return bool(origin) and (is_open or origin == own)


def _dressed(call: Call, status: int, body: bytes, headers: dict[str, str], kind: str | None) -> Response:
    """The response with the headers that every view of the archive sends, compressed if it may be."""
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
