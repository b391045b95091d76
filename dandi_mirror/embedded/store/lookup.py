"""What the archive's records put at a key of the bucket: blobs, files of Zarrs, and manifests of versions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from dandi_mirror.embedded.bucket.contents import Stored, etag_of
from dandi_mirror.embedded.bucket.objects import PLAIN, Object, only_version
from dandi_mirror.embedded.bucket.zarr_keys import zarr_slot
from dandi_mirror.embedded.rules.values import dumps
from dandi_mirror.embedded.store.blobs import Blob
from dandi_mirror.embedded.store.dandiset import Dandiset
from dandi_mirror.embedded.store.zarr import Zarr


class Records(Protocol):
    """What the archive has that the bucket shows."""

    blobs: dict[str, Blob]
    zarrs: dict[str, Zarr]
    dandisets: dict[str, Dandiset]


def object_at(records: Records, key: str, version_id: str | None) -> Object | None:
    """The object at ``key``: its current version, or the one with ``version_id``."""
    kind = key.partition("/")[0]
    if kind == "zarr":
        return _zarr_object(records.zarrs, key, version_id)
    found = _blob_object(records.blobs, key) if kind == "blobs" else None
    found = _manifest(records.dandisets, key) if kind == "dandisets" else found
    return found if found and version_id in (None, found.version_id) else None


def _blob_object(blobs: Mapping[str, Blob], key: str) -> Object | None:
    """The blob at ``key``, hidden while all its Dandisets are under embargo."""
    blob = blobs.get(key.rpartition("/")[2])
    if blob is None or blob.key != key:
        return None
    hidden = bool(blob.holders) and not any(dandiset.is_open for dandiset in blob.holders)
    return Object(key, blob.content, blob.etag or "", blob.created, hidden, PLAIN, only_version(key))


def _zarr_object(zarrs: Mapping[str, Zarr], key: str, version_id: str | None) -> Object | None:
    """A version of the file of a Zarr at ``key``; None if there is no such version."""
    slot = zarr_slot(zarrs, key)
    if slot is None:
        return None
    zarr, path = slot
    found = zarr.files.newest(path)
    if version_id is not None:
        found = next((one for one in zarr.files.versions(path) if one.version_id == version_id), None)
    if found is None:
        return None
    content, hidden = found.content, not zarr.dandiset.is_open
    kind = content.kind if isinstance(content, Stored) else PLAIN
    etag = "" if content is None else etag_of(content)
    return Object(key, content, etag, found.modified, hidden, kind, found.version_id, deleted=content is None)


def _manifest(dandisets: Mapping[str, Dandiset], key: str) -> Object | None:
    """A version's manifest, made on request; the YAML ones are JSON, which YAML parsers read too."""
    parts = key.split("/")
    dandiset = dandisets.get(parts[1]) if len(parts) == 4 else None
    version = dandiset.versions.get(parts[2]) if dandiset else None
    if dandiset is None or version is None:
        return None
    name, _, kind = parts[3].partition(".")
    if (name, kind) not in {(n, k) for n in ("dandiset", "assets") for k in ("yaml", "jsonld")}:
        return None
    if name == "assets":
        content = b"[" + b",".join([asset.record() for asset in version]) + b"]"
    else:
        content = dumps(version.metadata)
    media = "application/ld+json" if kind == "jsonld" else PLAIN
    hidden = not dandiset.is_open
    return Object(key, content, etag_of(content), version.modified, hidden, media, only_version(key))
