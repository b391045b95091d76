"""Make assets from a test's own metadata, or from a recorded entry of a listing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dandi_mirror.embedded.rules.values import moment
from dandi_mirror.embedded.store.assets import COMPUTED, CONTEXT, PUBLISHED, StoredAsset
from dandi_mirror.embedded.store.blobs import Blob
from dandi_mirror.embedded.store.catalog import Catalog
from dandi_mirror.embedded.store.identity import DandisetIdentity
from dandi_mirror.embedded.store.zarr import ZARR_CHECKSUM, Zarr


def made(
    dandiset: DandisetIdentity,
    path: str,
    source: Blob | Zarr | None,
    metadata: Any,
    asset_id: str | None,
    *,
    bare: bool = False,
) -> StoredAsset:
    """Make an asset; unless it is ``bare``, its metadata get the keys that they need to be valid."""
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
    return StoredAsset(asset_id or archive.new_id(), dandiset, path, source, now, now, metadata)


def replayed(
    dandiset: DandisetIdentity, entry: Mapping[str, Any], source: Blob | Zarr, *, verbatim: bool
) -> StoredAsset:
    """An asset from a recorded entry of a listing."""
    metadata = entry.get("metadata", {})
    known = recorded_digest(entry)
    if isinstance(source, Blob):
        source.digests = known | source.digests
    computed: tuple[str, ...] = ()
    if not verbatim and isinstance(metadata, dict):
        computed = ("contentUrl", "digest") if known else ("contentUrl",)
    created, modified = moment(entry["created"]), moment(entry["modified"])
    return StoredAsset(entry["asset_id"], dandiset, entry["path"], source, created, modified, metadata, computed)


def recorded_source(archive: Catalog, dandiset: DandisetIdentity, entry: Mapping[str, Any]) -> Blob | Zarr:
    """The blob or Zarr that a recorded entry names; made from the record if the archive does not know it."""
    known = recorded_digest(entry)
    if entry.get("zarr"):
        return archive.zarrs.get(entry["zarr"]) or archive.add_zarr(
            dandiset, entry["path"], size=entry["size"], checksum=known.get(ZARR_CHECKSUM), zarr_id=entry["zarr"]
        )
    return archive.blobs.get(entry["blob"]) or archive.add_blob_record(
        entry["size"], blob_id=entry["blob"], digest=known
    )


def recorded_digest(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The digests in a recorded entry's metadata; empty if it has none."""
    metadata = entry.get("metadata", {})
    digest = metadata.get("digest") if isinstance(metadata, dict) else None
    return digest if isinstance(digest, dict) else {}


def own(asset: StoredAsset) -> Any:
    """The metadata that a client would send again: without the keys that the archive computes."""
    given = asset.given
    dropped = (*COMPUTED, *PUBLISHED)
    return {k: v for k, v in given.items() if k not in dropped} if isinstance(given, dict) else given
