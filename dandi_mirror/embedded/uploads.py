"""Uploads of blobs: begun, completed, taken for a blob; refused and forgotten as the server does it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from dandi_mirror import digests
from dandi_mirror.embedded.assets import Blob, blob_key
from dandi_mirror.embedded.rules import Refused

if TYPE_CHECKING:
    from dandi_mirror.embedded.dandiset import Dandiset
    from dandi_mirror.embedded.store import Archive

_BODY = (
    '<?xml version="1.0" encoding="UTF-8"?><CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
)
_PART = "<Part><PartNumber>{}</PartNumber><ETag>{}</ETag></Part>"


@dataclass(frozen=True, slots=True)
class Upload:
    """An upload that was begun and not taken yet; its id will be the blob's."""

    upload_id: str
    dandiset: Dandiset
    size: int
    etag: str
    created: datetime
    multipart: str
    """Its id in the bucket."""

    @property
    def key(self) -> str:
        """Where it goes to in the bucket."""
        return blob_key(self.upload_id)

    def record(self, archive: Archive) -> dict[str, Any]:
        """As in ``GET /dandisets/{id}/uploads/``."""
        return {
            "created": self.created,
            "blob": archive.bucket.presigned("GET", self.key, {}, archive.link_seconds),
            "upload_id": self.upload_id,
            "etag": self.etag,
            "size": self.size,
        }


def begin(archive: Archive, dandiset: Dandiset, size: int, etag: str) -> dict[str, Any]:
    """Begin an upload: its id, and the parts with their presigned URLs.

    Raises:
        Refused: 409 with the id of the blob that has this etag.
    """
    for blob in archive.blobs.values():
        if blob.etag == etag:
            raise Refused(409, "Blob already exists.", {"Location": blob.blob_id})
    upload_id = archive.new_id()
    multipart = archive.bucket.begin(blob_key(upload_id))
    upload = Upload(upload_id, dandiset, size, etag, archive.now(), multipart)
    archive.uploads[upload_id] = upload
    return {"upload_id": upload_id, "parts": _parts(archive, upload)}


def _parts(archive: Archive, upload: Upload) -> list[dict[str, Any]]:
    step = digests.etag_part_size(upload.size)
    made = []
    for number, start in enumerate(range(0, upload.size, step), 1):
        size = min(step, upload.size - start)
        query = {"uploadId": upload.multipart, "partNumber": str(number)}
        headers = {"content-length": str(size)}
        url = archive.bucket.presigned("PUT", upload.key, query, archive.upload_seconds, headers)
        made.append({"part_number": number, "size": size, "upload_url": url})
    return made


def complete(archive: Archive, upload: Upload, etags: list[tuple[int, str]]) -> dict[str, str]:
    """Where to POST what, so that the bucket makes one object of the parts, which it wants by number."""
    query = {"uploadId": upload.multipart}
    url = archive.bucket.presigned("POST", upload.key, query, archive.upload_seconds)
    body = _BODY + "".join(_PART.format(*part) for part in sorted(etags)) + "</CompleteMultipartUpload>"
    return {"complete_url": url, "body": body}


def take(archive: Archive, upload: Upload) -> Blob:
    """Make a blob of a completed upload; its SHA-256 comes later.

    Raises:
        Refused: 400 when it is not there, or not as it was announced; 409 when another one was faster.
    """
    found = archive.bucket.stat(upload.key)
    if found is None:
        raise Refused(400, ["Object does not exist."])
    size, etag = found
    if size != upload.size:
        raise Refused(400, [f"Size {upload.size} does not match actual size {size}."])
    if etag != upload.etag:
        raise Refused(400, [f"ETag {upload.etag} does not match actual ETag {etag}."])
    if any(blob.etag == etag for blob in archive.blobs.values()):
        raise Refused(409, "An identical blob has already been uploaded.")
    blob = archive.take_blob(upload)
    del archive.uploads[upload.upload_id]
    return blob


def forget(archive: Archive, upload: Upload) -> None:
    """Let an upload vanish, with what has arrived of it."""
    del archive.uploads[upload.upload_id]
    archive.bucket.abort(upload.key, upload.multipart)
