"""Versions of Zarrs' files: the embedded bucket and a real S3 server, SeaweedFS, do the same."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from urllib.parse import quote

import pytest
import requests

from dandi_mirror.embedded import Archive, Dandiset, Objects, Server, Zarr
from dandi_mirror.embedded.bucket.contents import etag_of
from dandi_mirror.embedded.bucket.outside import OutsideBucket
from tests.support.asking import OWNER
from tests.support.putting import call
from tests.support.s3_lists import page, shown, value, versions
from tests.support.seaweed import KEY, seaweed
from tests.support.waiting import wait_until
from tests.support.zarrs import SMALL, a_zarr, change, checksum, rewrite


@pytest.fixture(scope="module")
def seaweed_bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OutsideBucket]:
    with seaweed(tmp_path_factory.mktemp("s3") / "data", lists=True) as url:
        bucket = OutsideBucket(url, KEY)
        bucket.keep_versions()
        yield bucket


@pytest.fixture(params=["own bucket", "SeaweedFS"])
def archive(request: pytest.FixtureRequest) -> Archive:
    if request.param == "own bucket":
        return Archive()
    bucket: Objects = request.getfixturevalue("seaweed_bucket")
    return Archive(s3=bucket)


@pytest.fixture
def zarr(dandiset: Dandiset, server: Server) -> Zarr:
    return a_zarr(dandiset, "x.ome.zarr")


def test_every_file_is_listed_with_the_version_that_its_url_gives(archive: Archive, zarr: Zarr) -> None:
    found = list(versions(archive.s3_url, prefix=zarr.key))
    assert [entry["Key"].removeprefix(zarr.key) for entry in found] == sorted(SMALL)
    for entry in found:
        content = SMALL[entry["Key"].removeprefix(zarr.key)]
        assert (entry["ETag"], entry["Size"]) == (f'"{etag_of(content)}"', str(len(content)))
        assert re.fullmatch(r"[A-Za-z0-9._]{32}", entry["VersionId"])
        url = f"{archive.s3_url}/{quote(entry['Key'])}"
        assert requests.get(url, params={"versionId": entry["VersionId"]}).content == content
        assert requests.head(url).headers["x-amz-version-id"] == entry["VersionId"]


def test_old_versions_and_deleted_files_stay_and_can_be_read(server: Server, archive: Archive, zarr: Zarr) -> None:
    before = {entry["Key"]: entry["VersionId"] for entry in versions(archive.s3_url, prefix=zarr.key)}
    change(zarr, {"arr/0/0": b"new", "arr/0/1": None, "arr/2": b"more"})
    found = [
        (entry["Key"].removeprefix(zarr.key), entry[""], entry["IsLatest"], entry.get("Size", ""))
        for entry in versions(archive.s3_url, prefix=f"{zarr.key}arr/0/")
    ]
    assert found == [
        ("arr/0/0", "Version", "true", "3"),
        ("arr/0/0", "Version", "false", "9000"),
        ("arr/0/1", "DeleteMarker", "true", ""),
        ("arr/0/1", "Version", "false", "9000"),
    ]
    for path, status, content in (("arr/0/0", 200, b"new"), ("arr/0/1", 404, None)):
        url = f"{archive.s3_url}/{zarr.key}{path}"
        now = requests.get(url)
        assert now.status_code == status
        assert content is None or now.content == content
        assert requests.get(url, params={"versionId": before[zarr.key + path]}).content == SMALL[path]
    assert requests.get(url, params={"versionId": "0" * 32}).status_code == 404


def test_sending_the_same_bytes_again_changes_ids_and_times_only(archive: Archive, zarr: Zarr) -> None:
    before, state = list(versions(archive.s3_url, prefix=zarr.key)), zarr.checksum
    rewrite(zarr)
    after = [entry for entry in versions(archive.s3_url, prefix=zarr.key) if entry["IsLatest"] == "true"]
    assert zarr.checksum == state
    assert [(entry["Key"], entry["ETag"], entry["Size"]) for entry in after] == [
        (entry["Key"], entry["ETag"], entry["Size"]) for entry in before
    ]
    assert not {entry["VersionId"] for entry in before} & {entry["VersionId"] for entry in after}


@pytest.mark.parametrize("most", [1, 2, 3, 5])
def test_pages_of_any_size_hold_each_version_once(archive: Archive, zarr: Zarr, most: int) -> None:
    change(zarr, {"arr/0/0": b"new", "arr/0/1": None})
    change(zarr, {"arr/0/0": b"newer"})
    whole = list(versions(archive.s3_url, prefix=zarr.key))
    assert len(whole) == len(SMALL) + 3
    assert list(versions(archive.s3_url, prefix=zarr.key, **{"max-keys": most})) == whole


@pytest.mark.parametrize("most", [1, 2, 1000])
def test_a_delimiter_makes_folders_of_what_lies_below(archive: Archive, zarr: Zarr, most: int) -> None:
    change(zarr, {"arr/0/0": None, "z/1": b"1"})
    query = {"prefix": zarr.key, "delimiter": "/", "max-keys": most}
    found = list(versions(archive.s3_url, **query))
    keys = [entry.get("Key") or entry["Prefix"] for entry in found]
    assert sorted(key.removeprefix(zarr.key) for key in keys) == [".zgroup", "arr/", "z/"]
    assert len(keys) == 3


def test_the_other_list_shows_what_is_there_now(archive: Archive, zarr: Zarr) -> None:
    change(zarr, {"arr/0/0": None, "arr/0/1": b"new"})
    query = {"list-type": "2", "prefix": zarr.key}
    found, token = [], ""
    while True:
        text = page(archive.s3_url, **query, **{"max-keys": 2, "continuation-token": token})
        found += [(entry["Key"].removeprefix(zarr.key), entry["Size"]) for entry in shown(text)]
        if not (token := value(text, "NextContinuationToken")):
            break
    assert found == [(path, str(len(zarr.files[path]))) for path in zarr.files]  # type: ignore[arg-type]
    folders = shown(page(archive.s3_url, **{"list-type": "2", "prefix": f"{zarr.key}arr/", "delimiter": "/"}))
    assert {entry.get("Key") or entry["Prefix"] for entry in folders} == {
        f"{zarr.key}arr/{name}" for name in (".zarray", "%2e", "0/", "1 a/")
    }


def test_what_a_client_sends_again_is_a_new_version(archive: Archive, server: Server, zarr: Zarr) -> None:
    archive.add_user("owner@nil.nil", OWNER)
    before = [entry["VersionId"] for entry in versions(archive.s3_url, prefix=f"{zarr.key}.zgroup")]
    md5 = base64.b64encode(hashlib.md5(b"new").digest()).decode()
    sent = [{"path": ".zgroup", "base64md5": md5}]
    [url] = call(server, "POST", f"/zarr/{zarr.zarr_id}/files/", sent).json()
    assert requests.put(url, b"other", headers={"Content-MD5": md5}).status_code == 400
    assert requests.put(url, b"new", headers={"Content-MD5": md5}).status_code == 200
    call(server, "POST", f"/zarr/{zarr.zarr_id}/finalize/")
    wait_until(lambda: zarr.status == "Complete")
    assert zarr.checksum == checksum({**SMALL, ".zgroup": b"new"})
    found = [entry["VersionId"] for entry in versions(archive.s3_url, prefix=f"{zarr.key}.zgroup")]
    assert found[1:] == before, "what was refused is no version"
