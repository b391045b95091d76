"""Pages of S3's lists in XML, with the elements in the order of AWS."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from urllib.parse import quote_plus

from dandi_mirror.embedded.bucket.contents import etag_of, size_of
from dandi_mirror.embedded.bucket.listing import BucketEntry, BucketPage, Wanted, token_of
from dandi_mirror.embedded.bucket.objects import BUCKET

_HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n<{0} xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
_OWNER = f"<Owner><ID>{'0123456789abcdef' * 4}</ID></Owner>"
_SPECIAL = re.compile(r"[&<>\"\x00-\x1f\x7f]")
_NAMES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"}
Written = Callable[[str], str]
"""How a key is written: for XML, or as in a URL."""


def versions_xml(wanted: Wanted, page: BucketPage, query: Mapping[str, str]) -> bytes:
    """The answer of ``ListObjectVersions``."""
    written = _written(query)
    rows = [_row(entry, written) for entry in page.entries]
    key, version = page.next_markers()
    following = _element("NextKeyMarker", written(key)) + _element("NextVersionIdMarker", version)
    markers = _element("KeyMarker", written(wanted.key_marker)) + _element("VersionIdMarker", wanted.version_marker)
    return _document("ListVersionsResult", wanted, page, query, markers + following * page.truncated, rows)


def objects_xml(wanted: Wanted, page: BucketPage, query: Mapping[str, str]) -> bytes:
    """The answer of ``ListObjectsV2``."""
    written = _written(query)
    rows = [f"<Contents>{_object(entry, written)}</Contents>" for entry in page.entries]
    more = _element("KeyCount", str(len(page.entries) + len(page.folders)))
    if page.truncated:
        more += _element("NextContinuationToken", token_of(page.next_markers()[0]))
    if token := query.get("continuation-token"):
        more += _element("ContinuationToken", xml(token))
    if start := query.get("start-after"):
        more += _element("StartAfter", written(start))
    return _document("ListBucketResult", wanted, page, query, more, rows)


def _document(
    name: str, wanted: Wanted, page: BucketPage, query: Mapping[str, str], own: str, rows: list[str]
) -> bytes:
    written = _written(query)
    delimiter = _element("Delimiter", written(wanted.delimiter)) if wanted.delimiter else ""
    encoding = _element("EncodingType", "url") if "encoding-type" in query else ""
    head = _element("Name", BUCKET) + _element("Prefix", written(wanted.prefix)) + own
    head += _element("MaxKeys", str(wanted.most)) + delimiter + encoding
    head += _element("IsTruncated", "true" if page.truncated else "false")
    folders = [f"<CommonPrefixes><Prefix>{written(folder)}</Prefix></CommonPrefixes>" for folder in page.folders]
    text = "".join([_HEAD.format(name), head, *rows, *folders, f"</{name}>"])
    return text.encode(errors="surrogatepass")


def _row(entry: BucketEntry, written: Written) -> str:
    version, latest = entry.version, "true" if entry.latest else "false"
    ids = f"<VersionId>{xml(version.version_id)}</VersionId><IsLatest>{latest}</IsLatest>"
    if version.content is None:
        when = _when(version.modified)
        key = f"<Key>{written(entry.key)}</Key>"
        return f"<DeleteMarker>{key}{ids}<LastModified>{when}</LastModified>{_OWNER}</DeleteMarker>"
    return f"<Version>{_object(entry, written, ids)}{_OWNER}</Version>"


def _object(entry: BucketEntry, written: Written, ids: str = "") -> str:
    content, when = entry.version.content, _when(entry.version.modified)
    assert content is not None
    return (
        f"<Key>{written(entry.key)}</Key>{ids}<LastModified>{when}</LastModified>"
        f"<ETag>&quot;{etag_of(content)}&quot;</ETag><Size>{size_of(content)}</Size>"
        "<StorageClass>STANDARD</StorageClass>"
    )


@lru_cache
def _when(moment: datetime) -> str:
    """In whole seconds, as S3 keeps it."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.000Z"


def _written(query: Mapping[str, str]) -> Written:
    return _url if query.get("encoding-type") == "url" else xml


def _url(text: str) -> str:
    """With a plus for a space, as S3 writes it."""
    return quote_plus(text, safe="/*", errors="surrogatepass")


def xml(text: str) -> str:
    """A text in XML; control characters as S3 writes them, although no XML 1.0 parser reads most of them."""
    return _SPECIAL.sub(lambda found: _NAMES.get(found[0], f"&#x{ord(found[0]):x};"), text)


def _element(name: str, text: str) -> str:
    return f"<{name}>{text}</{name}>"
