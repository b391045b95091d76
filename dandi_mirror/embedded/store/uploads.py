"""The steps of an upload: a client begins it, completes it, and the archive makes a blob of it or refuses it."""

from __future__ import annotations

from typing import Any

from dandi_mirror import digests
from dandi_mirror.embedded.rules.refusals import Refused
from dandi_mirror.embedded.store.blobs import Blob, PendingUpload, blob_key
from dandi_mirror.embedded.store.catalog import Catalog
from dandi_mirror.embedded.store.identity import DandisetIdentity

_BODY = (
    '<?xml version="1.0" encoding="UTF-8"?><CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
)
_PART = "<Part><PartNumber>{}</PartNumber><ETag>{}</ETag></Part>"


def begin(archive: Catalog, dandiset: DandisetIdentity, size: int, etag: str) -> dict[str, Any]:
    """Begin an upload: its id, and the parts with their presigned URLs.

    Raises:
        Refused: 409 with the id of the blob that has this etag.
    """
    for blob in archive.blobs.values():
        if blob.etag == etag:
            raise Refused(409, "Blob already exists.", {"Location": blob.blob_id})
    upload_id = archive.new_id()
    multipart = archive.bucket.begin(blob_key(upload_id))
    upload = PendingUpload(upload_id, dandiset, size, etag, archive.now(), multipart)
    archive.uploads[upload_id] = upload
    return {"upload_id": upload_id, "parts": _parts(archive, upload)}


def _parts(archive: Catalog, upload: PendingUpload) -> list[dict[str, Any]]:
    step = digests.etag_part_size(upload.size)
    made = []
    for number, start in enumerate(range(0, upload.size, step), 1):
        size = min(step, upload.size - start)
        query = {"uploadId": upload.multipart, "partNumber": str(number)}
        headers = {"content-length": str(size)}
        url = archive.bucket.presigned("PUT", upload.key, query, archive.upload_seconds, headers)
        made.append({"part_number": number, "size": size, "upload_url": url})
    return made


def complete(archive: Catalog, upload: PendingUpload, etags: list[tuple[int, str]]) -> dict[str, str]:
    """The URL and body of the POST that makes one object of the parts."""
    query = {"uploadId": upload.multipart}
    url = archive.bucket.presigned("POST", upload.key, query, archive.upload_seconds)
    body = _BODY + "".join(_PART.format(*part) for part in sorted(etags)) + "</CompleteMultipartUpload>"
    return {"complete_url": url, "body": body}


def take(archive: Catalog, upload: PendingUpload) -> Blob:
    """Make a blob of a completed upload; its SHA-256 comes later.

    Raises:
        Refused: 400 if the object is missing or not as announced; 409 if an equal blob has come meanwhile.
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


def forget(archive: Catalog, upload: PendingUpload) -> None:
    """Delete an upload with the parts that have arrived."""
    del archive.uploads[upload.upload_id]
    archive.bucket.abort(upload.key, upload.multipart)
