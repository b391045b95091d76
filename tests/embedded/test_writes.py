"""Changes over HTTP: as recorded of the real server, step by step; and what they lead to."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests

from dandi_mirror.embedded import Archive, Dandiset, Server, serve
from tests.support.asking import ADMIN, OTHER, OWNER, Clock, draft_of, get, paths_of
from tests.support.putting import add, call, upload
from tests.support.recorded import load, plain

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
BAD = "98d89a6c-20fb-40d0-82ac-7addf0f7c280"
"""A blob of the recording whose upload is not repeated here."""


@pytest.fixture
def archive() -> Archive:
    archive = Archive(clock=Clock())
    archive.jobs.delay = None
    archive.add_user("owner@nil.nil", OWNER, name="Olive Owner")
    archive.add_user("other@nil.nil", OTHER)
    archive.add_user("admin@nil.nil", ADMIN, admin=True)
    return archive


# --- as recorded


def test_a_flow_of_changes_is_answered_as_recorded() -> None:
    site = "http://localhost:8085"
    # of the day when it was recorded: an embargo ends two years later
    since = datetime(2026, 11, 22, 7, 27, tzinfo=UTC) - datetime.now(UTC)
    archive = Archive(
        "DEV-DANDI", "10.80507", web_url=site, identifier="RRID:ABC_123456", clock=lambda: datetime.now(UTC) + since
    )
    archive.jobs.delay = None
    archive.add_user("owner@nil.nil", OWNER, name="Olive Owner")
    archive.create_dandiset("000002")
    archive.add_blob_record(8, etag="81a45e8e21b22df37abf70e2f320f5ba-1", blob_id=BAD)
    ids = {BAD: BAD}
    with serve(archive) as server:
        for recorded in load("flow")["calls"]:
            answer = repeat(server, recorded, ids)
            expected = recorded["response"]
            assert answer.status_code == expected["status"], (recorded["label"], answer.text)
            body = expected["body"]
            found = answer.text if isinstance(body, str) else answer.json() if answer.content else None
            assert hidden(found, server) == hidden(body, server), recorded["label"]
            if expected["headers"]:
                names = ("content-type", "allow")
                assert [answer.headers.get(name) for name in names] == [expected["headers"].get(name) for name in names]
            ids |= learned(body, found)
    assert archive.dandisets["000006"].embargo_status == "UNEMBARGOING"
    assert archive.zarrs[ids["9befe1d1-bb08-4094-b4e5-1c8eb0759a29"]].status == "Uploaded"
    assert archive.dandisets["000003"].draft.status == "Publishing"


def repeat(server: Server, recorded: dict[str, Any], ids: dict[str, str]) -> requests.Response:
    """Make a recorded call with the ids of this run."""
    label, request = recorded["label"], recorded["request"]
    if label == "upload-complete":
        upload = server.archive.uploads[ids[UUID.findall(request["url"])[0]]]
        url = server.archive.bucket.presigned(
            "PUT", upload.key, {"uploadId": upload.multipart, "partNumber": "1"}, 9, {"content-length": "17"}
        )
        part = requests.put(url, data=b"content of a.txt\n")
        assert part.headers["ETag"] == request["json"]["parts"][0]["etag"]
    if label == "upload-s3-complete":
        return requests.post(ids["complete_url"], data=ids["body"])
    if label == "publish":
        server.archive.jobs.settle()
    url = UUID.sub(lambda found: ids[found[0]], request["url"].replace("http://localhost:8000", server.origin))
    body = request.get("json")
    if isinstance(body, dict):
        body = {key: ids[value] if key in ("blob_id", "zarr_id") else value for key, value in body.items()}
    headers = {"Authorization": f"token {OWNER}"}
    return requests.request(request["method"], url, json=body, headers=headers, allow_redirects=False)


def learned(recorded: Any, found: Any) -> dict[str, str]:
    """Which of this run's ids stand for which recorded ones; and where to complete an upload."""
    if not isinstance(recorded, dict):
        return {}
    made = {key: found[key] for key in ("complete_url", "body") if key in recorded}
    named = ("upload_id", "blob_id", "asset_id", "zarr_id")
    return made | {recorded[key]: found[key] for key in named if key in recorded}


