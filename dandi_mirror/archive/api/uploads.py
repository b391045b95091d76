"""The calls to the API that bring blobs: is it there already, begin, a part, all parts are there.

Only the API gets the token.  Parts go to presigned URLs, which no message and no log names with their query.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from dandi_mirror.archive.api.rows import json_object
from dandi_mirror.archive.http.retry import LATER
from dandi_mirror.archive.http.retrying_client import Body
from dandi_mirror.archive.http.session import LostAnswer, Refused, Session
from dandi_mirror.digests import is_sha256
from dandi_mirror.errors import BadAnswerError, CredentialsError, NotFoundError, PartError
from dandi_mirror.model import is_asset_id, parse_time

ETAG, SHA256 = "dandi:dandi-etag", "dandi:sha2-256"
GOOD_FOR = 24 * 3600
"""Seconds that the URLs of an upload are taken to be good, where they do not say."""
_MD5 = re.compile(r'"?([0-9a-f]{32})"?')
_TRIES = 3
_FINISH = 3


@dataclass(frozen=True, slots=True)
class Blob:
    """Some bytes that the archive has."""

    blob_id: str
    size: int
    """Bytes."""
    etag: str
    sha256: str
    """Empty until the archive has computed it."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of an upload."""

    size: int
    """Bytes."""
    url: str
    """Where it is to be put; whoever has it may."""


@dataclass(frozen=True, slots=True)
class Begun:
    """An upload that is open."""

    upload_id: str
    parts: tuple[Part, ...]
    """In order."""
    until: float
    """When the URLs end, in seconds since 1970."""


class Exists(PartError):
    """The archive has these bytes already, in the blob ``blob_id``."""

    def __init__(self, blob_id: str) -> None:
        super().__init__("the archive has it already")
        self.blob_id = blob_id


class Closed(PartError):
    """The upload takes no more parts: its URLs have ended, or the archive has forgotten it."""


def blob_of(session: Session, *, sha256: str = "", etag: str = "") -> Blob | None:
    """The blob with a digest, if the archive has it; whoever asks, and without holding its bytes."""
    wanted = {"algorithm": SHA256, "value": sha256} if sha256 else {"algorithm": ETAG, "value": etag}
    path = "/blobs/digest/"
    try:
        blob = _blob(session.send("POST", path, wanted, again=True), path)
    except NotFoundError:
        return None
    if sha256 != blob.sha256 if sha256 else etag != blob.etag:
        raise BadAnswerError(f"{path} answers with other bytes than were asked for; run the command again later")
    return blob


def begin(session: Session, dandiset: str, size: int, etag: str) -> Begun:
    """Open an upload of so many bytes.

    Raises:
        Exists: there is nothing to upload.
        Refused: the archive does not take it; an empty file, for one.
    """
    path = "/uploads/initialize/"
    wanted = {"dandiset": dandiset, "contentSize": size, "digest": {"algorithm": ETAG, "value": etag}}
    try:
        # an upload that was opened by a request whose answer was lost ends by itself
        answer = json_object(session.send("POST", path, wanted, again=True), path)
    except Refused as refused:
        if refused.status == 409 and is_asset_id(refused.location):
            raise Exists(refused.location) from None
        raise
    upload_id, listed = answer.get("upload_id"), answer.get("parts")
    if not is_asset_id(upload_id) or not isinstance(listed, list):
        raise BadAnswerError(f"{path}: not an upload")
    parts = tuple(_part(row, number, path) for number, row in enumerate(listed, start=1))
    if sum(part.size for part in parts) != size:
        raise BadAnswerError(f"{path}: parts that do not add up to the {size} bytes of the file")
    return Begun(str(upload_id), parts, min(_until(part.url) for part in parts))


