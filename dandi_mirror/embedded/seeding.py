"""Assets from what a test gives: metadata of its own, or a recorded row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dandi_mirror.embedded.assets import COMPUTED, CONTEXT, PUBLISHED, ZARR_CHECKSUM, Asset, Blob, Zarr
from dandi_mirror.embedded.rules import moment

if TYPE_CHECKING:
    from dandi_mirror.embedded.dandiset import Dandiset


def made(
    dandiset: Dandiset,
    path: str,
    source: Blob | Zarr | None,
    metadata: Any,
    asset_id: str | None,
    *,
    bare: bool = False,
) -> Asset:
    """A fresh asset; its metadata gets what is least to be valid, unless it shall stay ``bare``."""
    archive = dandiset.archive
    if source is None:
        raise ValueError(f"asset {path!r} needs a blob or a zarr")
    if metadata is None:
        kind = "application/x-zarr" if isinstance(source, Zarr) else "application/octet-stream"
        metadata = {"encodingFormat": kind}
    if isinstance(metadata, dict):
        schema = metadata.get("schemaVersion", archive.schema_version)
        least = {} if bare else {"schemaKey": "Asset", "schemaVersion": schema}
        least["@context"] = CONTEXT.format(schema)
        metadata = least | {key: value for key, value in metadata.items() if key not in PUBLISHED}
    now = archive.now()
    return Asset(asset_id or archive.new_id(), dandiset, path, source, now, now, metadata)


def replayed(dandiset: Dandiset, row: Mapping[str, Any], blob: Blob | None, *, verbatim: bool) -> Asset:
    """An asset from a recorded row; its blob or Zarr is made from the record unless it is known."""
    archive = dandiset.archive
    metadata = row.get("metadata", {})
    digest = metadata.get("digest") if isinstance(metadata, dict) else None
    known = digest if isinstance(digest, dict) else {}
    source: Blob | Zarr
    if row.get("zarr"):
        source = archive.zarrs.get(row["zarr"]) or dandiset.add_zarr(
            row["path"], size=row["size"], checksum=known.get(ZARR_CHECKSUM), zarr_id=row["zarr"]
        )
    else:
        source = (
            blob
            or archive.blobs.get(row["blob"])
            or archive.add_blob_record(row["size"], blob_id=row["blob"], digest=known)
        )
        source.digests = known | source.digests
    computed: tuple[str, ...] = ()
    if not verbatim and isinstance(metadata, dict):
        computed = ("contentUrl", "digest") if known else ("contentUrl",)
    created, modified = moment(row["created"]), moment(row["modified"])
    return Asset(row["asset_id"], dandiset, row["path"], source, created, modified, metadata, computed)


def own(asset: Asset) -> Any:
    """What a client would send again: the record without what the archive computes."""
    given = asset.given
    dropped = (*COMPUTED, *PUBLISHED)
    return {k: v for k, v in given.items() if k not in dropped} if isinstance(given, dict) else given
