"""A Zarr is listed in the archive's bucket: whole, in order, in parallel, and never half."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from starlette.responses import Response

from dandi_mirror.archive.api.client import ArchiveClient as Client
from dandi_mirror.archive.api.zarrs import api_entries, list_zarrs, zarr_state
from dandi_mirror.archive.bucket.listing import BucketFolder, BucketLister, CannotList
from dandi_mirror.archive.http.session import Session
from dandi_mirror.archive.zarr_entry import ZarrEntry
from dandi_mirror.embedded import Archive, Dandiset, Request, Server, Zarr, generated_zarr, generated_zarrs
from dandi_mirror.embedded.bucket.contents import etag_of
from dandi_mirror.embedded.bucket.own import Bucket
from dandi_mirror.errors import BadAnswerError, NotFoundError, TemporaryError
from tests.conftest import IMPATIENT
from tests.support.zarrs import SMALL, a_zarr, change, in_parts

MANY = 6000
"""Entries: more than a page, so that there are ranges."""


@pytest.fixture
def dandiset(archive: Archive) -> Dandiset:
    return archive.create_dandiset("000123", name="A test")


@pytest.fixture
def session(server: Server) -> Iterator[Session]:
    with closing(Session(server.api_url, policy=IMPATIENT, at_once=16)) as session:
        yield session


@pytest.fixture
def lister(session: Session) -> Iterator[BucketLister]:
    with closing(BucketLister(session)) as lister:
        yield lister


def folder(zarr: Zarr, server: Server) -> BucketFolder:
    found = BucketFolder.at(f"{server.archive.s3_url}/{zarr.key}")
    assert found
    return found


def listed(lister: BucketLister, zarr: Zarr, server: Server, expected: int | None = None) -> list[ZarrEntry]:
    return list(lister.entries(folder(zarr, server), len(zarr.files) if expected is None else expected))


def pages(server: Server) -> list[Request]:
    """The requests for pages of the bucket's list."""
    return [request for request in server.requests if request.path.startswith("/dandi-dandisets") and request.query]


def on_page(number: int, answer: Callable[[], Response]) -> Callable[[Request], Response | None]:
    """Answers the page of this number (from 0) otherwise."""
    seen = 0

    def intercept(request: Request) -> Response | None:
        nonlocal seen
        if "versions" not in request.query or not request.path.startswith("/dandi-dandisets"):
            return None
        seen += 1
        return answer() if seen == number + 1 else None

    return intercept


def xml(text: str) -> Response:
    return Response(text, media_type="application/xml")


def test_a_small_zarr_takes_one_request_and_has_the_version_of_every_file(
    lister: BucketLister, dandiset: Dandiset, server: Server
) -> None:
    zarr = a_zarr(dandiset, "x.zarr", {**SMALL, "parts": in_parts(b"x" * 2500)})
    found = listed(lister, zarr, server)
    assert len(pages(server)) == 1
    assert [entry.path for entry in found] == sorted([*SMALL, "parts"])
    for entry in found:
        newest = zarr.files.newest(entry.path)
        assert newest and newest.content is not None
        assert (entry.etag, entry.version_id) == (etag_of(newest.content), newest.version_id)
    assert found[-1].etag.endswith("-3"), "sent in parts"


def test_old_versions_and_deleted_files_are_left_out(lister: BucketLister, dandiset: Dandiset, server: Server) -> None:
    zarr = a_zarr(dandiset, "x.zarr")
    change(zarr, {"arr/0/0": b"new", "arr/0/1": None})
    found = {entry.path: entry.size for entry in listed(lister, zarr, server)}
    assert found == {path: len(content) for path, content in zarr.files.items() if isinstance(content, bytes)}
    assert found["arr/0/0"] == 3 and "arr/0/1" not in found


@pytest.mark.parametrize("names", ["a b", "+", "%2F", "ü", "<&>\"'", "\n", "\x01", "~!*()"])
def test_any_name_is_listed(lister: BucketLister, dandiset: Dandiset, server: Server, names: str) -> None:
    zarr = a_zarr(dandiset, "x.zarr", {f"a/{names}": b"1", f"{names}/b": b"2"})
    assert {entry.path for entry in listed(lister, zarr, server)} == set(zarr.files)


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_large_zarr_is_listed_in_ranges_of_keys_and_each_entry_comes_once(
    lister: BucketLister, dandiset: Dandiset, server: Server, session: Session, zarr_format: int
) -> None:
    zarr = generated_zarr(dandiset, "x.zarr", 3 * MANY, zarr_format=zarr_format)
    found = listed(lister, zarr, server)
    assert [entry.path for entry in found] == list(zarr.files)
    in_ranges = pages(server)
    begun = [request for request in in_ranges if "key-marker" in request.query and "version-id" not in request.query]
    assert len(begun) >= 2, "ranges that do not wait for each other"
    assert len(in_ranges) <= 2 * 3 * MANY / 1000
    server.requests.clear()
    # in order, page by page, it is the same
    assert listed(lister, zarr, server, expected=0) == found
    assert len(pages(server)) == 3 * MANY // 1000


