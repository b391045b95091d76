"""Read one page of S3's ``ListObjectVersions``: XML of unknown origin, without entities, every field checked.  Pure.

Source: the S3 API reference.  With ``encoding-type=url`` keys are written as in a form, with a plus for a space.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import unquote_plus
from xml.etree.ElementTree import Element, ParseError, XMLParser, fromstring

from dandi_mirror.archive.zarr_entry import ZarrEntry, check_etag, check_key, check_size, checked_time
from dandi_mirror.errors import BadAnswerError

_ROOT = "ListVersionsResult"
_VERSION_ID = re.compile(r"[A-Za-z0-9._~+/=-]{1,1024}")
_SIZE = re.compile(r"[0-9]{1,14}", re.ASCII)
_NO_VERSION = "null"
"""What S3 calls the version of an object that came while the bucket kept no versions."""
_PLAIN = re.compile(
    r"<Version><Key>([^<&]*)</Key><VersionId>([A-Za-z0-9._~+/=-]{1,1024})</VersionId><IsLatest>(true|false)</IsLatest>"
    r"<LastModified>([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.[0-9]{1,9})?Z</LastModified>"
    r"<ETag>&quot;([0-9a-f]{32}(?:-[0-9]{1,5})?)&quot;</ETag>(?:<Checksum[A-Za-z]+>[A-Z0-9_]*</Checksum[A-Za-z]+>)*"
    r"<Size>([0-9]{1,13})</Size><StorageClass>[A-Z_]*</StorageClass>"
    r"(?:<Owner><ID>[0-9a-f]*</ID>(?:<DisplayName>[^<&]*</DisplayName>)?</Owner>)?</Version>"
)
_Decode = Callable[[str], str]
_Row = tuple[str, ...]
"""Key, version, whether it is the current one, time, ETag (empty: the key is deleted) and size, as text."""


class NotAListing(BadAnswerError):
    """The response is something else than a page of versions."""


@dataclass(frozen=True, slots=True)
class Marker:
    """The version behind which a page begins."""

    key: str = ""
    version_id: str = ""


@dataclass(frozen=True, slots=True)
class VersionsPage:
    """One page."""

    entries: list[ZarrEntry]
    """The current versions, each with its whole key as path; older versions and deleted keys are left out."""
    folders: list[str]
    """Common prefixes, if the request had a delimiter."""
    following: Marker | None
    """Where the next page begins; None after the last."""


def read_page(content: bytes, prefix: str, after: Marker, shown: str) -> VersionsPage:
    """The page of keys with ``prefix`` behind ``after``; ``shown`` names the request in messages.

    Raises:
        NotAListing: the response is no such list.
        BadAnswerError: it contradicts itself, or the request.
    """
    rest, rows = _take_rows(content, shown)
    root = _parse(rest, shown)
    space = root.tag.removesuffix(_ROOT)
    facts = {child.tag.removeprefix(space): child.text or "" for child in root if not len(child)}
    decode = _unquoted if facts.get("EncodingType") == "url" else str
    try:
        if others := list(_other_rows(root, space)):
            rows = sorted([*rows, *others], key=lambda row: (decode(row[0]), row[2] != "true"))
        entries = list(_entries(rows, prefix, after.key, decode))
        folders = [decode(found.findtext(f"{space}Prefix") or "") for found in root.iter(f"{space}CommonPrefixes")]
        if not all(folder.startswith(prefix) and folder > after.key for folder in folders):
            raise ValueError("a folder that was not asked for")
        following = _following(facts, after, decode)
        if following and not rows and not folders:
            raise ValueError("an empty page before the last")  # such a list need not end
        return VersionsPage(entries, folders, following)
    except ValueError as error:
        raise BadAnswerError(f"{shown}: the bucket's list has {error}") from None


def _take_rows(content: bytes, shown: str) -> tuple[str, list[_Row]]:
    """The versions that are written as AWS writes them, and the page without them.

    A reader of XML takes several times as long, and there are hundreds of millions.
    """
    try:
        parts = _PLAIN.split(content.decode())
    except UnicodeDecodeError:
        raise NotAListing(f"{shown}: the bucket's response is no list of versions") from None
    step = _PLAIN.groups + 1
    columns = [parts[number::step] for number in range(1, step)]
    return "".join(parts[::step]), list(zip(*columns, strict=True))


def _parse(text: str, shown: str) -> Element:
    # S3 declares nothing: without a declaration there is no entity that could grow
    if "<!" not in text:
        try:
            root = fromstring(text.encode(), XMLParser(encoding="utf-8"))
            if root.tag.rpartition("}")[2] == _ROOT:
                return root
        except (ParseError, ValueError):
            pass
    raise NotAListing(f"{shown}: the bucket's response is no list of versions")


def _unquoted(text: str) -> str:
    return unquote_plus(text, errors="strict") if "%" in text or "+" in text else text


def _other_rows(root: Element, space: str) -> Iterator[_Row]:
    """The versions that are written in another way; and the marks of deleted keys, without an ETag."""
    for row in root:
        if row.tag != f"{space}Version" and row.tag != f"{space}DeleteMarker":
            continue
        fields = {field.tag.removeprefix(space): field.text or "" for field in row}
        version_id, size = fields.get("VersionId", _NO_VERSION), fields.get("Size", "")
        if not _VERSION_ID.fullmatch(version_id):
            raise ValueError(f"a version that no object has: {version_id!a:.80}")
        etag = ""
        if row.tag == f"{space}Version":
            etag = check_etag(fields.get("ETag"))
            check_size(int(size) if _SIZE.fullmatch(size) else size)
        time = checked_time(fields.get("LastModified"))[:-1]
        yield fields.get("Key", ""), version_id, fields.get("IsLatest", ""), time, etag, size


def _entries(rows: Iterable[_Row], prefix: str, last: str, decode: _Decode) -> Iterator[ZarrEntry]:
    """The current versions; checks that the keys are in order, and that each has one current version at most."""
    current = None
    for raw, version_id, latest, time, etag, size in rows:
        key = check_key(decode(raw))
        if not key.startswith(prefix) or key < last:
            raise ValueError(f"a key out of its order: {key!a:.200}")
        last = key
        if latest != "true":
            continue
        if key == current:
            raise ValueError(f"two current versions of {key!a:.200}")
        current = key
        if etag:
            yield ZarrEntry(
                key, check_size(int(size)), etag, None if version_id == _NO_VERSION else version_id, f"{time}Z"
            )


def _following(facts: dict[str, str], after: Marker, decode: _Decode) -> Marker | None:
    """Where the next page begins."""
    truncated = facts.get("IsTruncated")
    if truncated not in {"true", "false"}:
        raise ValueError("no word on whether it goes on")
    if truncated == "false":
        return None
    following = Marker(decode(facts.get("NextKeyMarker", "")), facts.get("NextVersionIdMarker", ""))
    if following.key < after.key or following == after or not following.key:
        raise ValueError("a next page that does not come after this one")
    return following
