"""The bucket: ranges, presigned URLs, manifests; and who may read under embargo."""

from __future__ import annotations

import pytest
import requests

from dandi_mirror.embedded import Archive, Dandiset, Server
from tests.support.asking import ADMIN, OTHER, OWNER, get, seed

# --- embargo


@pytest.mark.parametrize(
    ("token", "expected"), [("", (401, 0)), (OTHER, (403, 0)), (OWNER, (200, 1)), (ADMIN, (200, 1))]
)
def test_embargo_hides_from_whom_it_should(
    server: Server, dandiset: Dandiset, token: str, expected: tuple[int, int]
) -> None:
    seed(dandiset, "secret.txt")
    dandiset.set_embargo("EMBARGOED")
    asset = next(iter(dandiset.draft))
    status, entries = expected
    for path in ("", "versions/", "versions/draft/", "versions/draft/info/", "versions/draft/assets/"):
        assert get(server, f"/dandisets/000004/{path}", token).status_code == status
    assert get(server, f"/assets/{asset.asset_id}/", token).status_code == status
    download = get(server, f"/assets/{asset.asset_id}/download/", token)
    assert download.status_code == (302 if status == 200 else status)
    assert get(server, "/dandisets/", token).json()["count"] == 0
    if token:
        assert get(server, "/dandisets/?embargoed=true", token).json()["count"] == entries
    assert get(server, f"{server.origin}/dandi-dandisets/{asset.source.key}").status_code == 403
    if status == 200:
        assert get(server, download.headers["location"]).content == b"secret.txt"


def test_an_ended_embargo_leaves_ids_and_a_date(server: Server, dandiset: Dandiset) -> None:
    seed(dandiset, "secret.txt")
    dandiset.set_embargo("EMBARGOED")
    asset = next(iter(dandiset.draft))
    embargoed = asset.metadata["access"][0]
    before = asset.asset_id, asset.modified
    dandiset.set_embargo("OPEN")
    assert embargoed["status"] == "dandi:EmbargoedAccess"
    assert asset.metadata["access"][0].keys() == {"schemaKey", "status"}
    access = get(server, "/dandisets/000004/versions/draft/").json()["access"][0]
    assert (access["status"], access["embargoedUntil"]) == ("dandi:OpenAccess", "2026-11-22")
    assert (asset.asset_id, asset.modified) == before


# --- the bucket


@pytest.mark.parametrize(
    ("wanted", "status", "content"),
    [
        ("bytes=2-5", 206, b"2345"),
        ("bytes=7-", 206, b"789"),
        ("bytes=-3", 206, b"789"),
        ("bytes=0-99", 206, b"0123456789"),
        ("bytes=10-", 416, None),
        ("lines=1-2", 200, b"0123456789"),
    ],
)
def test_ranges(archive: Archive, server: Server, wanted: str, status: int, content: bytes | None) -> None:
    blob = archive.add_blob(b"0123456789")
    answer = get(server, f"{archive.s3_url}/{blob.key}", Range=wanted)
    assert answer.status_code == status
    if content is not None:
        assert answer.content == content
        assert answer.headers["etag"] == f'"{blob.etag}"'
    else:
        assert answer.headers["content-range"] == "bytes */10"


def test_a_blob_without_content_is_no_key(archive: Archive, server: Server) -> None:
    blob = archive.add_blob_record(size=5, sha256="0" * 64, etag="0-1")
    answer = get(server, f"{archive.s3_url}/{blob.key}")
    assert answer.status_code == 404
    assert "<Code>NoSuchKey</Code>" in answer.text


def test_a_presigned_url_is_for_one_method_and_one_key(server: Server, dandiset: Dandiset) -> None:
    seed(dandiset, "a", "b")
    url = get(server, f"/assets/{next(iter(dandiset.draft)).asset_id}/download/").headers["location"]
    assert get(server, url).content == b"a"
    assert requests.head(url).status_code == 403
    assert get(server, url[:-1] + ("0" if url[-1] != "0" else "1")).status_code == 403


def test_head_of_the_plain_url_tells_size_and_etag(archive: Archive, server: Server) -> None:
    blob = archive.add_blob(b"0123456789")
    answer = requests.head(f"{archive.s3_url}/{blob.key}")
    assert (answer.status_code, answer.headers["content-length"]) == (200, "10")
    assert answer.headers["etag"] == f'"{blob.etag}"'


def test_manifests_equal_the_api(server: Server, dandiset: Dandiset) -> None:
    seed(dandiset, "a", "b")
    name = dandiset.publish().version
    entries = get(server, f"/dandisets/000004/versions/{name}/assets/?metadata=true").json()["results"]
    manifests = f"{server.origin}/dandi-dandisets/dandisets/000004/{name}"
    assert get(server, f"{manifests}/assets.jsonld").json() == [entry["metadata"] for entry in entries]
    record = get(server, f"/dandisets/000004/versions/{name}/").json()
    assert get(server, f"{manifests}/dandiset.jsonld").json() == record
