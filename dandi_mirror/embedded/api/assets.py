"""The endpoints that read assets."""

from __future__ import annotations

from typing import Any

from dandi_mirror.embedded.api.answers import Redirect
from dandi_mirror.embedded.api.calls import Call
from dandi_mirror.embedded.api.dandisets import counted, find_version
from dandi_mirror.embedded.rules.names import like
from dandi_mirror.embedded.rules.queries import boolean, turn
from dandi_mirror.embedded.rules.refusals import Refused, detail, not_found
from dandi_mirror.embedded.rules.values import dumps
from dandi_mirror.embedded.store.assets import StoredAsset
from dandi_mirror.embedded.store.folders import Folder
from dandi_mirror.embedded.store.versions import Version

ORDERS = ("created", "-created", "modified", "-modified", "path", "-path")


def assets(call: Call) -> bytes:
    """``GET …/assets/``: lazy pages.  It joins the stored JSON of the assets instead of serialising them."""
    version = find_version(call)
    metadata = boolean(call.query, "metadata", False)
    entries = _selected(call, version)
    page = turn(call.url, call.query, len(entries), lazy=True)
    parts = [dumps(page.head())[:-1], b',"results":[']
    for asset in entries[page.start : page.stop]:
        parts += asset.pieces(metadata=metadata)
        parts.append(b",")
    # The last comma goes; an empty page ends in the bracket that it began with.
    parts[2:] = parts[2:-1]
    return b"".join([*parts, b"]}"])


def _selected(call: Call, version: Version) -> list[StoredAsset]:
    """The assets that the parameters select, in order."""
    query = call.query
    order = query.get("order") or "created"
    if order not in ORDERS:
        words = f"Select a valid choice. {order} is not one of the available choices."
        raise Refused(400, {"order": [words]})
    if (path := query.get("path")) and (exact := version.asset_at(path)):
        entries = [exact]
    else:
        entries = version.ordered(order)
        if path:
            start = path.lower()
            entries = [asset for asset in entries if asset.path.lower().startswith(start)]
    if glob := query.get("glob"):
        fits = like(glob).fullmatch
        entries = [asset for asset in entries if fits(asset.path)]
    if boolean(query, "zarr", False):
        entries = [asset for asset in entries if asset.zarr]
    return entries


def paths(call: Call) -> Any:
    """``GET …/assets/paths/``: one folder level."""
    version = find_version(call)
    children = version.children(call.query.get("path_prefix", "").rstrip("/"))
    if children is None:
        raise detail(404, "Specified path not found.")

    def entry(child: Folder) -> dict[str, Any]:
        asset = child.asset
        url = asset and f"{call.archive.s3_url}/{asset.source.key}"
        return {
            "path": child.path,
            "version": version.number,
            "aggregate_files": child.files,
            "aggregate_size": child.size,
            "asset": asset and {"asset_id": asset.asset_id, "url": url},
        }

    return counted(call, children, entry)


def find_asset(call: Call) -> StoredAsset:
    """The asset of the URL; a version in the URL must exist, but need not contain it.

    Raises:
        Refused: 404, 401 or 403.
    """
    if "version" in call.args:
        find_version(call)
    asset = call.archive.assets.get(call.args["asset"])
    if asset is None:
        raise not_found()
    call.check_readable(asset.dandiset)
    return asset


def asset(call: Call) -> bytes:
    """``GET /assets/{id}/``: the full metadata."""
    return find_asset(call).record()


def asset_info(call: Call) -> bytes:
    """``GET /assets/{id}/info/``: the list entry with the metadata."""
    return find_asset(call).entry(metadata=True)


def validation(call: Call) -> Any:
    """``GET …/versions/{version}/assets/{id}/validation/``."""
    found = find_asset(call)
    return {"status": found.status, "validation_errors": list(found.validation_errors)}


def download(call: Call) -> Any:
    """``GET /assets/{id}/download/``: a redirect to a presigned URL."""
    found = find_asset(call)
    how = call.query.get("content_disposition", "attachment")
    if how not in ("attachment", "inline"):
        raise Refused(400, {"content_disposition": [f'"{how}" is not a valid choice.']})
    if found.zarr:
        words = "Unable to provide download link for zarr assets. Please browse the zarr files directly to do so."
        raise Refused(400, words)
    name = found.path.rpartition("/")[2]
    extra = {"response-content-disposition": f'{how}; filename="{name}"'}
    if how == "inline":
        given = found.given
        kind = given.get("encodingFormat") if isinstance(given, dict) else None
        extra["response-content-type"] = str(kind or "application/octet-stream")
    raise Redirect(call.archive.bucket.presigned("GET", found.source.key, extra, call.archive.link_seconds))
