"""The endpoints of the API about assets, blobs and Zarrs."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

from dandi_mirror.embedded.assets import ETAG, SHA256, Asset, Zarr
from dandi_mirror.embedded.http import Call, Found
from dandi_mirror.embedded.overviews import Folder
from dandi_mirror.embedded.routes import counted, find_version
from dandi_mirror.embedded.rules import (
    MOST_ROWS,
    Refused,
    boolean,
    detail,
    dumps,
    like,
    not_found,
    turn,
)
from dandi_mirror.embedded.s3 import file_etag, presigned
from dandi_mirror.embedded.versions import Version

ORDERS = ("created", "-created", "modified", "-modified", "path", "-path")


def assets(call: Call) -> bytes:
    """``GET …/assets/``: lazy pages.  A page is joined from the assets' bytes, not serialised."""
    version = find_version(call)
    metadata = boolean(call.query, "metadata", False)
    rows = _selected(call, version)
    page = turn(call.url, call.query, len(rows), lazy=True)
    parts = [dumps(page.head())[:-1], b',"results":[']
    for asset in rows[page.start : page.stop]:
        parts += asset.pieces(metadata=metadata)
        parts.append(b",")
    # The last comma goes; an empty page ends in the bracket that it began with.
    parts[2:] = parts[2:-1]
    return b"".join([*parts, b"]}"])


def _selected(call: Call, version: Version) -> list[Asset]:
    """The assets that the parameters leave, in order."""
    query = call.query
    order = query.get("order") or "created"
    if order not in ORDERS:
        words = f"Select a valid choice. {order} is not one of the available choices."
        raise Refused(400, {"order": [words]})
    if (path := query.get("path")) and (exact := version.asset_at(path)):
        rows = [exact]
    else:
        rows = version.ordered(order)
        if path:
            start = path.lower()
            rows = [asset for asset in rows if asset.path.lower().startswith(start)]
    if glob := query.get("glob"):
        fits = like(glob).fullmatch
        rows = [asset for asset in rows if fits(asset.path)]
    if boolean(query, "zarr", False):
        rows = [asset for asset in rows if asset.zarr]
    return rows


def paths(call: Call) -> Any:
    """``GET …/assets/paths/``: one folder level."""
    version = find_version(call)
    children = version.children(call.query.get("path_prefix", "").rstrip("/"))
    if children is None:
        raise detail(404, "Specified path not found.")

    def row(child: Folder) -> dict[str, Any]:
        asset = child.asset
        url = asset and f"{call.archive.s3_url}/{asset.source.key}"
        return {
            "path": child.path,
            "version": version.number,
            "aggregate_files": child.files,
            "aggregate_size": child.size,
            "asset": asset and {"asset_id": asset.asset_id, "url": url},
        }

    return counted(call, children, row)


def find_asset(call: Call) -> Asset:
    """The asset of the URL; a version before it must exist, but need not hold it.

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
    """``GET /assets/{id}/info/``: the row with the metadata."""
    return find_asset(call).row(metadata=True)


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
    raise Found(presigned(call.archive, "GET", found.source.key, extra))


def upload_initialize(call: Call) -> Any:
    """``POST /uploads/initialize/``: its refusals only; there are no uploads here."""
    call.need_user()
    digest = _posted(call, "dandiset", "contentSize", "digest")["digest"]
    if not isinstance(digest, dict) or digest.get("algorithm") != ETAG:
        raise Refused(400, ["Unsupported Digest Type"])
    raise detail(501, "The embedded archive takes no uploads.")


def _posted(call: Call, *wanted: str) -> dict[str, Any]:
    """The JSON object that was sent.

    Raises:
        Refused: 415, 400, also for a key of ``wanted`` that is missing.
    """
    kind = call.headers.get("content-type", "").partition(";")[0]
    if kind != "application/json":
        raise detail(415, f'Unsupported media type "{kind}" in request.')
    try:
        body = json.loads(call.body)
    except ValueError as error:
        raise detail(400, f"JSON parse error - {error}") from None
    missing = [key for key in wanted if not isinstance(body, dict) or key not in body]
    if missing:
        raise Refused(400, {key: ["This field is required."] for key in missing})
    posted: dict[str, Any] = body
    return posted


def blob_digest(call: Call) -> Any:
    """``POST /blobs/digest/``: the blob with a digest, whoever asks."""
    body = _posted(call, "algorithm", "value")
    algorithm, value = body["algorithm"], body["value"]
    if algorithm not in (ETAG, SHA256):
        raise Refused(400, f"Unsupported Digest Algorithm. Supported: {ETAG}, {SHA256}")
    for blob in call.archive.blobs.values():
        if blob.digests.get(algorithm) == value:
            found = {"blob_id": blob.blob_id, "etag": blob.etag, "sha256": blob.sha256}
            return found | {"size": blob.size}
    raise not_found()


def zarrs(call: Call) -> Any:
    """``GET /zarr/?dandiset=&name=``."""
    rows = [z for z in call.archive.zarrs.values() if z.dandiset.is_open or call.owns(z.dandiset)]
    for key, value in call.query.items():
        if key in ("dandiset", "name"):
            rows = [zarr for zarr in rows if zarr.record()[key] == value]
    return counted(call, sorted(rows, key=lambda z: z.created), Zarr.record)


def zarr(call: Call) -> Any:
    """``GET /zarr/{id}/``: 404 to whom it is hidden from."""
    found = _find_zarr(call)
    if not found.dandiset.is_open and not call.owns(found.dandiset):
        raise not_found()
    return found.record()


def _find_zarr(call: Call) -> Zarr:
    found = call.archive.zarrs.get(call.args["zarr"])
    if found is None:
        raise not_found()
    return found


def zarr_files(call: Call) -> Any:
    """``GET /zarr/{id}/files/?prefix=&after=&limit=&download=``: pages by the last key seen."""
    found = _find_zarr(call)
    prefix, after = call.query.get("prefix", ""), call.query.get("after", "")
    if call.method == "HEAD" or boolean(call.query, "download", False):
        raise Found(presigned(call.archive, call.method, found.key + prefix, {}))
    text = call.query.get("limit", "")
    limit = int(text) if text.isdecimal() else MOST_ROWS
    if ".." in prefix.split("/"):
        raise Refused(400, {"prefix": ['Zarr path cannot contain ".." components.']})
    if limit > MOST_ROWS:
        words = f"Ensure this value is less than or equal to {MOST_ROWS}."
        raise Refused(400, {"limit": [words]})
    keys = [key for key in found.files if key.startswith(prefix) and key > after]
    rows = [
        {
            "Key": key,
            "LastModified": str(found.created.replace(microsecond=0)),
            "ETag": file_etag(found.files[key]),
            "Size": len(found.files[key]),
        }
        for key in keys[:limit]
    ]
    url = call.url.partition("?")[0]
    query = {**call.query, "after": keys[limit - 1]} if 0 < limit < len(keys) else {}
    return {"next": f"{url}?{urlencode(sorted(query.items()))}" if query else None, "results": rows}