def put_part(session: Session, part: Part, body: Body) -> str:
    """Send a part; the MD5 of what has arrived, in hexadecimal digits.

    Raises:
        Closed: a new upload is needed.
        and as :meth:`Session.store` does; also what ``body`` raises.
    """
    for attempt in range(1, _TRIES + 1):
        try:
            tag = session.store("PUT", part.url, body).headers.get("etag", "")
        except (CredentialsError, NotFoundError):
            raise Closed("S3 takes its presigned URLs not any more") from None
        except Refused as refused:
            # S3 has 400 for what came too slowly or not whole
            if refused.status != 400 or attempt == _TRIES:
                raise
        else:
            if match := _MD5.fullmatch(tag):
                return match[1]
        time.sleep(session.policy.pause(attempt))
    raise BadAnswerError(f"S3 does not say what has arrived (no ETag); {LATER}")


def finish(session: Session, upload_id: str, parts: Sequence[tuple[int, str]], etag: str) -> Blob:
    """All parts are there (bytes and MD5 of each): have them made one blob of this etag.

    Whatever answer is lost, and whoever else brings the same bytes meanwhile: it is the blob that has the etag.

    Raises:
        Closed: the archive has forgotten the upload.
        PartError: it was made another object.
    """
    for attempt in range(1, _FINISH + 1):
        try:
            _join(session, upload_id, parts)
            path = f"/uploads/{upload_id}/validate/"
            # the archive looks at the object's size and etag
            return _blob(session.send("POST", path), path)
        except (LostAnswer, Refused, NotFoundError) as error:
            if found := blob_of(session, etag=etag):
                return found
            if isinstance(error, NotFoundError):
                raise Closed("the archive has forgotten the upload") from None
            if attempt == _FINISH or not _may_help(error):
                raise
            time.sleep(session.policy.pause(attempt))
    raise AssertionError("the last attempt raises")


def _may_help(error: Exception) -> bool:
    """Whether to end the upload once more may help."""
    return not isinstance(error, Refused) or error.status == 403 or "Object does not exist" in error.said


def _join(session: Session, upload_id: str, parts: Sequence[tuple[int, str]]) -> None:
    """Have the bucket make one object of the parts."""
    path = f"/uploads/{upload_id}/complete/"
    named = [
        {"part_number": number, "size": size, "etag": f'"{md5}"'} for number, (size, md5) in enumerate(parts, start=1)
    ]
    answer = json_object(session.send("POST", path, {"parts": named}, again=True), path)
    url, body = answer.get("complete_url"), answer.get("body")
    if not isinstance(url, str) or not isinstance(body, str):
        raise BadAnswerError(f"{path} does not say how to end the upload")
    try:
        content = session.store("POST", url, body.encode()).content
    except NotFoundError:
        return  # it was made already, and the answer was lost: the next request says so
    except CredentialsError:
        # this is nobody's token
        raise Refused(f"S3 takes the presigned URL that ends the upload not any more; {LATER}", 403) from None
    if b"<Error>" in content:
        # S3 may say 200 before it knows
        raise LostAnswer(f"S3 could not make one object of the parts; {LATER}")


def _blob(answer: object, path: str) -> Blob:
    row = json_object(answer, path)
    blob_id, size, etag, sha256 = row.get("blob_id"), row.get("size"), row.get("etag"), row.get("sha256")
    if not is_asset_id(blob_id) or type(size) is not int or not isinstance(etag, str):
        raise BadAnswerError(f"{path}: not a blob")
    return Blob(str(blob_id), size, etag, str(sha256) if is_sha256(sha256) else "")


def _part(row: object, number: int, path: str) -> Part:
    answer: Mapping[str, object] = row if isinstance(row, dict) else {}
    size, url = answer.get("size"), answer.get("upload_url")
    if answer.get("part_number") != number or type(size) is not int or size < 1 or not isinstance(url, str):
        raise BadAnswerError(f"{path}: part {number} is not one")
    return Part(size, url)


def _until(url: str) -> float:
    """When a presigned URL ends."""
    try:
        query = parse_qs(urlsplit(url).query)
        return parse_time(query["X-Amz-Date"][0]).timestamp() + int(query["X-Amz-Expires"][0])
    except (KeyError, ValueError, IndexError):
        return time.time() + GOOD_FOR
