"""The API calls that upload blobs: find an existing one, open an upload, send a part, complete the upload.

Only the API gets the token.  Parts go to presigned URLs, whose query no message and no log shows.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from urllib.parse import parse_qs, urlsplit

from dandi_mirror.archive.api.entries import json_object
from dandi_mirror.archive.http.retry import LATER
from dandi_mirror.archive.http.retrying_client import Body, LostResponse, RequestRefused
from dandi_mirror.archive.http.session import Session
from dandi_mirror.digests import ETAG, SHA256, is_sha256
from dandi_mirror.errors import BadAnswerError, CredentialsError, NotFoundError, PartError
from dandi_mirror.model import is_asset_id, parse_time

GOOD_FOR = 24 * 3600
"""Seconds that the URLs of an upload are taken to be valid, if they do not say."""
_MD5 = re.compile(r'"?([0-9a-f]{32})"?')
_TRIES = 3
_FINISH = 3


@dataclass(frozen=True, slots=True)
class StoredBlob:
    """A blob that the archive has."""

    blob_id: str
    size: int
    """Bytes."""
    etag: str
    sha256: str
    """Empty until the archive has computed it."""


@dataclass(frozen=True, slots=True)
class UploadPart:
    """A part of an upload."""

    size: int
    """Bytes."""
    url: str
    """The presigned URL to send it to; anybody who has the URL can do so."""


@dataclass(frozen=True, slots=True)
class OpenUpload:
    """An upload that is open."""

    upload_id: str
    parts: tuple[UploadPart, ...]
    """In order."""
    until: float
    """When the URLs expire, in seconds since 1970."""


class BlobExists(PartError):
    """The archive already has these bytes, in the blob ``blob_id``."""

    def __init__(self, blob_id: str) -> None:
        super().__init__("the archive already has this blob")
        self.blob_id = blob_id


class UploadClosed(PartError):
    """The upload takes no more parts: its URLs have expired, or the archive has forgotten it."""


def blob_of(session: Session, *, sha256: str = "", etag: str = "") -> StoredBlob | None:
    """The blob with a digest, if the archive has it; the archive tells anybody."""
    wanted = {"algorithm": SHA256, "value": sha256} if sha256 else {"algorithm": ETAG, "value": etag}
    path = "/blobs/digest/"
    try:
        blob = _blob(session.send("POST", path, wanted, again=True), path)
    except NotFoundError:
        return None
    if sha256 != blob.sha256 if sha256 else etag != blob.etag:
        raise BadAnswerError(
            f"{path}: the response is about another blob than the requested one; run the command again later"
        )
    return blob


def begin(session: Session, dandiset: str, size: int, etag: str) -> OpenUpload:
    """Open an upload of ``size`` bytes.

    Raises:
        BlobExists: there is nothing to upload.
        RequestRefused: the archive does not accept it; an empty file, for example.
    """
    path = "/uploads/initialize/"
    wanted = {"dandiset": dandiset, "contentSize": size, "digest": {"algorithm": ETAG, "value": etag}}
    try:
        # an upload that a request opened whose response was lost expires by itself
        answer = json_object(session.send("POST", path, wanted, again=True), path)
    except RequestRefused as refused:
        if refused.status == 409 and is_asset_id(refused.location):
            raise BlobExists(refused.location) from None
        raise
    upload_id, listed = answer.get("upload_id"), answer.get("parts")
    if not is_asset_id(upload_id) or not isinstance(listed, list):
        raise BadAnswerError(f"{path}: not an upload")
    parts = tuple(_part(entry, number, path) for number, entry in enumerate(listed, start=1))
    if sum(part.size for part in parts) != size:
        raise BadAnswerError(f"{path}: the parts do not add up to the {size} bytes of the file")
    return OpenUpload(str(upload_id), parts, min(_until(part.url) for part in parts))


def put_bytes(
    session: Session, url: str, body: bytes | Body, headers: Mapping[str, str] = MappingProxyType({}),
    put: Callable[[str, bytes, Mapping[str, str]], str] | None = None,
) -> str:  # fmt: skip
    """Send bytes to a presigned URL; the MD5 of those that S3 received, in hexadecimal digits.

    ``put`` sends those of a small object, and returns its ETag.

    Raises:
        UploadClosed: a new upload is needed.
        and as :meth:`Session.store` does; also whatever ``body`` raises.
    """
    for attempt in range(1, _TRIES + 1):
        try:
            if put and isinstance(body, bytes):
                tag = put(url, body, headers)
            else:
                tag = session.store("PUT", url, body, headers).headers.get("etag", "")
        except (CredentialsError, NotFoundError):
            raise UploadClosed("the presigned upload URLs have expired") from None
        except RequestRefused as refused:
            # S3 answers with 400 if the bytes came too slowly or incompletely
            if refused.status != 400 or attempt == _TRIES:
                raise
        else:
            if match := _MD5.fullmatch(tag):
                return match[1]
        time.sleep(session.policy.pause(attempt))
    raise BadAnswerError(f"S3 does not confirm the bytes that it received (no ETag); {LATER}")


def finish(session: Session, upload_id: str, parts: Sequence[tuple[int, str]], etag: str) -> StoredBlob:
    """Complete an upload after all parts (bytes and MD5 of each) were sent; the blob that has the etag.

    Finds that blob even if responses are lost, or somebody else uploads the same bytes meanwhile.

    Raises:
        UploadClosed: the archive has forgotten the upload.
        PartError: S3 made another object of the parts.
    """

    def join() -> StoredBlob:
        _join(session, upload_id, parts)
        path = f"/uploads/{upload_id}/validate/"
        # the archive compares the object's size and etag
        return _blob(session.send("POST", path), path)

    def look() -> StoredBlob | None:
        return blob_of(session, etag=etag)

    try:
        return session.once(join, look, attempts=_FINISH, again=_may_help)
    except (RequestRefused, NotFoundError) as error:
        if found := look():
            return found
        if isinstance(error, NotFoundError):
            raise UploadClosed("the archive has forgotten the upload") from None
        raise


def _may_help(error: Exception) -> bool:
    """Whether another attempt to complete the upload may help."""
    if isinstance(error, RequestRefused):
        return error.status == 403 or "Object does not exist" in error.said
    return isinstance(error, LostResponse)


def _join(session: Session, upload_id: str, parts: Sequence[tuple[int, str]]) -> None:
    """Have S3 make one object of the parts."""
    path = f"/uploads/{upload_id}/complete/"
    named = [
        {"part_number": number, "size": size, "etag": f'"{md5}"'} for number, (size, md5) in enumerate(parts, start=1)
    ]
    answer = json_object(session.send("POST", path, {"parts": named}, again=True), path)
    url, body = answer.get("complete_url"), answer.get("body")
    if not isinstance(url, str) or not isinstance(body, str):
        raise BadAnswerError(f"{path} does not say how to complete the upload")
    try:
        content = session.store("POST", url, body.encode()).content
    except NotFoundError:
        return  # S3 had made it before, and the response was lost; the next request shows it
    except CredentialsError:
        # it is the URL that was refused, not a token
        raise RequestRefused(f"the presigned URLs of the upload have expired; {LATER}", 403) from None
    if b"<Error>" in content:
        # S3 may answer with 200 before it knows
        raise LostResponse(f"S3 could not make one object of the parts; {LATER}")


def _blob(answer: object, path: str) -> StoredBlob:
    entry = json_object(answer, path)
    blob_id, size, etag, sha256 = entry.get("blob_id"), entry.get("size"), entry.get("etag"), entry.get("sha256")
    if not is_asset_id(blob_id) or type(size) is not int or not isinstance(etag, str):
        raise BadAnswerError(f"{path}: not a blob")
    return StoredBlob(str(blob_id), size, etag, str(sha256) if is_sha256(sha256) else "")


def _part(entry: object, number: int, path: str) -> UploadPart:
    answer: Mapping[str, object] = entry if isinstance(entry, dict) else {}
    size, url = answer.get("size"), answer.get("upload_url")
    if answer.get("part_number") != number or type(size) is not int or size < 1 or not isinstance(url, str):
        raise BadAnswerError(f"{path}: part {number} is malformed")
    return UploadPart(size, url)


def _until(url: str) -> float:
    """When a presigned URL expires."""
    try:
        query = parse_qs(urlsplit(url).query)
        return parse_time(query["X-Amz-Date"][0]).timestamp() + int(query["X-Amz-Expires"][0])
    except (KeyError, ValueError, IndexError):
        return time.time() + GOOD_FOR
