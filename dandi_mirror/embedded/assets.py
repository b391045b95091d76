"""What a version holds: blobs, Zarrs, and the assets that give them a path."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import orjson

from dandi_mirror.embedded.contents import Content, pieces
from dandi_mirror.embedded.rules import dumps, moment

if TYPE_CHECKING:
    from dandi_mirror.embedded.dandiset import Dandiset

ETAG = "dandi:dandi-etag"
SHA256 = "dandi:sha2-256"
ZARR_CHECKSUM = "dandi:dandi-zarr-checksum"
CONTEXT = "https://raw.githubusercontent.com/dandi/schema/master/releases/{}/context.json"

COMPUTED = ("id", "access", "path", "identifier", "contentUrl", "contentSize", "digest")
"""Keys of an asset's metadata that the archive computes; a caller's own values of them are replaced."""
PUBLISHED = ("datePublished", "publishedBy")


def blob_key(blob_id: str) -> str:
    """Where a blob lies in the bucket."""
    return f"blobs/{blob_id[0:3]}/{blob_id[3:6]}/{blob_id}"


class Blob:
    """Some bytes in the bucket, or only what is known of them (``content`` is None)."""

    __slots__ = ("blob_id", "content", "created", "digests", "holders", "size")

    def __init__(
        self, blob_id: str, size: int, digests: dict[str, Any], created: datetime, content: Content | None
    ) -> None:
        self.blob_id = blob_id
        self.size = size
        self.digests = digests
        """As in an asset's ``digest``; without ``dandi:sha2-256`` until it was computed."""
        self.created = created
        self.content = content
        self.holders: tuple[Dandiset, ...] = ()
        """The Dandisets that some asset of it is or was in."""

    @property
    def etag(self) -> str | None:
        """The S3 multipart ETag, without quotes."""
        return self.digests.get(ETAG)

    @property
    def sha256(self) -> str | None:
        """The SHA-256 in hexadecimal digits; None until it was computed."""
        return self.digests.get(SHA256)

    def read(self) -> bytes:
        """All of the content; empty where there is none."""
        return b"" if self.content is None else b"".join(pieces(self.content))

    @property
    def key(self) -> str:
        """Where the blob lies in the bucket."""
        return blob_key(self.blob_id)

    @property
    def pending(self) -> bool:
        """Whether the archive has still to compute the SHA-256."""
        return SHA256 not in self.digests


class Zarr:
    """A Zarr archive: its files, and the checksum over them, None while it is not Complete."""

    __slots__ = ("checksum", "created", "dandiset", "files", "name", "status", "stored_size", "written", "zarr_id")

    def __init__(
        self, zarr_id: str, dandiset: Dandiset, name: str, size: int, checksum: str | None, created: datetime
    ) -> None:
        self.zarr_id = zarr_id
        self.dandiset = dandiset
        self.name = name
        self.stored_size = size
        self.checksum = checksum
        self.created = created
        self.status = "Complete" if checksum else "Pending"
        self.files: dict[str, Content] = {}
        self.written: dict[str, datetime] = {}
        """When a file came, if that was not when the Zarr was made."""

    @property
    def size(self) -> int:
        """Bytes of all files; 0 while the Zarr is not Complete."""
        return self.stored_size if self.status == "Complete" else 0

    @property
    def digests(self) -> dict[str, Any]:
        """As in an asset's ``digest``: the checksum is null while the Zarr is not Complete."""
        return {ZARR_CHECKSUM: self.checksum if self.status == "Complete" else None}

    @property
    def key(self) -> str:
        """Where the Zarr's files lie in the bucket."""
        return f"zarr/{self.zarr_id}/"

    @property
    def pending(self) -> bool:
        """Whether the Zarr is under rewriting; its asset is then Pending, its draft stays as it was."""
        return self.status != "Complete"

    @property
    def _file_count(self) -> int:
        """As the checksum has it, ``<md5>-<files>--<bytes>``, for the files may lie on another server."""
        count = (self.checksum or "").partition("-")[2].partition("-")[0]
        return int(count) if count.isdecimal() else len(self.files)

    def record(self) -> dict[str, Any]:
        """The answer of ``GET /zarr/{id}/``."""
        complete = self.status == "Complete"
        return {
            "name": self.name,
            "dandiset": self.dandiset.identifier,
            "zarr_id": self.zarr_id,
            "status": self.status,
            "checksum": self.checksum if complete else None,
            "file_count": self._file_count if complete else 0,
            "size": self.size,
        }


class Asset:
    """A blob or a Zarr at a path of a Dandiset.

    The caller's part of the metadata is kept as JSON bytes: a page of 1000 rows is joined, not serialised.
    ``computed`` names the keys that are made at each request; a replayed record computes fewer, a verbatim
    one none.
    """

    __slots__ = (
        "_given",
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
        dandiset: Dandiset,
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

    def row(self, *, metadata: bool) -> bytes:
        """The row of a listing in JSON: seven fields, and the metadata if it is asked for."""
        return b"".join(self.pieces(metadata=metadata))

    def pieces(self, *, metadata: bool) -> tuple[bytes, ...]:
        """The row in pieces, so that a page of a thousand copies each record only once."""
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
        """The keys that may change while the asset stays, and their values now."""
        archive, source = self.dandiset.archive, self.source
        urls = [f"{archive.api_url}/assets/{self.asset_id}/download/", f"{archive.s3_url}/{source.key}"]
        extra: dict[str, Any] = {"contentUrl": urls, "digest": source.digests}
        if self.computed is COMPUTED:
            extra["access"] = self.dandiset.asset_access
            extra["contentSize"] = source.size
        elif "digest" not in self.computed:
            del extra["digest"]
        if self.published:
            extra |= self.published
        return extra
