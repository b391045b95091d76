"""Lists of a bucket: pages of S3's versions, read as a whole or not at all."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dandi_mirror.archive.bucket.listing import BucketFolder
from dandi_mirror.archive.bucket.page import Marker, NotAListing, VersionsPage, read_page
from dandi_mirror.errors import BadAnswerError

PREFIX = "zarr/8b0493dd-32d6-4f75-8ca2-b57b28fc9695/"
MD5 = "d8f0549d9d6be70f0eb596421fd2c926"
SPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
pytestmark = pytest.mark.quick


def version(path: str, *, latest: bool = True, etag: str = MD5, size: str = "18", version_id: str = "v.1_x") -> str:
    """A version as AWS writes it."""
    return (
        f"<Version><Key>{PREFIX}{path}</Key><VersionId>{version_id}</VersionId>"
        f"<IsLatest>{str(latest).lower()}</IsLatest><LastModified>2026-11-22T07:35:09.000Z</LastModified>"
        f"<ETag>&quot;{etag}&quot;</ETag><Size>{size}</Size><StorageClass>STANDARD</StorageClass></Version>"
    )


def deleted(path: str, *, latest: bool = True) -> str:
    """A mark of a deleted key."""
    return (
        f"<DeleteMarker><Key>{PREFIX}{path}</Key><VersionId>d</VersionId><IsLatest>{str(latest).lower()}</IsLatest>"
        "<LastModified>2026-11-22T07:35:09.000Z</LastModified></DeleteMarker>"
    )


def document(*rows: str, truncated: str = "false", head: str = "<EncodingType>url</EncodingType>") -> bytes:
    facts = f"<Name>b</Name><Prefix>{PREFIX}</Prefix>{head}<IsTruncated>{truncated}</IsTruncated>"
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n<ListVersionsResult {SPACE}>{facts}{"".join(rows)}'
    return f"{text}</ListVersionsResult>".encode()


def read(content: bytes, after: Marker | None = None) -> VersionsPage:
    return read_page(content, PREFIX, after or Marker(), "the list")


def paths(page: VersionsPage) -> list[str]:
    return [entry.path.removeprefix(PREFIX) for entry in page.entries]


def test_a_page_has_the_current_version_of_each_key_that_is_not_deleted() -> None:
    rows = [version("0/0"), version("0/0", latest=False), deleted("0/1"), version("0/1", latest=False), version("0/2")]
    page = read(document(*rows))
    assert paths(page) == ["0/0", "0/2"]
    assert page.entries[0][1:] == (18, MD5, "v.1_x", "2026-11-22T07:35:09Z")
    assert page.following is None


@pytest.mark.parametrize("name", ["a b+c", "ü/\n.x", "a&b<c>'\"", "%2F"])
def test_any_name_comes_through_the_encoding_of_urls(name: str) -> None:
    from urllib.parse import quote_plus

    assert paths(read(document(version(quote_plus(name, safe="/"))))) == [name]


def test_names_in_plain_xml_are_read_too() -> None:
    assert paths(read(document(version("a&amp;b+%41"), head=""))) == ["a&b+%41"]


def test_rows_in_another_order_of_fields_are_the_same() -> None:
    """MinIO's order, from a recorded answer of the archive's server."""
    row = (
        f"<Version><Key>{PREFIX}.zgroup</Key><VersionId>6715</VersionId><IsLatest>true</IsLatest>"
        f"<ETag>&#34;{MD5}&#34;</ETag><Size>18</Size><Owner><ID>minio</ID><DisplayName>minio</DisplayName></Owner>"
        "<StorageClass>STANDARD</StorageClass><LastModified>2026-11-22T07:35:09Z</LastModified></Version>"
    )
    mixed = read(document(row, version("0"), head=""))
    assert paths(mixed) == [".zgroup", "0"]
    assert mixed.entries[0][1:] == (18, MD5, "6715", "2026-11-22T07:35:09Z")


def test_a_bucket_without_versions_gives_none() -> None:
    assert read(document(version("0", version_id="null"))).entries[0].version_id is None


def test_the_next_page_begins_behind_the_marker() -> None:
    head = f"<NextKeyMarker>{PREFIX}0</NextKeyMarker><NextVersionIdMarker>v</NextVersionIdMarker>"
    assert read(document(version("0"), truncated="true", head=head)).following == Marker(f"{PREFIX}0", "v")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (document(version("1"), version("0")), "out of its order"),
        (document(version("0"), version("0")), "two current versions"),
        (document(version("0", etag="x" * 32)), "an ETag"),
        (document(version("0", size="-1")), "a size"),
        (document(version("0", size=str(2**43))), "a size"),
        (document(version("x" * 1100)), "a key that no bucket has"),
        (document(version("0", version_id="a b")), "a version that no object has"),
        (document(version("0").replace(PREFIX, "zarr/other/")), "out of its order"),
        (document(version("0").replace("2026-11-22T07:35:09.000Z", "yesterday")), "a time"),
        (document(version("%ff")), "invalid start byte"),
        (document(truncated="maybe"), "no word on whether it goes on"),
        (document(version("0"), truncated="true"), "a next page that does not come after this one"),
        (document(truncated="true", head=f"<NextKeyMarker>{PREFIX}0</NextKeyMarker>"), "an empty page before the last"),
        (document("<CommonPrefixes><Prefix>elsewhere/</Prefix></CommonPrefixes>"), "a folder that was not asked for"),
    ],
)
def test_a_page_that_contradicts_itself_is_refused(content: bytes, reason: str) -> None:
    with pytest.raises(BadAnswerError, match=reason):
        read(content)


def test_a_page_that_leads_to_itself_or_back_is_refused() -> None:
    here = Marker(f"{PREFIX}5", "v")
    for marker in (f"{PREFIX}5", f"{PREFIX}4"):
        head = f"<NextKeyMarker>{marker}</NextKeyMarker><NextVersionIdMarker>v</NextVersionIdMarker>"
        with pytest.raises(BadAnswerError, match="a next page that does not come after this one"):
            read(document(truncated="true", head=head), here)
    with pytest.raises(BadAnswerError, match="out of its order"):
        read(document(version("4")), here)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html><body>Sign in</body></html>",
        b"<Error><Code>AccessDenied</Code></Error>",
        document(version("0"))[:-30],
        document(version("0")).decode().encode("utf-16"),
        b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>' + document(version("&b;")),
        document(version("0"), head="<Prefix><![CDATA[x]]></Prefix>"),
        b"\xff" + document(version("0")),
    ],
)
def test_what_is_no_list_is_refused_and_no_entity_is_expanded(content: bytes) -> None:
    with pytest.raises(NotAListing):
        read(content)


@given(st.data())
def test_any_change_of_a_page_is_read_as_a_page_or_refused(data: st.DataObject) -> None:
    content = bytearray(document(version("0/0"), deleted("0/1"), version("0/2")))
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        page = read(bytes(content))
    except BadAnswerError:
        return
    assert all(entry.path.startswith(PREFIX) and re.fullmatch("[0-9a-f]{32}", entry.etag) for entry in page.entries)


@pytest.mark.parametrize(
    ("url", "bucket", "prefix"),
    [
        ("https://dandiarchive.s3.amazonaws.com/zarr/ID/", "https://dandiarchive.s3.amazonaws.com/", "zarr/ID/"),
        ("https://b.s3.us-east-2.amazonaws.com/dev/zarr/ID", "https://b.s3.us-east-2.amazonaws.com/", "dev/zarr/ID/"),
        ("http://127.0.0.1:9000/dandi-dandisets/zarr/ID/", "http://127.0.0.1:9000/dandi-dandisets/", "zarr/ID/"),
    ],
)
def test_the_bucket_of_a_zarr_is_the_host_or_the_first_part_of_the_path(url: str, bucket: str, prefix: str) -> None:
    assert BucketFolder.at(url) == BucketFolder(bucket, prefix)


@pytest.mark.parametrize("url", ["https://example.org/", "https://example.org/bucket/", "https://b.s3.amazonaws.com/"])
def test_a_url_without_a_folder_in_a_bucket_is_none(url: str) -> None:
    assert BucketFolder.at(url) is None


def test_a_recorded_answer_of_the_archives_server_is_read() -> None:
    recorded = Path(__file__).parent / "data" / "zarr-versions.json"
    facts = json.loads(recorded.read_text())
    page = read_page(facts["body"].encode(), facts["prefix"], Marker(), "the list")
    assert [entry.path.removeprefix(facts["prefix"]) for entry in page.entries] == facts["current"]
