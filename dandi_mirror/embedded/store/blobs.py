"""Content that the archive knows: blobs, and uploads that clients have begun."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dandi_mirror.embedded.bucket.contents import Content, pieces
from dandi_mirror.embedded.store.core import ArchiveCore
from dandi_mirror.embedded.store.identity import DandisetIdentity

ETAG = "dandi:dandi-etag"
SHA256 = "dandi:sha2-256"


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

    def record(self, archive: ArchiveCore) -> dict[str, Any]:
        """As in ``GET /dandisets/{id}/uploads/``."""
        return {
            "created": self.created,
            "blob": archive.bucket.presigned("GET", self.key, {}, archive.link_seconds),
            "upload_id": self.upload_id,
            "etag": self.etag,
            "size": self.size,
        }