def hidden(value: Any, server: Server) -> Any:
    """Without what differs from run to run."""
    text = json.dumps(plain(value, server.origin), sort_keys=True, ensure_ascii=False)
    text = re.sub(r"blobs/\w{3}/\w{3}/", "blobs/", UUID.sub("«id»", text))
    return re.sub(r"uploadId=\w+", "uploadId=«»", text)


# --- a draft


def test_an_asset_is_added_replaced_renamed_and_deleted(server: Server, dandiset: Dandiset) -> None:
    one, two = upload(server, b"one"), upload(server, b"two")
    made = add(server, "a.txt", one["blob_id"]).json()
    where = "/dandisets/000004/versions/draft/assets"
    same = {"metadata": made["metadata"], "blob_id": one["blob_id"]}
    assert call(server, "PUT", f"{where}/{made['asset_id']}/", same).json()["asset_id"] == made["asset_id"]
    replaced = call(server, "PUT", f"{where}/{made['asset_id']}/", same | {"blob_id": two["blob_id"]}).json()
    assert (replaced["path"], replaced["size"]) == ("a.txt", 3)
    assert replaced["asset_id"] != made["asset_id"]
    assert call(server, "PUT", f"{where}/{made['asset_id']}/", same).status_code == 404, "it is in the draft no more"
    moved = {"metadata": replaced["metadata"] | {"path": "dir/b.txt"}, "blob_id": two["blob_id"]}
    renamed = call(server, "PUT", f"{where}/{replaced['asset_id']}/", moved).json()
    assert paths_of(server) == ["dir/b.txt"]
    assert call(server, "DELETE", f"{where}/{renamed['asset_id']}/").status_code == 204
    assert paths_of(server) == []
    assert get(server, f"/assets/{made['asset_id']}/").json()["contentSize"] == 3


def test_an_asset_comes_by_digest_alone(server: Server, dandiset: Dandiset, archive: Archive) -> None:
    blob = archive.add_blob(b"known")
    asked = {"algorithm": "dandi:sha2-256", "value": blob.sha256}
    found = call(server, "POST", "/blobs/digest/", asked, token="").json()
    assert add(server, "a.txt", found["blob_id"]).json()["metadata"]["digest"] == blob.digests
    assert not [request for request in server.requests if request.method == "PUT"]


def test_metadata_is_validated_some_time_later(server: Server, dandiset: Dandiset, archive: Archive) -> None:
    add(server, "a.txt", archive.add_blob(b"x").blob_id, encodingFormat=5)
    where = "/dandisets/000004/versions/draft/"
    call(server, "PUT", where, {"name": "New", "metadata": {"license": [], "contributor": []}})
    assert get(server, where + "info/").json()["version_validation_errors"] == []
    archive.jobs.settle()
    info = get(server, where + "info/").json()
    assert (info["status"], info["name"]) == ("Invalid", "New")
    wanted = [("", "'schemaKey' is a required property"), ("contributor", "[] should be non-empty")]
    found = [(error["field"], error["message"]) for error in info["version_validation_errors"]]
    assert found == [*wanted, ("license", "[] should be non-empty")]
    assert [e["field"] for e in info["asset_validation_errors"]] == ["encodingFormat"]
    refused = call(server, "POST", where + "publish/")
    assert (refused.status_code, refused.json()) == (400, "Dandiset metadata or asset metadata is not valid")


def test_the_record_that_was_read_can_be_sent_back(server: Server, dandiset: Dandiset, archive: Archive) -> None:
    dandiset.add_asset("a", archive.add_blob(b"x"))
    where = "/dandisets/000004/versions/draft/"
    record, before = get(server, where).json(), draft_of(server)
    answer = call(server, "PUT", where, {"name": record["name"], "metadata": record})
    assert answer.status_code == 200
    assert draft_of(server) == before, "nothing has changed"


# --- publishing, embargo, Dandisets


def test_publishing_takes_its_time(server: Server, dandiset: Dandiset, archive: Archive) -> None:
    add(server, "a.txt", archive.add_blob(b"x").blob_id)
    archive.jobs.settle()
    where = "/dandisets/000004/versions/"
    begun = call(server, "POST", where + "draft/publish/", {"release_notes": "First"})
    assert (begun.status_code, begun.content) == (202, b"")
    assert draft_of(server)["status"] == "Publishing"
    assert call(server, "POST", where + "draft/publish/").status_code == 423
    archive.jobs.settle()
    assert draft_of(server)["status"] == "Published"
    entries = get(server, where + "?order=-created").json()["results"]
    assert [entry["release_notes"] for entry in entries] == ["First", ""]
    assert call(server, "DELETE", where + f"{entries[0]['version']}/").status_code == 403
    assert call(server, "DELETE", "/dandisets/000004/").status_code == 403
    assert call(server, "DELETE", where + f"{entries[0]['version']}/", token=ADMIN).status_code == 204


