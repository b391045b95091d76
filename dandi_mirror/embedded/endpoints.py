"""Every endpoint that the embedded archive has; ids that do not fit their pattern get the HTML 404."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from dandi_mirror.embedded import asset_routes, routes
from dandi_mirror.embedded.http import Call, Endpoint
from dandi_mirror.embedded.rules import DANDISET, UUID4, VERSION

_FUNCTION, _VIEW = "OPTIONS, GET", "GET, HEAD, OPTIONS"
"""``Allow`` of the server's plain functions and of its view sets that only read."""
_ONE = rf"/dandisets/(?P<dandiset>{DANDISET})/"
_VERSIONS = _ONE + "versions/"
_NAMED = _VERSIONS + rf"(?P<version>{VERSION})/"
_NESTED, _SINGLE = _NAMED + rf"assets/(?P<asset>{UUID4})/", rf"/assets/(?P<asset>{UUID4})/"
_ZARR = rf"/zarr/(?P<zarr>{UUID4})/"
_ROWS: list[tuple[str, str, Callable[[Call], Any], str]] = [
    (_NAMED + "assets/", "GET, POST, HEAD, OPTIONS", asset_routes.assets, "Asset List"),
    (_SINGLE, _VIEW, asset_routes.asset, "Asset Instance"),
    (_SINGLE + "info/", _VIEW, asset_routes.asset_info, "Asset Info"),
    (_SINGLE + "download/", _VIEW, asset_routes.download, "Asset Download"),
    (_NESTED, "GET, PUT, DELETE, HEAD, OPTIONS", asset_routes.asset, "Asset Instance"),
    (_NESTED + "info/", _VIEW, asset_routes.asset_info, "Asset Info"),
    (_NESTED + "download/", _VIEW, asset_routes.download, "Asset Download"),
    (_NESTED + "validation/", _VIEW, asset_routes.validation, "Asset Validation"),
    (_NAMED + "assets/paths/", _VIEW, asset_routes.paths, "Asset Paths"),
    ("/dandisets/", "GET, POST, HEAD, OPTIONS", routes.dandisets, "Dandiset List"),
    (_ONE, "GET, DELETE, HEAD, OPTIONS", routes.dandiset, "Dandiset Instance"),
    (_ONE + "users/", "GET, PUT, HEAD, OPTIONS", routes.dandiset_users, "Dandiset Users"),
    (_ONE + "uploads/", "GET, DELETE, HEAD, OPTIONS", routes.uploads, "Dandiset Uploads"),
    (_VERSIONS, _VIEW, routes.versions, "Version List"),
    (_NAMED, "GET, PUT, DELETE, HEAD, OPTIONS", routes.version, "Version Instance"),
    (_NAMED + "info/", _VIEW, routes.version_info, "Version Info"),
    ("/blobs/digest/", "POST, OPTIONS", asset_routes.blob_digest, "Blob Digest"),
    ("/uploads/initialize/", "POST, OPTIONS", asset_routes.upload_initialize, "Upload Initialize"),
    ("/zarr/", "GET, POST, HEAD, OPTIONS", asset_routes.zarrs, "Zarr List"),
    (_ZARR, _VIEW, asset_routes.zarr, "Zarr Instance"),
    (_ZARR + "files/", "GET, POST, DELETE, HEAD, OPTIONS", asset_routes.zarr_files, "Zarr Files"),
    ("/info/", _FUNCTION, routes.info, "Info"),
    ("/stats/", _FUNCTION, routes.stats, "Stats"),
    ("/schemas/", _FUNCTION, routes.schemas, "Schemas"),
    ("/schemas/available/", _FUNCTION, routes.schemas_available, "Schemas Available"),
    ("/auth/token/", "OPTIONS, POST, GET", routes.token, "Auth Token"),
    ("/users/me/", _FUNCTION, routes.me, "Users Me"),
]

ENDPOINTS = [Endpoint(re.compile("/api" + pattern), allow, run, name) for pattern, allow, run, name in _ROWS]
"""In the order in which they are tried."""
