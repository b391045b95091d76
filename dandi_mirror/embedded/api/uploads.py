"""The endpoints about blobs and their uploads."""

from __future__ import annotations

import re
from typing import Any

from dandi_mirror.embedded.api.calls import Call
from dandi_mirror.embedded.rules.names import DANDISET
from dandi_mirror.embedded.rules.refusals import Refused, not_found
from dandi_mirror.embedded.store import uploads
from dandi_mirror.embedded.store.blobs import ETAG, SHA256, Blob, PendingUpload
from dandi_mirror.embedded.store.dandiset import Dandiset

LARGEST = 5 * 1024**4
"""Bytes in an object of S3 at most."""


def digest(call: Call) -> Any:
    """``POST /blobs/digest/``: the blob with a digest; needs no token."""
    body = call.posted("algorithm", "value")
    algorithm, value = body["algorithm"], body["value"]
    if algorithm not in (ETAG, SHA256):
        raise Refused(400, f"Unsupported Digest Algorithm. Supported: {ETAG}, {SHA256}")
    for blob in call.archive.blobs.values():
        if blob.digests.get(algorithm) == value:
            return _record(blob)
    raise not_found()


def _record(blob: Blob) -> dict[str, Any]:
    return {"blob_id": blob.blob_id, "etag": blob.etag, "sha256": blob.sha256, "size": blob.size}


def initialize(call: Call) -> Any:
    """``POST /uploads/initialize/``: presigned URLs for the parts, or 409 with the id of an equal blob."""
    call.need_approved()
    body = call.posted("dandiset", "contentSize", "digest")
    size, wanted = body["contentSize"], body["digest"]
    if not isinstance(size, int) or isinstance(size, bool):
        raise Refused(400, {"contentSize": ["A valid integer is required."]})
    if size < 1:
        raise Refused(400, {"contentSize": ["Ensure this value is greater than or equal to 1."]})
    if not isinstance(wanted, dict) or wanted.get("algorithm") != ETAG:
        raise Refused(400, ["Unsupported Digest Type"])
    if size > LARGEST:
        raise Refused(400, ["File is larger than the S3 maximum object size."])
    return uploads.begin(call.archive, _dandiset(call, body["dandiset"]), size, str(wanted.get("value")))


def _dandiset(call: Call, identifier: Any) -> Dandiset:
    """The Dandiset of an upload; to others than its owners one under embargo does not exist."""
    if not re.fullmatch(DANDISET, str(identifier)):
        raise Refused(400, {"dandiset": ["A valid Dandiset identifier is required."]})
    found = call.archive.dandisets.get(str(identifier))
    if found is None or (not found.is_open and not call.owns(found)):
        raise not_found()
    if not call.owns(found):
        raise Refused(403, "Action not allowed")
    return found


def _find(call: Call) -> PendingUpload:
    call.need_approved()
    found = call.archive.uploads.get(call.args["upload"])
    if found is None or not call.owns(found.dandiset):
        raise not_found()
    return found


def complete(call: Call) -> Any:
    """``POST /uploads/{id}/complete/``: the request that completes the upload in the bucket."""
    upload = _find(call)
    parts = call.posted("parts")["parts"]
    if not isinstance(parts, list) or not parts:
        raise Refused(400, {"parts": {"non_field_errors": ["This list may not be empty."]}})
    wanted = ("part_number", "size", "etag")
    if not all(isinstance(part, dict) and all(key in part for key in wanted) for part in parts):
        raise Refused(400, {"parts": [{key: ["This field is required."] for key in wanted}]})
    if not all(isinstance(part["part_number"], int) for part in parts):
        raise Refused(400, {"parts": [{"part_number": ["A valid integer is required."]}]})
    return uploads.complete(call.archive, upload, [(part["part_number"], str(part["etag"])) for part in parts])


def validate(call: Call) -> Any:
    """``POST /uploads/{id}/validate/``: the blob; its SHA-256 comes later."""
    return _record(uploads.take(call.archive, _find(call)))
