"""Content that the archive knows: blobs, Zarrs, and uploads that clients have begun."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dandi_mirror.embedded.bucket.contents import Content, pieces
from dandi_mirror.embedded.store.identity import DandisetIdentity
from dandi_mirror.embedded.store.instance import Instance

ETAG = "dandi:dandi-etag"
SHA256 = "dandi:sha2-256"
ZARR_CHECKSUM = "dandi:dandi-zarr-checksum"


def blob_key(blob_id: str) -> str:
    """The key of a blob in the bucket."""
    return f"blobs/{blob_id[0:3]}/{blob_id[3:6]}/{blob_id}"


class Blob:
    """Bytes in the bucket, or only their size and digests (``content`` is None)."""

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
        self.holders: tuple[DandisetIdentity, ...] = ()
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
        """The key in the bucket."""
        return blob_key(self.blob_id)

    @property
    def pending(self) -> bool:
        """Whether the archive has still to compute the SHA-256."""
        return SHA256 not in self.digests


class Zarr:
    """A Zarr archive: its files, and the checksum over them, None while it is not Complete."""

    __slots__ = ("checksum", "created", "dandiset", "files", "name", "status", "stored_size", "written", "zarr_id")

    def __init__(
        self, zarr_id: str, dandiset: DandisetIdentity, name: str, size: int, checksum: str | None, created: datetime
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
        """The start of its files' keys in the bucket."""
        return f"zarr/{self.zarr_id}/"

    @property
    def pending(self) -> bool:
        """Whether a client is changing the Zarr: then its asset is Pending, and the draft does not change."""
        return self.status != "Complete"

    @property
    def _file_count(self) -> int:
        """From the checksum, ``<md5>-<files>--<bytes>``, because the files may be on another server."""
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


@dataclass(frozen=True, slots=True)
class PendingUpload:
    """An upload that a client has begun; its id will be the blob's."""

    upload_id: str
    dandiset: DandisetIdentity
    size: int
    etag: str
    created: datetime
    multipart: str
    """Its id in the bucket."""

    @property
    def key(self) -> str:
        """The key in the bucket."""
        return blob_key(self.upload_id)

    def record(self, archive: Instance) -> dict[str, Any]:
        """As in ``GET /dandisets/{id}/uploads/``."""
        return {
            "created": self.created,
            "blob": archive.bucket.presigned("GET", self.key, {}, archive.link_seconds),
            "upload_id": self.upload_id,
            "etag": self.etag,
            "size": self.size,
        }
