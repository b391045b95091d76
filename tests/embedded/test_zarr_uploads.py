"""Zarrs are uploaded, finalized and ingested in the states of the real server, and refused as it refuses."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest
import requests

from dandi_mirror.embedded import Archive, Dandiset, Refused, Server, Zarr
from tests.support.asking import OTHER, OWNER, get
from tests.support.putting import call
from tests.support.waiting import wait_until
from tests.support.zarrs import SMALL, a_zarr, change, checksum

UNKNOWN = {"status": "Pending", "checksum": None, "file_count": 0, "size": 0}


@pytest.fixture
def zarr(dandiset: Dandiset) -> Zarr:
    return a_zarr(dandiset, "x.ome.zarr")


def record(server: Server, zarr: Zarr) -> dict[str, Any]:
    found: dict[str, Any] = get(server, f"/zarr/{zarr.zarr_id}/").json()
    return {name: found[name] for name in UNKNOWN}


def announced(path: str, content: bytes) -> dict[str, str]:
    return {"path": path, "base64md5": base64.b64encode(hashlib.md5(content).digest()).decode()}


def put(server: Server, zarr: Zarr, path: str, content: bytes, **headers: str) -> requests.Response:
    [url] = call(server, "POST", f"/zarr/{zarr.zarr_id}/files/", [announced(path, content)]).json()
    return requests.put(url, content, headers={"Content-MD5": announced(path, content)["base64md5"], **headers})


def test_a_zarr_has_no_checksum_from_the_first_url_until_it_is_ingested(
    server: Server, zarr: Zarr, archive: Archive
) -> None:
    archive.jobs.delay = None
    state, before = zarr.checksum, archive.dandisets["000004"].draft.modified
    call(server, "POST", f"/zarr/{zarr.zarr_id}/files/", [announced("arr/9", b"new")])
    assert record(server, zarr) == UNKNOWN, "the URL may be used at any time"
    assert put(server, zarr, "arr/9", b"new").headers["x-amz-version-id"] == zarr.files.versions("arr/9")[0].version_id
    asset = get(server, "/dandisets/000004/versions/draft/assets/?metadata=true").json()["results"][0]
    assert (asset["size"], asset["metadata"]["digest"]) == (0, {"dandi:dandi-zarr-checksum": None})
    assert archive.dandisets["000004"].draft.modified == before, "the draft does not tell"
    call(server, "POST", f"/zarr/{zarr.zarr_id}/finalize/")
    assert record(server, zarr) == UNKNOWN | {"status": "Uploaded"}
    archive.jobs.settle()
    assert record(server, zarr) == {
        "status": "Complete",
        "checksum": checksum({**SMALL, "arr/9": b"new"}),
        "file_count": len(SMALL) + 1,
        "size": sum(map(len, SMALL.values())) + 3,
    }
    assert zarr.checksum != state
    assert archive.dandisets["000004"].draft.modified > before


def test_ingestion_takes_its_time_and_nobody_may_change_the_zarr_meanwhile(
    server: Server, zarr: Zarr, archive: Archive
) -> None:
    archive.ingest_seconds = 3600
    put(server, zarr, "arr/9", b"new")
    call(server, "POST", f"/zarr/{zarr.zarr_id}/finalize/")
    wait_until(lambda: zarr.status == "Ingesting")
    assert record(server, zarr) == UNKNOWN | {"status": "Ingesting"}
    for method, path, body in (
        ("POST", "files/", [announced("a", b"a")]),
        ("DELETE", "files/", [{"path": "arr/9"}]),
        ("POST", "finalize/", None),
    ):
        answer = call(server, method, f"/zarr/{zarr.zarr_id}/{path}", body)
        assert (answer.status_code, "currently ingesting" in answer.text) == (400, True), (method, path)
    archive.jobs.settle()
    assert record(server, zarr)["status"] == "Complete"


def test_a_change_at_s3_alone_is_not_noticed_by_the_archive(server: Server, zarr: Zarr) -> None:
    state = record(server, zarr)
    change(zarr, {"arr/0/0": b"sent late, by a URL that was still valid"}, finalized=False)
    assert record(server, zarr) == state
    listed = get(server, f"/zarr/{zarr.zarr_id}/files/?prefix=arr/0/0").json()["results"]
    assert [entry["Size"] for entry in listed] == [40]


def test_the_record_of_an_asset_may_lag_behind_its_zarr(server: Server, zarr: Zarr, archive: Archive) -> None:
    [asset] = archive.dandisets["000004"].draft
    before = zarr.checksum
    asset.lag()
    change(zarr, {"arr/0/0": b"new"})
    found = get(server, f"/assets/{asset.asset_id}/").json()
    assert found["digest"] == {"dandi:dandi-zarr-checksum": before} != zarr.digests
    asset.lag(False)
    assert get(server, f"/assets/{asset.asset_id}/").json()["digest"] == zarr.digests


@pytest.mark.parametrize("path", ["../x", "a/../../x", "..", "a\\..\\..\\x"])
def test_no_path_leads_out_of_a_zarr(server: Server, zarr: Zarr, path: str) -> None:
    url = f"/zarr/{zarr.zarr_id}/files/"
    words = ['Zarr path cannot contain ".." components.']
    for method, body in (("POST", [announced("fine", b"x"), announced(path, b"x")]), ("DELETE", [{"path": path}])):
        answer = call(server, method, url, body)
        assert (answer.status_code, answer.json()[-1]) == (400, {"path": words})
    for name in ("prefix", "after"):
        assert get(server, f"{url}?{name}={path}").json() == {name: words}
    assert zarr.checksum == checksum(SMALL), "nothing has changed"


@pytest.mark.parametrize("path", [".git/config", "a\nb", "-rf", "a b/%2e", "é", "zarr.json"])
def test_any_other_path_is_taken(server: Server, zarr: Zarr, path: str) -> None:
    assert put(server, zarr, path, b"x").status_code == 200
    assert zarr.files[path] == zarr.files.versions(path)[0].content


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, {"non_field_errors": ['Expected a list of items but got type "dict".']}),
        ([{"path": "a"}], [{"base64md5": ["This field is required."]}]),
        ([{"path": " ", "base64md5": "x"}], [{"path": ["This field may not be blank."]}]),
        ([announced("a", b""), "b"], [{}, {"non_field_errors": ["Invalid data. Expected a dictionary, but got str."]}]),
    ],
)
def test_a_wrong_body_changes_nothing(server: Server, zarr: Zarr, body: Any, words: Any) -> None:
    answer = call(server, "POST", f"/zarr/{zarr.zarr_id}/files/", body)
    assert (answer.status_code, answer.json()) == (400, words)
    assert record(server, zarr)["status"] == "Complete"


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("limit=1001", {"limit": ["Ensure this value is less than or equal to 1000."]}),
        ("limit=-1", {"limit": ["Ensure this value is greater than or equal to 0."]}),
        ("limit=x", {"limit": ["A valid integer is required."]}),
        ("download=x", {"download": ["Must be a valid boolean."]}),
    ],
)
def test_a_wrong_query_is_refused(server: Server, zarr: Zarr, query: str, words: Any) -> None:
    answer = get(server, f"/zarr/{zarr.zarr_id}/files/?{query}")
    assert (answer.status_code, answer.json()) == (400, words)


def test_a_prefix_that_ends_in_a_slash_finds_more_than_the_folder(server: Server, dandiset: Dandiset) -> None:
    """The real server drops the slash."""
    zarr = a_zarr(dandiset, "x.zarr", {"a/b": b"1", "ab": b"2", "c": b"3"})
    found = get(server, f"/zarr/{zarr.zarr_id}/files/?prefix=/a/").json()["results"]
    assert [entry["Key"] for entry in found] == ["a/b", "ab"]


def test_zarrs_are_listed_by_dandiset_and_name_and_only_to_those_who_may_see_them(
    server: Server, dandiset: Dandiset, archive: Archive
) -> None:
    for path in ("b.zarr", "a.zarr"):
        a_zarr(dandiset, path)
    other = archive.create_dandiset("000005", embargo_status="EMBARGOED", owners=("owner@nil.nil",))
    hidden = a_zarr(other, "a.zarr")

    def names(query: str = "", token: str = "") -> list[tuple[str, str]]:
        found = get(server, f"/zarr/?{query}", token).json()
        assert found["count"] == len(found["results"])
        return [(entry["dandiset"], entry["name"]) for entry in found["results"]]

    assert names() == [("000004", "b.zarr"), ("000004", "a.zarr")], "oldest first"
    assert names("name=a.zarr", OWNER) == [("000004", "a.zarr"), ("000005", "a.zarr")]
    assert names("dandiset=000005") == names("dandiset=000005", OTHER) == []
    assert names("dandiset=000005&name=a.zarr", OWNER) == [("000005", "a.zarr")]
    assert get(server, "/zarr/?dandiset=x").status_code == 400
    assert get(server, f"/zarr/{hidden.zarr_id}/", OTHER).status_code == 404
    first = get(server, "/zarr/?page_size=1").json()
    second = get(server, first["next"]).json()
    assert (first["count"], [entry["name"] for entry in second["results"]]) == (2, ["a.zarr"])
    archive.delete_dandiset("000004")
    assert names() == []


def test_the_files_of_an_embargoed_zarr_need_a_tag_to_come_and_a_signature_to_go(
    server: Server, archive: Archive
) -> None:
    hidden = archive.create_dandiset("000005", embargo_status="EMBARGOED", owners=("owner@nil.nil",))
    zarr = a_zarr(hidden, "x.zarr", {"a": b"secret"})
    assert put(server, zarr, "b", b"new").status_code == 403
    assert put(server, zarr, "b", b"new", **{"X-Amz-Tagging": "embargoed=true"}).status_code == 200
    old = zarr.files.versions("a")[0].version_id
    for query in ("", f"?versionId={old}"):
        assert requests.get(f"{archive.s3_url}/{zarr.key}a{query}").status_code == 403
    signed = get(server, f"/zarr/{zarr.zarr_id}/files/?prefix=a&download=true").headers["location"]
    assert requests.get(signed).content == b"secret"
    hidden.set_embargo("OPEN")
    assert requests.get(f"{archive.s3_url}/{zarr.key}a").content == b"secret"


def test_a_zarr_is_created_by_an_owner_once(server: Server, archive: Archive, dandiset: Dandiset) -> None:
    def create(name: str, identifier: str, token: str = OWNER) -> requests.Response:
        return call(server, "POST", "/zarr/", {"name": name, "dandiset": identifier}, token)

    assert create("x.zarr", "000004").status_code == 200
    assert create("x.zarr", "000004").status_code == 400
    assert create("y.zarr", "000004", OTHER).status_code == 403
    assert create("y.zarr", "000009").status_code == 404
    assert create("y.zarr", "9").status_code == 400
    assert create("y" * 513, "000004").status_code == 400
    dandiset.set_embargo("UNEMBARGOING")
    assert "during unembargo" in create("y.zarr", "000004").text
    assert [zarr.name for zarr in archive.zarrs.values()] == ["x.zarr"]


def test_a_dandiset_that_held_a_zarr_is_not_published(server: Server, zarr: Zarr, archive: Archive) -> None:
    dandiset = archive.dandisets["000004"]
    dandiset.add_asset("a.txt", archive.add_blob(b"a"))
    dandiset.delete_asset("x.ome.zarr")
    with pytest.raises(Refused, match="contain zarrs"):
        dandiset.publish()
    answer = call(server, "POST", "/dandisets/000004/versions/draft/publish/")
    assert (answer.status_code, answer.json()) == (400, "Cannot publish dandisets which contain zarrs")
    assert dandiset.published == []


def test_the_download_of_an_asset_that_is_a_zarr_names_the_other_way(server: Server, zarr: Zarr) -> None:
    [asset] = get(server, "/dandisets/000004/versions/draft/assets/?metadata=true&zarr=true").json()["results"]
    answer = get(server, f"/assets/{asset['asset_id']}/download/")
    assert (answer.status_code, "browse the zarr files" in answer.text) == (400, True)
    assert asset["metadata"]["contentUrl"][1] == f"{server.archive.s3_url}/zarr/{zarr.zarr_id}/"
