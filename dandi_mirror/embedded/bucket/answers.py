"""The archive's own bucket over HTTP, as S3 answers: ranges, presigned URLs, uploads in parts."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from urllib.parse import quote

from starlette.responses import Response, StreamingResponse

from dandi_mirror.embedded.bucket import signing
from dandi_mirror.embedded.bucket.contents import (
    Content,
    IncomingFile,
    Stored,
    in_memory,
    is_readable,
    pieces,
    size_of,
)
from dandi_mirror.embedded.bucket.listing import BadListError, Wanted, objects_page, versions_page
from dandi_mirror.embedded.bucket.listing_xml import objects_xml, versions_xml, xml
from dandi_mirror.embedded.bucket.objects import BUCKET, Object
from dandi_mirror.embedded.bucket.own import KEY, LEAST_PART, Bucket, Multipart

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")
_PART = re.compile(rb"<Part>(.*?)</Part>", re.DOTALL)
_NUMBER = re.compile(rb"<PartNumber>\s*(\d{1,5})\s*</PartNumber>")
_ETAG = re.compile(rb"<ETag>\s*(?:\"|&quot;|&#34;)?([0-9a-f]{32})(?:\"|&quot;|&#34;)?\s*</ETag>")
_MESSAGES = {
    "AccessDenied": (403, "Access Denied."),
    "ExpiredToken": (403, "Request has expired"),
    "BadDigest": (400, "The Content-Md5 you specified did not match what we received."),
    "EntityTooSmall": (400, "Your proposed upload is smaller than the minimum allowed object size."),
    "IncompleteBody": (400, "You did not provide the number of bytes specified by the Content-Length HTTP header."),
    "InvalidArgument": (400, "Invalid Argument"),
    "InvalidPart": (400, "One or more of the specified parts could not be found."),
    "InvalidPartOrder": (400, "The list of parts was not in ascending order."),
    "InvalidRange": (416, "The requested range is not satisfiable"),
    "MalformedXML": (400, "The XML you provided was not well-formed or did not validate."),
    "MethodNotAllowed": (405, "The specified method is not allowed against this resource."),
    "MissingContentLength": (411, "You must provide the Content-Length HTTP header."),
    "NoSuchKey": (404, "The specified key does not exist."),
    "NoSuchVersion": (404, "The specified version does not exist."),
    "NotImplemented": (501, "A header you provided implies functionality that is not implemented."),
    "NoSuchUpload": (404, "The specified multipart upload does not exist."),
    "SignatureDoesNotMatch": (
        403,
        "The request signature we calculated does not match the signature you provided. "
        "Check your key and signing method.",
    ),
}


@dataclass(frozen=True, slots=True)
class ObjectRequest:
    """One request for an object of the bucket."""

    now: datetime
    method: str
    key: str
    query: Mapping[str, str]
    headers: Mapping[str, str]

    def refusal(self) -> Response | None:
        """The error for a wrong or expired signature; None if it is right, or if there is none."""
        if signing.SIGNATURE not in self.query:
            return None
        if not signing.is_signed(KEY, self.method, f"/{BUCKET}/{quote(self.key)}", self.query, self.headers):
            return error("SignatureDoesNotMatch", self.key)
        if signing.has_expired(self.query, self.now):
            return error("ExpiredToken", self.key)
        return None


@dataclass(frozen=True, slots=True)
class AcceptedPut:
    """A PUT whose body may come: a part of an upload (by its id and number), or a file of a Zarr."""

    request: ObjectRequest
    bucket: Bucket
    upload_id: str = ""
    number: int = 0

    def keep(self, arrived: IncomingFile) -> Response:
        """Keep the file that arrived if it is complete; meanwhile the upload may have vanished."""
        length, md5 = self.request.headers["content-length"], self.request.headers.get("content-md5")
        if str(arrived.size) != length:
            return error("IncompleteBody", self.request.key)
        if md5 is not None and md5 != base64.b64encode(bytes.fromhex(arrived.md5)).decode():
            return error("BadDigest", self.request.key)
        etag = {"ETag": f'"{arrived.md5}"'}
        if self.upload_id:
            if self.upload_id not in self.bucket.multiparts:
                return error("NoSuchUpload", self.request.key)
            self.bucket.keep_part(self.upload_id, self.number, arrived)
        else:
            kind = self.request.headers.get("content-type", "binary/octet-stream")
            version_id = self.bucket.keep_file(self.request.key, arrived, kind)
            if version_id is None:
                return error("NoSuchKey", self.request.key)
            etag["x-amz-version-id"] = version_id
        return Response(b"", 200, etag)


def respond(request: ObjectRequest, bucket: Bucket, body: bytes) -> Response:
    """The answer to GET, HEAD and POST of a key."""
    if request.method not in ("GET", "HEAD", "POST"):
        return error("MethodNotAllowed", request.key)
    if refusal := request.refusal():
        return refusal
    if request.method == "POST":
        return _complete(request, bucket, body)
    if not request.key:
        return _listed(request, bucket)
    found = bucket.find(request.key, request.query.get("versionId"))
    if found is None:
        missing = "versionId" in request.query and bucket.find(request.key)
        return error("NoSuchVersion" if missing else "NoSuchKey", request.key)
    if found.hidden and signing.SIGNATURE not in request.query:
        return error("AccessDenied", request.key, {"x-amz-version-id": found.version_id})
    if found.deleted:
        marker = {"x-amz-version-id": found.version_id, "x-amz-delete-marker": "true"}
        return error("MethodNotAllowed" if "versionId" in request.query else "NoSuchKey", request.key, marker)
    if found.content is None or not is_readable(found.content):
        return error("NoSuchKey", request.key)
    return _content(found, found.content, request)


def _listed(request: ObjectRequest, bucket: Bucket) -> Response:
    """A page of one of the two lists."""
    query = request.query
    if not bucket.lists:
        return error("AccessDenied", "")
    if request.method != "GET":
        return Response(b"", 200 if request.method == "HEAD" else 405)
    try:
        if "versions" in query:
            wanted = Wanted.versions(query, bucket.most_keys)
            made = versions_xml(wanted, versions_page(wanted, bucket.keys, bucket.versions), query)
        elif query.get("list-type") == "2":
            wanted = Wanted.objects(query, bucket.most_keys)
            made = objects_xml(wanted, objects_page(wanted, bucket.keys, bucket.newest), query)
        else:
            return error("NotImplemented", "")
    except BadListError as refusal:
        return error("InvalidArgument", "", words=str(refusal))
    return Response(made, 200, {"Vary": "Origin"}, "application/xml")


def accept(request: ObjectRequest, bucket: Bucket) -> AcceptedPut | Response:
    """Decide about a PUT before its body comes: accept it, or answer with an error."""
    if signing.SIGNATURE not in request.query:
        return error("AccessDenied", request.key)
    if refusal := request.refusal():
        return refusal
    if not request.headers.get("content-length", "").isdecimal():
        return error("MissingContentLength", request.key)
    if "uploadId" not in request.query:
        return AcceptedPut(request, bucket) if bucket.is_zarr_file(request.key) else error("NoSuchKey", request.key)
    upload_id, number = request.query["uploadId"], request.query.get("partNumber", "")
    if _multipart(request, bucket) is None or not number.isdecimal():
        return error("NoSuchUpload", request.key)
    return AcceptedPut(request, bucket, upload_id, int(number))


def _multipart(request: ObjectRequest, bucket: Bucket) -> Multipart | None:
    found = bucket.multiparts.get(request.query.get("uploadId", ""))
    return found if found and found.key == request.key else None


def _complete(request: ObjectRequest, bucket: Bucket, body: bytes) -> Response:
    """``CompleteMultipartUpload``: the parts that the body names, in its order."""
    if signing.SIGNATURE not in request.query:
        return error("AccessDenied", request.key)
    multipart = _multipart(request, bucket)
    if multipart is None:
        return error("NoSuchUpload", request.key)
    named = [(_NUMBER.search(part), _ETAG.search(part)) for part in _PART.findall(body)]
    wanted = {int(number[1]): etag[1].decode() for number, etag in named if number and etag}
    if not wanted or len(wanted) != len(named):
        return error("MalformedXML", request.key)
    numbers = list(wanted)
    if numbers != sorted(numbers):
        return error("InvalidPartOrder", request.key)
    parts = [multipart.parts.get(number) for number in numbers]
    if any(part is None or part.md5 != wanted[n] for n, part in zip(numbers, parts, strict=True)):
        return error("InvalidPart", request.key)
    if any(part is not None and part.size < LEAST_PART for part in parts[:-1]):
        return error("EntityTooSmall", request.key)
    stored = bucket.complete(request.query["uploadId"], numbers)
    made = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<CompleteMultipartUploadResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        f"<Location>{bucket.url}/{quote(request.key)}</Location><Bucket>{BUCKET}</Bucket><Key>{xml(request.key)}</Key>"
        f"<ETag>&#34;{stored.etag}&#34;</ETag></CompleteMultipartUploadResult>"
    )
    return Response(made.encode(), 200, {}, "application/xml")


def _content(found: Object, content: Content, request: ObjectRequest) -> Response:
    """All of the content, or the range of the request; a range of another form counts as none."""
    headers, status, size = _headers(found), 200, size_of(content)
    start, stop = 0, size
    if "response-content-disposition" in request.query:
        headers["Content-Disposition"] = request.query["response-content-disposition"]
    if match := _RANGE.fullmatch(request.headers.get("range", "")):
        span = _span(match[1], match[2], size)
        if span is None:
            made = {"Content-Range": f"bytes */{size}", "x-amz-version-id": found.version_id}
            return error("InvalidRange", found.key, made)
        status, (start, stop) = 206, span
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
    kind = request.query.get("response-content-type", found.kind)
    if not isinstance(content, Stored):
        return Response(in_memory(content)[start:stop], status, headers, kind)
    headers["Content-Length"] = str(stop - start)
    body = () if request.method == "HEAD" else pieces(content, start, stop)
    return StreamingResponse(body, status, headers, kind)


def _span(first: str, last: str, size: int) -> tuple[int, int] | None:
    """Start and stop of a range; None if it contains no bytes."""
    if not first:
        start, stop = max(0, size - int(last or 0)), size
    else:
        start, stop = int(first), min(int(last) + 1, size) if last else size
    return (start, stop) if start < stop else None


def _headers(found: Object) -> dict[str, str]:
    """The headers of a GET or HEAD."""
    return {
        "Accept-Ranges": "bytes",
        "ETag": f'"{found.etag}"',
        "Last-Modified": format_datetime(found.created.astimezone(UTC), usegmt=True),
        "Vary": "Origin",
        "x-amz-version-id": found.version_id,
    }


def error(code: str, key: str, headers: Mapping[str, str] | None = None, words: str = "") -> Response:
    """An error in S3's XML, in its usual words or in others."""
    status, usual = _MESSAGES[code]
    if code == "ExpiredToken":
        code = "AccessDenied"
    body = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{code}</Code><Message>{words or usual}</Message><Resource>/{BUCKET}/{xml(key)}</Resource>"
        f"<RequestId>0000000000000000</RequestId><Key>{xml(key)}</Key><BucketName>{BUCKET}</BucketName></Error>"
    )
    made = {"Accept-Ranges": "bytes", "Vary": "Origin", **(headers or {})}
    return Response(body.encode(), status, made, "application/xml")
