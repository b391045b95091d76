"""What the archive's records put at a key of the bucket: blobs, files of Zarrs, and manifests of versions."""

from __future__ import annotations

import re
from collections.abc import Mapping

from dandi_mirror.embedded.bucket.contents import Stored, etag_of
from dandi_mirror.embedded.bucket.objects import PLAIN, Object
from dandi_mirror.embedded.rules.values import dumps
from dandi_mirror.embedded.store.blobs import Blob, Zarr
from dandi_mirror.embedded.store.dandiset import Dandiset


def blob_object(blobs: Mapping[str, Blob], key: str) -> Object | None:
    """The blob at ``key``, hidden while all its Dandisets are under embargo."""
    blob = blobs.get(key.rpartition("/")[2])
    if blob is None or blob.key != key:
        return None
    hidden = bool(blob.holders) and not any(dandiset.is_open for dandiset in blob.holders)
    return Object(key, blob.content, blob.etag or "", blob.created, hidden, PLAIN)


def zarr_object(zarrs: Mapping[str, Zarr], key: str) -> Object | None:
    """The file of a Zarr at ``key``."""
    zarr, path = zarr_and_path(zarrs, key)
    content = zarr.files.get(path) if zarr else None
    if zarr is None or content is None:
        return None
    kind = content.kind if isinstance(content, Stored) else PLAIN
    written = zarr.written.get(path, zarr.created)
    return Object(key, content, etag_of(content), written, not zarr.dandiset.is_open, kind)


def zarr_and_path(zarrs: Mapping[str, Zarr], key: str) -> tuple[Zarr | None, str]:
    """The Zarr that ``key`` names, and the path in it; None if there is no such Zarr."""
    parts = re.fullmatch(r"zarr/([^/]+)/(.*)", key, re.DOTALL)
    return (zarrs.get(parts[1]), parts[2]) if parts else (None, "")


def manifest(dandisets: Mapping[str, Dandiset], key: str) -> Object | None:
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
    return Object(key, content, etag_of(content), version.modified, not dandiset.is_open, media)