def test_an_embargo_ends_some_time_after_it_was_asked_for(server: Server, archive: Archive) -> None:
    body = {"name": "Secret", "metadata": {}}
    made = call(server, "POST", "/dandisets/?embargo=true&embargo_end_date=2027-01-31", body).json()
    where = f"/dandisets/{made['identifier']}/"
    assert (made["embargo_status"], made["contact_person"]) == ("EMBARGOED", "Owner, Olive")
    record = get(server, where + "versions/draft/", OWNER).json()
    assert record["access"][0]["embargoedUntil"] == "2027-01-31"
    blob = upload(server, b"secret", made["identifier"])
    url = f"{archive.s3_url}/{archive.blobs[blob['blob_id']].key}"
    assert requests.get(url).status_code == 403, "also before an asset holds it"
    assert call(server, "POST", where + "unembargo/", token=OTHER).status_code == 403
    assert call(server, "POST", where + "unembargo/").status_code == 200
    assert get(server, where, OWNER).json()["embargo_status"] == "UNEMBARGOING"
    assert get(server, where).status_code == 401
    archive.jobs.settle()
    assert get(server, where).json()["embargo_status"] == "OPEN"
    assert requests.get(url).content == b"secret"


def test_a_dandiset_that_was_made_can_be_deleted(server: Server, archive: Archive) -> None:
    body: dict[str, Any] = {"name": "One", "metadata": {"identifier": "000100"}}
    assert call(server, "POST", "/dandisets/", body).status_code == 400
    assert call(server, "POST", "/dandisets/", body, token=ADMIN).json()["identifier"] == "000100"
    made = call(server, "POST", "/dandisets/", {"name": "Two", "metadata": {}}).json()
    assert made["identifier"] == "000101"
    assert call(server, "DELETE", "/dandisets/000101/", token=OTHER).content == b""
    assert call(server, "DELETE", "/dandisets/000101/").status_code == 204
    assert get(server, "/dandisets/000101/").status_code == 404


def test_a_new_token_takes_the_place_of_the_old_one(server: Server, archive: Archive) -> None:
    assert call(server, "GET", "/users/me/").json()["username"] == "owner@nil.nil"
    token = call(server, "POST", "/auth/token/").json()
    assert re.fullmatch(r"[0-9a-f]{40}", token)
    assert get(server, "/users/me/", token).json()["username"] == "owner@nil.nil"
    assert get(server, "/users/me/", OWNER).status_code == 401


def test_owners_can_be_changed(server: Server, dandiset: Dandiset) -> None:
    where = "/dandisets/000004/users/"
    assert call(server, "PUT", where, [{"username": "nobody"}]).status_code == 400
    assert call(server, "PUT", where, []).status_code == 400
    assert call(server, "PUT", where, [{"username": "other@nil.nil"}]).status_code == 200
    assert call(server, "PUT", where, [{"username": "owner@nil.nil"}]).status_code == 403


# --- a server under load


@pytest.fixture
def busy() -> Iterator[Server]:
    archive = Archive()
    archive.add_user("owner@nil.nil", OWNER)
    archive.create_dandiset("000004", owners=("owner@nil.nil",))
    with serve(archive) as served:
        yield served


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_many_uploads_at_once_meet_nowhere_and_leave_no_file_open(busy: Server) -> None:
    def one(number: int) -> int:
        content = b"%d" % number * 1000
        blob = upload(busy, content)
        asset = add(busy, f"f{number}", blob["blob_id"])
        found = get(busy, f"/assets/{asset.json()['asset_id']}/download/").headers["location"]
        assert requests.get(found).content == content
        return asset.status_code

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(one, range(8)))
        before = open_files()
        assert set(pool.map(one, range(8, 60))) == {200}
    assert open_files() <= before + 8
    busy.archive.jobs.settle()
    assert draft_of(busy)["asset_count"] == 60
    assert draft_of(busy)["status"] == "Valid"
