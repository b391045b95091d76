"""The endpoints that change the assets of a draft."""

from __future__ import annotations

import re
from typing import Any

from dandi_mirror.embedded.assets import Asset, Blob, Zarr
from dandi_mirror.embedded.checks import asset_errors
from dandi_mirror.embedded.http import Call, Empty
from dandi_mirror.embedded.routes import find_version
from dandi_mirror.embedded.rules import UUID4, Refused, check_path, not_found
from dandi_mirror.embedded.seeding import made, own
from dandi_mirror.embedded.versions import DRAFT, Version


def create(call: Call) -> bytes:
    """``POST …/versions/draft/assets/``."""
    return _enter(call, _draft(call), None)


def replace(call: Call) -> bytes:
    """``PUT …/assets/{id}/``: a new asset takes the place, unless it would be the same."""
    draft = _draft(call)
    return _enter(call, draft, _in_draft(call, draft))


def remove(call: Call) -> Empty:
    """``DELETE …/assets/{id}/``; the id goes on answering."""
    draft = _draft(call)
    draft.take_out(_in_draft(call, draft), call.archive.now())
    draft.dandiset.changed()
    return Empty(204)


def _draft(call: Call) -> Version:
    """The draft of the URL, if it is theirs to change who ask.

    Raises:
        Refused: 401, 403, 404; 405 for a published version.
    """
    call.need_user()
    version = find_version(call)
    call.need_owner(version.dandiset)
    if version.version != DRAFT:
        raise Refused(405, "Only draft versions can be modified.")
    return version


def _in_draft(call: Call, draft: Version) -> Asset:
    found = call.archive.assets.get(call.args["asset"])
    if found is None or draft.asset_at(found.path) is not found:
        raise not_found()
    return found


def _enter(call: Call, draft: Version, instead_of: Asset | None) -> bytes:
    """Put the asset that was sent into the draft; its row with metadata."""
    source, metadata = _sent(call, draft)
    path = metadata["path"]
    asset = made(draft.dandiset, path, source, metadata, None, bare=True)
    if instead_of and instead_of.source is source and instead_of.path == path and own(instead_of) == own(asset):
        return instead_of.row(metadata=True)
    draft.check_free(path, instead_of)
    asset.validation_errors = tuple(asset_errors(metadata))
    if instead_of:
        draft.take_out(instead_of, asset.created)
    draft.dandiset.enter(asset)
    draft.dandiset.changed()
    return asset.row(metadata=True)


def _sent(call: Call, draft: Version) -> tuple[Blob | Zarr, dict[str, Any]]:
    """What the body names.

    Raises:
        Refused: 400 for what cannot be, 404 for a blob or Zarr that is not there.
    """
    body = call.posted("metadata")
    metadata, blob_id, zarr_id = body["metadata"], body.get("blob_id"), body.get("zarr_id")
    if (blob_id is None) == (zarr_id is None):
        raise Refused(400, {"blob_id": ["Exactly one of blob_id or zarr_id must be specified."]})
    for name in ("blob_id", "zarr_id"):
        if body.get(name) is not None and not re.fullmatch(UUID4, str(body[name])):
            raise Refused(400, {name: ["Must be a valid UUID."]})
    if not isinstance(metadata, dict) or not isinstance(metadata.get("path"), str) or not metadata["path"]:
        raise Refused(400, {"metadata": ["No path specified in metadata."]})
    check_path(metadata["path"])
    archive = call.archive
    source = archive.blobs.get(str(blob_id)) if zarr_id is None else archive.zarrs.get(str(zarr_id))
    if source is None:
        raise not_found()
    if isinstance(source, Zarr) and source.dandiset is not draft.dandiset:
        raise Refused(400, "The zarr archive belongs to a different dandiset")
    metadata = {"schemaVersion": archive.schema_version} | metadata
    if isinstance(source, Zarr):
        metadata.setdefault("encodingFormat", "application/x-zarr")
    return source, metadata
