"""The routes of the API: path, methods and function of every endpoint."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from starlette.convertors import Convertor, register_url_convertor
from starlette.routing import Match, Route, Router
from starlette.types import Receive, Scope, Send

from dandi_mirror.embedded.api import (
    asset_changes,
    assets,
    dandiset_changes,
    dandisets,
    site,
    uploads,
    zarr_changes,
    zarrs,
)
from dandi_mirror.embedded.api.answers import View, add_slash, answer, page_not_found
from dandi_mirror.embedded.api.calls import Call
from dandi_mirror.embedded.bucket.asgi import answer_locked, read_body
from dandi_mirror.embedded.rules.names import DANDISET, UUID4, VERSION
from dandi_mirror.embedded.store.archive import Archive


class Text(Convertor[str]):
    """A part of a path that has to match ``regex``; any other text gets the HTML 404."""

    def convert(self, value: str) -> str:
        """Return the text unchanged."""
        return value

    def to_string(self, value: str) -> str:
        """Return the text unchanged."""
        return value


def register_text(name: str, regex: str) -> None:
    """Let routes write ``{part:name}`` for a part of the path that matches ``regex``."""
    register_url_convertor(name, type(name, (Text,), {"regex": regex})())


for _name, _regex in {"dandiset": DANDISET, "version": VERSION, "uuid4": UUID4}.items():
    register_text(_name, _regex)

_FUNCTION, _VIEW = "OPTIONS, GET", "GET, HEAD, OPTIONS"
"""``Allow`` of the server's plain functions, and of its views that only read."""
_ONE = "/dandisets/{dandiset:dandiset}/"
_VERSIONS = _ONE + "versions/"
_NAMED = _VERSIONS + "{version:version}/"
_NESTED, _SINGLE = _NAMED + "assets/{asset:uuid4}/", "/assets/{asset:uuid4}/"
_ZARR = "/zarr/{zarr:uuid4}/"
_UPLOAD = "/uploads/{upload:uuid4}/"
_POST = "POST, OPTIONS"
Runs = dict[str, Callable[[Call], Any]]
_TABLE: list[tuple[str, str, Callable[[Call], Any] | Runs, str]] = [
    (
        _NAMED + "assets/",
        "GET, POST, HEAD, OPTIONS",
        {"GET": assets.assets, "POST": asset_changes.create},
        "Asset List",
    ),
    (_SINGLE, _VIEW, assets.asset, "Asset Instance"),
    (_SINGLE + "info/", _VIEW, assets.asset_info, "Asset Info"),
    (_SINGLE + "download/", _VIEW, assets.download, "Asset Download"),
    (
        _NESTED,
        "GET, PUT, DELETE, HEAD, OPTIONS",
        {"GET": assets.asset, "PUT": asset_changes.replace, "DELETE": asset_changes.remove},
        "Asset Instance",
    ),
    (_NESTED + "info/", _VIEW, assets.asset_info, "Asset Info"),
    (_NESTED + "download/", _VIEW, assets.download, "Asset Download"),
    (_NESTED + "validation/", _VIEW, assets.validation, "Asset Validation"),
    (_NAMED + "assets/paths/", _VIEW, assets.paths, "Asset Paths"),
    (
        "/dandisets/",
        "GET, POST, HEAD, OPTIONS",
        {"GET": dandisets.dandisets, "POST": dandiset_changes.create},
        "Dandiset List",
    ),
    (
        _ONE,
        "GET, DELETE, HEAD, OPTIONS",
        {"GET": dandisets.dandiset, "DELETE": dandiset_changes.remove},
        "Dandiset Instance",
    ),
    (
        _ONE + "users/",
        "GET, PUT, HEAD, OPTIONS",
        {"GET": dandisets.dandiset_users, "PUT": dandiset_changes.set_users},
        "Dandiset Users",
    ),
    (
        _ONE + "uploads/",
        "GET, DELETE, HEAD, OPTIONS",
        {"GET": dandisets.uploads, "DELETE": dandiset_changes.clear_uploads},
        "Dandiset Uploads",
    ),
    (_ONE + "unembargo/", _POST, dandiset_changes.unembargo, "Dandiset Unembargo"),
    (_VERSIONS, _VIEW, dandisets.versions, "Version List"),
    (
        _NAMED,
        "GET, PUT, DELETE, HEAD, OPTIONS",
        {"GET": dandisets.version, "PUT": dandiset_changes.update, "DELETE": dandiset_changes.delete_version},
        "Version Instance",
    ),
    (_NAMED + "info/", _VIEW, dandisets.version_info, "Version Info"),
    (_NAMED + "publish/", _POST, dandiset_changes.publish, "Version Publish"),
    ("/blobs/digest/", _POST, uploads.digest, "Blob Digest"),
    ("/uploads/initialize/", _POST, uploads.initialize, "Upload Initialize"),
    (_UPLOAD + "complete/", _POST, uploads.complete, "Upload Complete"),
    (_UPLOAD + "validate/", _POST, uploads.validate, "Upload Validate"),
    ("/zarr/", "GET, POST, HEAD, OPTIONS", {"GET": zarrs.listed, "POST": zarr_changes.create}, "Zarr List"),
    (_ZARR, _VIEW, zarrs.one, "Zarr Instance"),
    (
        _ZARR + "files/",
        "GET, POST, DELETE, HEAD, OPTIONS",
        {"GET": zarrs.files, "POST": zarr_changes.post_files, "DELETE": zarr_changes.delete_files},
        "Zarr Files",
    ),
    (_ZARR + "finalize/", _POST, zarr_changes.finalize, "Zarr Finalize"),
    ("/info/", _FUNCTION, site.info, "Info"),
    ("/stats/", _FUNCTION, site.stats, "Stats"),
    ("/schemas/", _FUNCTION, site.schemas, "Schemas"),
    ("/schemas/available/", _FUNCTION, site.schemas_available, "Schemas Available"),
    ("/auth/token/", "OPTIONS, POST, GET", {"GET": site.token, "POST": dandiset_changes.new_token}, "Auth Token"),
    ("/users/me/", _FUNCTION, site.me, "Users Me"),
    ("/users/search/", _FUNCTION, site.search_users, "Users Search"),
]


