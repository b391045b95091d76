"""An asset: a blob or a Zarr at a path of a Dandiset, with its metadata."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import orjson

from dandi_mirror.embedded.rules.values import dumps, moment
from dandi_mirror.embedded.store.blobs import Blob
from dandi_mirror.embedded.store.identity import DandisetIdentity
from dandi_mirror.embedded.store.zarr import Zarr

CONTEXT = "https://raw.githubusercontent.com/dandi/schema/master/releases/{}/context.json"
COMPUTED = ("id", "access", "path", "identifier", "contentUrl", "contentSize", "digest")
"""Keys of an asset's metadata that the archive computes; it replaces a client's own values of them."""
PUBLISHED = ("datePublished", "publishedBy")


class StoredAsset:
    """A blob or a Zarr at a path of a Dandiset.

    It keeps a client's part of the metadata as JSON, so that a page of 1000 assets need not serialise them.
    ``computed`` names the keys that it makes for each request: fewer for a replayed record, none for a verbatim one.
    """

    __slots__ = (
        "_given",
        "_lagging",
        "_opened",
        "asset_id",
        "computed",
        "created",
        "dandiset",
        "modified",
        "path",
        "published",
        "source",
        "validation_errors",
    )

    def __init__(
        self,
        asset_id: str,
        dandiset: DandisetIdentity,
        path: str,
        source: Blob | Zarr,
        created: datetime,
        modified: datetime,
        metadata: Any,
        computed: tuple[str, ...] = COMPUTED,
    ) -> None:
        self.asset_id = asset_id
        self.dandiset = dandiset
        self.path = path
        self.source = source
        self.created = created
        self.modified = modified
        self.published: dict[str, Any] | None = None
        """``publishedBy`` and ``datePublished``, once a version with the asset was published."""
        self.validation_errors: tuple[dict[str, Any], ...] = ()
        self._lagging: dict[str, Any] = {}
        self.computed = computed if isinstance(metadata, dict) else ()
        if isinstance(metadata, dict):
            metadata = {key: value for key, value in metadata.items() if key not in self.computed}
        if self.computed is COMPUTED:
            metadata |= {"id": f"dandiasset:{asset_id}", "path": path, "identifier": asset_id}
        whole = dumps(metadata)
        # A copy of the right length: orjson's own bytes keep the room that they grew into, 8 kB for 3.
        self._given = bytes(memoryview(whole)[:-1] if isinstance(metadata, dict) else memoryview(whole))
        self._opened = isinstance(metadata, dict)

    @property
    def blob(self) -> Blob | None:
        """The blob, or None for a Zarr asset."""
        return self.source if isinstance(self.source, Blob) else None

    @property
    def zarr(self) -> Zarr | None:
        """The Zarr, or None for a blob asset."""
        return self.source if isinstance(self.source, Zarr) else None

    def set_times(self, created: datetime | str | None, modified: datetime | str | None) -> None:
        """Set what is given; ``created`` alone sets both."""
        self.created = moment(created) if created else self.created
        if modified or created:
            self.modified = moment(modified or created or self.modified)

    def lag(self, lags: bool = True) -> None:
        """Let the record keep today's size and digest while the Zarr changes, or follow the Zarr again."""
        self._lagging = {"contentSize": self.size, "digest": self.source.digests} if lags else {}

    @property
    def size(self) -> int:
        """Bytes; 0 for a Zarr that is not Complete."""
        return self.source.size

    @property
    def status(self) -> str:
        """``Pending`` until the SHA-256 is there, then ``Valid`` or ``Invalid``."""
        if self.source.pending:
            return "Pending"
        return "Invalid" if self.validation_errors else "Valid"

    @property
    def given(self) -> Any:
        """The caller's part of the metadata (a copy)."""
        return orjson.loads(self._given + b"}" if self._opened else self._given)

    @property
    def metadata(self) -> Any:
        """The full metadata record, as a request would see it (a copy)."""
        return orjson.loads(self.record())

    @property
    def was_published(self) -> bool:
        """Whether the record says that the asset was published."""
        return self.published is not None or b'"datePublished":' in self._given

    def record(self) -> bytes:
        """The full metadata record in JSON: the given keys, then the computed ones."""
        return b"".join((self._given, self._rest()))

    def entry(self, *, metadata: bool) -> bytes:
        """The entry of a listing in JSON: seven fields, and the metadata on request."""
        return b"".join(self.pieces(metadata=metadata))

    def pieces(self, *, metadata: bool) -> tuple[bytes, ...]:
        """The entry in pieces, so that a page of a thousand copies each record only once."""
        blob, zarr = self.blob, self.zarr
        head = dumps(
            {
                "asset_id": self.asset_id,
                "blob": blob and blob.blob_id,
                "zarr": zarr and zarr.zarr_id,
                "path": self.path,
                "size": self.source.size,
                "created": self.created,
                "modified": self.modified,
            }
        )
        if not metadata:
            return (head,)
        return (head[:-1], b',"metadata":', self._given, self._rest(), b"}")

    def _rest(self) -> bytes:
        """What follows the given part in the record."""
        if not self._opened:
            return b""
        if not self.computed and not self.published:
            return b"}"
        rest = dumps(self._extra())
        return rest[1:] if self._given == b"{" else b"," + rest[1:]

    def _extra(self) -> dict[str, Any]:
        """The computed keys, and their values now."""
        archive, source = self.dandiset.archive, self.source
        urls = [f"{archive.api_url}/assets/{self.asset_id}/download/", f"{archive.s3_url}/{source.key}"]
        extra: dict[str, Any] = {"contentUrl": urls, "digest": source.digests}
        if self.computed is COMPUTED:
            extra["access"] = self.dandiset.asset_access
            extra["contentSize"] = source.size
        elif "digest" not in self.computed:
            del extra["digest"]
        extra |= {key: value for key, value in self._lagging.items() if key in extra}
        if self.published:
            extra |= self.published
        return extra
