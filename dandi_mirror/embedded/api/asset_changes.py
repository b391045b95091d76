"""The endpoints that change the assets of a draft."""

from __future__ import annotations

import re
from typing import Any

from dandi_mirror.embedded.api.answers import Empty
from dandi_mirror.embedded.api.calls import Call
from dandi_mirror.embedded.api.dandisets import find_dandiset, find_version
from dandi_mirror.embedded.rules.checks import asset_errors
from dandi_mirror.embedded.rules.names import UUID4, check_path
from dandi_mirror.embedded.rules.refusals import Refused, not_found
from dandi_mirror.embedded.store.assets import StoredAsset
from dandi_mirror.embedded.store.blobs import Blob
from dandi_mirror.embedded.store.dandiset import Dandiset
from dandi_mirror.embedded.store.making import made, own
from dandi_mirror.embedded.store.versions import DRAFT, Version
from dandi_mirror.embedded.store.zarr import Zarr


def create(call: Call) -> bytes:
    """``POST …/versions/draft/assets/``."""
    return _enter(call, _changeable(call), None)


def replace(call: Call) -> bytes:
    """``PUT …/assets/{id}/``: a new asset replaces the old one, unless it would be equal."""
    dandiset = _changeable(call)
    return _enter(call, dandiset, _in_draft(call, dandiset.draft))


def remove(call: Call) -> Empty:
    """``DELETE …/assets/{id}/``; the asset's own URL stays valid."""
    dandiset = _changeable(call)
    dandiset.draft.take_out(_in_draft(call, dandiset.draft), call.archive.now())
    dandiset.changed()
    return Empty(204)


def _changeable(call: Call) -> Dandiset:
    """The Dandiset of the URL, if the user may change its draft.

    Raises:
        Refused: 401, 403, 404; 405 for a published version.
    """
    call.need_user()
    dandiset, version = find_dandiset(call), find_version(call)
    call.need_owner(dandiset)
    if version.version != DRAFT:
        raise Refused(405, "Only draft versions can be modified.")
    return dandiset


def _in_draft(call: Call, draft: Version) -> StoredAsset:
    found = call.archive.assets.get(call.args["asset"])
    if found is None or draft.asset_at(found.path) is not found:
        raise not_found()
    return found


def _enter(call: Call, dandiset: Dandiset, instead_of: StoredAsset | None) -> bytes:
    """Put the asset of the request into the draft; return its entry with metadata."""
    draft = dandiset.draft
    source, metadata = _sent(call, dandiset)
    path = metadata["path"]
    asset = made(dandiset, path, source, metadata, None, bare=True)
    if instead_of and instead_of.source is source and instead_of.path == path and own(instead_of) == own(asset):
        return instead_of.entry(metadata=True)
    draft.check_free(path, instead_of)
    asset.validation_errors = tuple(asset_errors(metadata))
    if instead_of:
        draft.take_out(instead_of, asset.created)
    dandiset.enter(asset)
    dandiset.changed()
    return asset.entry(metadata=True)


def _sent(call: Call, dandiset: Dandiset) -> tuple[Blob | Zarr, dict[str, Any]]:
    """The blob or Zarr and the metadata in the body.

    Raises:
        Refused: 400 for a wrong body, 404 for an unknown blob or Zarr.
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
    if isinstance(source, Zarr) and source.dandiset is not dandiset:
        raise Refused(400, "The zarr archive belongs to a different dandiset")
    metadata = {"schemaVersion": archive.schema_version} | metadata
    if isinstance(source, Zarr):
        metadata.setdefault("encodingFormat", "application/x-zarr")
    return source, metadata