def router(archive: Archive, *, in_thread: bool) -> Router:
    """The API of ``archive``, to be mounted; every path that it has not gets the HTML 404."""
    routes = [
        Route(path, Endpoint(archive, View(allow, _runs(allow, run), name), in_thread=in_thread))
        for path, allow, run, name in _TABLE
    ]
    return Router(routes, redirect_slashes=False, default=NotFound(archive, routes))


def _runs(allow: str, run: Callable[[Call], Any] | Runs) -> Runs:
    return run if isinstance(run, dict) else {allow.split(", ")[0] if allow == _POST else "GET": run}


class Endpoint:
    """An endpoint as an ASGI application, for all methods: also the refusal of a method is the API's own."""

    def __init__(self, archive: Archive, view: View, *, in_thread: bool) -> None:
        self._archive = archive
        self._view = view
        self._in_thread = in_thread

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        call = Call.of(self._archive, scope, await read_body(receive))
        make = partial(answer, self._view, call)
        response = await answer_locked(self._archive.lock, make, in_thread=self._in_thread)
        await response(scope, receive, send)


class NotFound:
    """The answer to other paths: a redirect if only the slash at the end is missing, else the HTML 404."""

    def __init__(self, archive: Archive, routes: list[Route]) -> None:
        self._archive = archive
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        slashed = {**scope, "path": scope["path"] + "/"}
        if any(route.matches(slashed)[0] is Match.FULL for route in self._routes):
            response = add_slash(scope["raw_path"].decode("latin-1"), scope["query_string"].decode("latin-1"))
        else:
            response = page_not_found(Call.of(self._archive, scope))
        await response(scope, receive, send)