def test_a_wrong_idea_of_the_size_costs_requests_and_loses_nothing(
    lister: BucketLister, dandiset: Dandiset, server: Server
) -> None:
    zarr = generated_zarr(dandiset, "x.zarr", 2500)
    for expected in (0, 10, 10**6):
        assert [entry.path for entry in listed(lister, zarr, server, expected)] == list(zarr.files)


def test_many_versions_of_one_file_go_over_several_pages(
    lister: BucketLister, dandiset: Dandiset, server: Server
) -> None:
    zarr = a_zarr(dandiset, "x.zarr", {"0/a": b"a", "0/b": b"b", "0/c": b"c"})
    for number in range(2100):
        zarr.files["0/b"] = b"%d" % number
    found = listed(lister, zarr, server)
    assert [(entry.path, entry.size) for entry in found] == [("0/a", 1), ("0/b", 4), ("0/c", 1)]
    assert len(pages(server)) == 3


def test_a_bucket_that_refuses_is_asked_once(
    archive: Archive, lister: BucketLister, dandiset: Dandiset, server: Server
) -> None:
    first, second = a_zarr(dandiset, "x.zarr"), a_zarr(dandiset, "y.zarr")
    assert isinstance(archive.bucket, Bucket)
    archive.bucket.lists = False
    for zarr in (first, second):
        with pytest.raises(CannotList, match="403"):
            listed(lister, zarr, server)
    assert len(pages(server)) == 1


@pytest.mark.parametrize("body", ["<html>Please sign in</html>", "", "{}"])
def test_something_else_than_a_list_is_asked_for_again_and_then_counts_as_a_refusal(
    lister: BucketLister, dandiset: Dandiset, server: Server, body: str
) -> None:
    zarr = a_zarr(dandiset, "x.zarr")
    server.intercept = on_page(0, lambda: xml(body))
    assert len(listed(lister, zarr, server)) == len(SMALL)
    server.intercept = lambda request: xml(body)
    with pytest.raises(CannotList):
        listed(lister, zarr, server)


def test_a_bucket_that_asks_to_slow_down_gets_the_request_again(
    lister: BucketLister, dandiset: Dandiset, server: Server
) -> None:
    zarr = generated_zarr(dandiset, "x.zarr", MANY)
    slow = "<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
    server.intercept = on_page(2, lambda: Response(slow, 503, {"Retry-After": "0"}, "application/xml"))
    assert [entry.path for entry in listed(lister, zarr, server)] == list(zarr.files)
    server.intercept = lambda request: Response(slow, 503)
    with pytest.raises(TemporaryError, match="503"):
        listed(lister, zarr, server)


@pytest.mark.parametrize("number", [1, 3, 5])
@pytest.mark.parametrize(
    "body",
    [
        "<ListVersionsResult><IsTruncated>false</IsTruncated>",
        "<ListVersionsResult><IsTruncated>true</IsTruncated></ListVersionsResult>",
        "<ListVersionsResult><IsTruncated>true</IsTruncated><NextKeyMarker>zarr/</NextKeyMarker></ListVersionsResult>",
        "<ListVersionsResult></ListVersionsResult>",
    ],
)
def test_a_bad_page_in_the_middle_ends_the_list_with_an_error(
    lister: BucketLister, dandiset: Dandiset, server: Server, number: int, body: str
) -> None:
    zarr = generated_zarr(dandiset, "x.zarr", MANY)
    server.intercept = on_page(number, lambda: xml(body))
    with pytest.raises(BadAnswerError):
        listed(lister, zarr, server, expected=0)


def test_the_api_lists_the_same_files_without_versions(
    lister: BucketLister, dandiset: Dandiset, server: Server, session: Session
) -> None:
    zarr = generated_zarr(dandiset, "x.zarr", 2500)
    by_api = list(api_entries(Client(session), zarr.zarr_id))
    assert {entry.version_id for entry in by_api} == {None}
    assert by_api == [entry._replace(version_id=None) for entry in listed(lister, zarr, server)]


def test_the_list_of_zarrs_says_when_one_has_changed(dandiset: Dandiset, session: Session, archive: Archive) -> None:
    zarrs = generated_zarrs(dandiset, 3, 2)
    other = archive.create_dandiset("000124", name="Another")
    a_zarr(other, "x.zarr")
    client = Client(session)
    before = list_zarrs(client)
    assert before.keys() == {"000123": list_zarrs(client, "000123").key(), "000124": list_zarrs(client, "000124").key()}
    assert list_zarrs(client, "000125").key() == ""
    change(zarrs[1], {"new": b"1"})
    after = list_zarrs(client)
    assert after.keys()["000124"] == before.keys()["000124"]
    assert after.keys()["000123"] != before.keys()["000123"]
    listed_zarr = after.get(zarrs[1].zarr_id)
    assert listed_zarr and listed_zarr == zarr_state(client, zarrs[1].zarr_id)
    assert (listed_zarr.checksum, listed_zarr.file_count) == (zarrs[1].checksum, 3)
    with pytest.raises(NotFoundError):
        zarr_state(client, "00000000-0000-4000-8000-000000000000")
