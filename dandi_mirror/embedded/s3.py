"""The bucket: blobs, Zarr files and manifests by key, with ranges and presigned URLs, as S3 answers."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from starlette.responses import Response

from dandi_mirror.embedded.rules import dumps

if TYPE_CHECKING:
    from dandi_mirror.embedded.dandiset import Dandiset
    from dandi_mirror.embedded.store import Archive

BUCKET = "dandi-dandisets"
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")
_MESSAGES = {
    "AccessDenied": (403, "Access Denied."),
    "InvalidRange": (416, "The requested range is not satisfiable"),
    "NoSuchKey": (404, "The specified key does not exist."),
    "SignatureDoesNotMatch": (
        403,
        "The request signature we calculated does not match the signature you provided. "
        "Check your key and signing method.",
    ),
    "MethodNotAllowed": (405, "The specified method is not allowed against this resource."),
}


@dataclass(frozen=True, slots=True)
class Object:
    """What lies at a key; ``content`` is None for a blob that is only known by name."""

    key: str
    content: bytes | None
    etag: str
    created: datetime
    holders: tuple[Dandiset, ...]
    kind: str = "application/octet-stream"

    @property
    def hidden(self) -> bool:
        """Whether it is only in Dandisets under embargo: then anonymous readers get 403."""
        return bool(self.holders) and not any(dandiset.is_open for dandiset in self.holders)

    @property
    def version_id(self) -> str:
        """The one version that an object here has."""
        return file_etag(self.key.encode())

    def headers(self) -> dict[str, str]:
        """The headers of a GET or HEAD."""
        return {
            "Accept-Ranges": "bytes",
            "ETag": f'"{self.etag}"',
            "Last-Modified": format_datetime(self.created.astimezone(UTC), usegmt=True),
            "Vary": "Origin",
            "x-amz-version-id": self.version_id,
        }


def file_etag(content: bytes) -> str:
    """The ETag of an object that was stored in one part."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def presigned(archive: Archive, method: str, key: str, extra: Mapping[str, str]) -> str:
    """A URL that opens ``key`` to whoever has it, for one method."""
    now = archive.now().astimezone(UTC)
    query = {
        **extra,
        "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
        "X-Amz-Credential": f"embedded/{now:%Y%m%d}/us-east-1/s3/aws4_request",
        "X-Amz-Date": f"{now:%Y%m%dT%H%M%SZ}",
        "X-Amz-Expires": "21600",
        "X-Amz-SignedHeaders": "host",
    }
    query["X-Amz-Signature"] = _signature(method, key, query)
    return f"{archive.s3_url}/{quote(key)}?{urlencode(query, quote_via=quote, safe='')}"


def _signature(method: str, key: str, query: Mapping[str, str]) -> str:
    signed = sorted((k, v) for k, v in query.items() if k != "X-Amz-Signature")
    return hashlib.sha256(dumps([method, key, signed])).hexdigest()


def respond(archive: Archive, method: str, key: str, query: Mapping[str, str], headers: Mapping[str, str]) -> Response:
    """The answer to GET or HEAD of a key."""
    if method not in ("GET", "HEAD"):
        return _error("MethodNotAllowed", key)
    signature = query.get("X-Amz-Signature")
    if signature is not None and signature != _signature(method, key, query):
        return _error("SignatureDoesNotMatch", key)
    found = find(archive, key)
    if found is None:
        return _error("NoSuchKey", key)
    if found.hidden and signature is None:
        return _error("AccessDenied", key, {"x-amz-version-id": found.version_id})
    if found.content is None:
        return _error("NoSuchKey", key)
    return _content(found, found.content, query, headers.get("range", ""))


def _content(found: Object, content: bytes, query: Mapping[str, str], wanted: str) -> Response:
    """All of it, or the range that is wanted; a range that is not understood counts as none."""
    headers, status, size = found.headers(), 200, len(content)
    if "response-content-disposition" in query:
        headers["Content-Disposition"] = query["response-content-disposition"]
    if match := _RANGE.fullmatch(wanted):
        span = _span(match[1], match[2], size)
        if span is None:
            made = {"Content-Range": f"bytes */{size}", "x-amz-version-id": found.version_id}
            return _error("InvalidRange", found.key, made)
        start, stop = span
        status, content = 206, content[start:stop]
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
    return Response(content, status, headers, query.get("response-content-type", found.kind))


def _span(first: str, last: str, size: int) -> tuple[int, int] | None:
    """Start and stop of a range's bytes; None when there are none to give."""
    if not first:
        start, stop = max(0, size - int(last or 0)), size
    else:
        start, stop = int(first), min(int(last) + 1, size) if last else size
    return (start, stop) if start < stop else None


def find(archive: Archive, key: str) -> Object | None:
    """What lies at ``key``, whoever asks."""
    kind, _, rest = key.partition("/")
    if kind == "blobs":
        blob = archive.blobs.get(rest.rpartition("/")[2])
        if blob is None or blob.key != key:
            return None
        return Object(key, blob.content, blob.etag or "", blob.created, blob.holders)
    if kind == "zarr":
        zarr_id, _, path = rest.partition("/")
        zarr = archive.zarrs.get(zarr_id)
        content = zarr.files.get(path) if zarr else None
        if zarr is None or content is None:
            return None
        return Object(key, content, file_etag(content), zarr.created, (zarr.dandiset,))
    return _manifest(archive, key) if kind == "dandisets" else None


def _manifest(archive: Archive, key: str) -> Object | None:
    """A version's manifest, made when it is asked for; the YAML ones are JSON, which YAML reads too."""
    parts = key.split("/")
    dandiset = archive.dandisets.get(parts[1]) if len(parts) == 4 else None
    version = dandiset.versions.get(parts[2]) if dandiset else None
    if dandiset is None or version is None:
        return None
    name, _, kind = parts[3].partition(".")
    if (name, kind) not in {(n, k) for n in ("dandiset", "assets") for k in ("yaml", "jsonld")}:
        return None
    if name == "assets":
        content = b"[" + b",".join([asset.record() for asset in version]) + b"]"
    else:
        content = dumps(version.metadata)
    media = "application/ld+json" if kind == "jsonld" else "application/octet-stream"
    return Object(key, content, file_etag(content), version.modified, (dandiset,), media)


def _error(code: str, key: str, headers: Mapping[str, str] | None = None) -> Response:
    """An error in XML, as S3 words it."""
    status, words = _MESSAGES[code]
    body = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{code}</Code><Message>{words}</Message><Resource>/{BUCKET}/{_xml(key)}</Resource>"
        f"<RequestId>0000000000000000</RequestId><Key>{_xml(key)}</Key><BucketName>{BUCKET}</BucketName></Error>"
    )
    made = {"Accept-Ranges": "bytes", "Vary": "Origin", **(headers or {})}
    return Response(body.encode(), status, made, "application/xml")


def _xml(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
