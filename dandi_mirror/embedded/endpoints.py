"""Every endpoint that the embedded archive has; ids that do not fit their pattern get the HTML 404."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from dandi_mirror.embedded import asset_routes, asset_writes, dandiset_writes, routes, upload_routes, zarr_routes
from dandi_mirror.embedded.http import Call, Endpoint
from dandi_mirror.embedded.rules import DANDISET, UUID4, VERSION

_FUNCTION, _VIEW = "OPTIONS, GET", "GET, HEAD, OPTIONS"
"""``Allow`` of the server's plain functions and of its view sets that only read."""
_ONE = rf"/dandisets/(?P<dandiset>{DANDISET})/"
_VERSIONS = _ONE + "versions/"
_NAMED = _VERSIONS + rf"(?P<version>{VERSION})/"
_NESTED, _SINGLE = _NAMED + rf"assets/(?P<asset>{UUID4})/", rf"/assets/(?P<asset>{UUID4})/"
_ZARR = rf"/zarr/(?P<zarr>{UUID4})/"
_UPLOAD = rf"/uploads/(?P<upload>{UUID4})/"
_POST = "POST, OPTIONS"
Runs = dict[str, Callable[[Call], Any]]
_ROWS: list[tuple[str, str, Callable[[Call], Any] | Runs, str]] = [
    (
        _NAMED + "assets/",
        "GET, POST, HEAD, OPTIONS",
        {"GET": asset_routes.assets, "POST": asset_writes.create},
        "Asset List",
    ),
    (_SINGLE, _VIEW, asset_routes.asset, "Asset Instance"),
    (_SINGLE + "info/", _VIEW, asset_routes.asset_info, "Asset Info"),
    (_SINGLE + "download/", _VIEW, asset_routes.download, "Asset Download"),
    (
        _NESTED,
        "GET, PUT, DELETE, HEAD, OPTIONS",
        {"GET": asset_routes.asset, "PUT": asset_writes.replace, "DELETE": asset_writes.remove},
        "Asset Instance",
    ),
    (_NESTED + "info/", _VIEW, asset_routes.asset_info, "Asset Info"),
    (_NESTED + "download/", _VIEW, asset_routes.download, "Asset Download"),
    (_NESTED + "validation/", _VIEW, asset_routes.validation, "Asset Validation"),
    (_NAMED + "assets/paths/", _VIEW, asset_routes.paths, "Asset Paths"),
    (
        "/dandisets/",
        "GET, POST, HEAD, OPTIONS",
        {"GET": routes.dandisets, "POST": dandiset_writes.create},
        "Dandiset List",
    ),
    (
        _ONE,
        "GET, DELETE, HEAD, OPTIONS",
        {"GET": routes.dandiset, "DELETE": dandiset_writes.remove},
        "Dandiset Instance",
    ),
    (
        _ONE + "users/",
        "GET, PUT, HEAD, OPTIONS",
        {"GET": routes.dandiset_users, "PUT": dandiset_writes.set_users},
        "Dandiset Users",
    ),
    (
        _ONE + "uploads/",
        "GET, DELETE, HEAD, OPTIONS",
        {"GET": routes.uploads, "DELETE": dandiset_writes.clear_uploads},
        "Dandiset Uploads",
    ),
    (_ONE + "unembargo/", _POST, dandiset_writes.unembargo, "Dandiset Unembargo"),
    (_VERSIONS, _VIEW, routes.versions, "Version List"),
    (
        _NAMED,
        "GET, PUT, DELETE, HEAD, OPTIONS",
        {"GET": routes.version, "PUT": dandiset_writes.update, "DELETE": dandiset_writes.delete_version},
        "Version Instance",
    ),
    (_NAMED + "info/", _VIEW, routes.version_info, "Version Info"),
    (_NAMED + "publish/", _POST, dandiset_writes.publish, "Version Publish"),
    ("/blobs/digest/", _POST, upload_routes.digest, "Blob Digest"),
    ("/uploads/initialize/", _POST, upload_routes.initialize, "Upload Initialize"),
    (_UPLOAD + "complete/", _POST, upload_routes.complete, "Upload Complete"),
    (_UPLOAD + "validate/", _POST, upload_routes.validate, "Upload Validate"),
    ("/zarr/", "GET, POST, HEAD, OPTIONS", {"GET": zarr_routes.listed, "POST": zarr_routes.create}, "Zarr List"),
    (_ZARR, _VIEW, zarr_routes.one, "Zarr Instance"),
    (
        _ZARR + "files/",
        "GET, POST, DELETE, HEAD, OPTIONS",
        {"GET": zarr_routes.files, "POST": zarr_routes.post_files, "DELETE": zarr_routes.delete_files},
        "Zarr Files",
    ),
    (_ZARR + "finalize/", _POST, zarr_routes.finalize, "Zarr Finalize"),
    ("/info/", _FUNCTION, routes.info, "Info"),
    ("/stats/", _FUNCTION, routes.stats, "Stats"),
    ("/schemas/", _FUNCTION, routes.schemas, "Schemas"),
    ("/schemas/available/", _FUNCTION, routes.schemas_available, "Schemas Available"),
    ("/auth/token/", "OPTIONS, POST, GET", {"GET": routes.token, "POST": dandiset_writes.new_token}, "Auth Token"),
    ("/users/me/", _FUNCTION, routes.me, "Users Me"),
]


def _runs(allow: str, run: Callable[[Call], Any] | Runs) -> Runs:
    return run if isinstance(run, dict) else {allow.split(", ")[0] if allow == _POST else "GET": run}


ENDPOINTS = [
    Endpoint(re.compile("/api" + pattern), allow, _runs(allow, run), name) for pattern, allow, run, name in _ROWS
]
"""In the order in which they are tried."""
