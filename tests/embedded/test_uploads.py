"""Uploads, on the archive's own bucket and on a real S3 server."""

from __future__ import annotations

import base64
import hashlib
import http.client
import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from starlette.responses import Response
from zarr_checksum.tree import ZarrChecksumTree

from dandi_mirror.embedded import Archive, Dandiset, Objects, Server, serve
from dandi_mirror.embedded.bucket.outside import OutsideBucket
from tests.support.asking import ADMIN, OTHER, OWNER, Clock, draft_of, get
from tests.support.putting import MIB, add, begin, call, complete, put_parts, upload, validate
from tests.support.seaweed import KEY, seaweed

ZARR = {".zgroup": b'{"zarr_format": 2}', "arr/.zarray": b"{}", "arr/0": b"\0" * 9, "arr/1": b"\1" * 9, "a b/c/d": b"x"}


@pytest.fixture(scope="module")
def seaweed_bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OutsideBucket]:
    with seaweed(tmp_path_factory.mktemp("s3") / "data") as url:
        yield OutsideBucket(url, KEY)


@pytest.fixture(params=["own bucket", "SeaweedFS"])
def s3(request: pytest.FixtureRequest) -> Objects | None:
    if request.param == "own bucket":
        return None
    found: Objects = request.getfixturevalue("seaweed_bucket")
    return found


@pytest.fixture
def archive(s3: Objects | None) -> Archive:
    archive = Archive(s3=s3)
    archive.jobs.delay = None
    for name, token in (("owner@nil.nil", OWNER), ("other@nil.nil", OTHER)):
        archive.add_user(name, token)
    archive.add_user("admin@nil.nil", ADMIN, admin=True)
    return archive


@pytest.fixture
def own_server(archive: Archive, dandiset: Dandiset) -> Iterator[Server]:
    with serve(archive) as served:
        yield served


def own_archive() -> Archive:
    archive = Archive(clock=Clock())
    archive.jobs.delay = None
    archive.add_user("owner@nil.nil", OWNER)
    archive.create_dandiset("000004", owners=("owner@nil.nil",))
    return archive


def random_bytes(size: int) -> bytes:
    return random.Random(size).randbytes(size)


def test_what_was_uploaded_is_what_is_downloaded(server: Server, dandiset: Dandiset, archive: Archive) -> None:
    content = random_bytes(65 * MIB)
    blob = upload(server, content)
    assert (blob["sha256"], blob["size"]) == (None, len(content))
    assert blob["etag"].endswith("-2")
    asset = add(server, "a.dat", blob["blob_id"]).json()
    download = get(server, f"/assets/{asset['asset_id']}/download/", OWNER).headers["location"]
    assert requests.get(download).content == content
    plain = asset["metadata"]["contentUrl"][1]
    middle = requests.get(plain, headers={"Range": f"bytes={64 * MIB - 2}-{64 * MIB + 1}"})
    assert (middle.status_code, middle.content) == (206, content[64 * MIB - 2 : 64 * MIB + 2])
    assert requests.head(plain).headers["etag"] == f'"{blob["etag"]}"'
    archive.jobs.settle()
    found = get(server, f"/assets/{asset['asset_id']}/").json()
    assert found["digest"]["dandi:sha2-256"] == hashlib.sha256(content).hexdigest()


def test_a_zarr_is_what_was_put_into_it(server: Server, dandiset: Dandiset, archive: Archive) -> None:
    zarr = call(server, "POST", "/zarr/", {"name": "x.zarr", "dandiset": "000004"}).json()["zarr_id"]
    dandiset.add_asset("x.zarr", zarr=archive.zarrs[zarr])
    put_files(server, zarr, ZARR)
    assert call(server, "POST", f"/zarr/{zarr}/finalize/").status_code == 204
    assert call(server, "POST", f"/zarr/{zarr}/files/", []).status_code == 400, "it is being ingested"
    archive.jobs.settle()
    record = get(server, f"/zarr/{zarr}/").json()
    tree = ZarrChecksumTree()
    for path, content in ZARR.items():
        tree.add_leaf(Path(path), len(content), hashlib.md5(content).hexdigest())
    assert (record["status"], record["checksum"]) == ("Complete", str(tree.process()))
    assert (record["file_count"], record["size"]) == (5, sum(map(len, ZARR.values())))
    entries = get(server, f"/zarr/{zarr}/files/?limit=3").json()
    assert [entry["Key"] for entry in entries["results"]] == sorted(ZARR)[:3]
    rest = get(server, entries["next"]).json()
    assert [entry["Key"] for entry in rest["results"]] == sorted(ZARR)[3:]
    found = get(server, f"/zarr/{zarr}/files/?prefix=arr/1&download=true").headers["location"]
    assert requests.get(found).content == ZARR["arr/1"]
    wrong = call(server, "DELETE", f"/zarr/{zarr}/files/", [{"path": "arr/1"}, {"path": "nope"}])
    assert (wrong.status_code, wrong.json()) == (400, [f"File zarr/{zarr}/nope does not exist."])
    assert get(server, f"/zarr/{zarr}/").json()["status"] == "Complete"
    assert call(server, "DELETE", f"/zarr/{zarr}/files/", [{"path": "arr/1"}]).status_code == 204
    assert get(server, f"/zarr/{zarr}/").json()["status"] == "Pending"
    assert len(get(server, f"/zarr/{zarr}/files/").json()["results"]) == 4


def put_files(server: Server, zarr: str, files: dict[str, bytes]) -> None:
    md5s = {path: base64.b64encode(hashlib.md5(content).digest()).decode() for path, content in files.items()}
    sent = [{"path": path, "base64md5": md5} for path, md5 in md5s.items()]
    urls = call(server, "POST", f"/zarr/{zarr}/files/", sent).json()
    for url, (path, content) in zip(urls, files.items(), strict=True):
        wrong = requests.put(url, data=content + b"!", headers={"Content-MD5": md5s[path]})
        assert wrong.status_code == 400, "the content is not what was announced"
        unsigned = requests.put(url, data=content)
        assert unsigned.status_code == 403, "the header was signed"
        assert requests.put(url, data=content, headers={"Content-MD5": md5s[path]}).status_code == 200


def test_an_upload_ends_as_it_should_or_not_at_all(server: Server, dandiset: Dandiset) -> None:
    content = b"content"
    begun = begin(server, content).json()
    assert validate(server, begun).json() == ["Object does not exist."]
    part = begun["parts"][0]["upload_url"]
    assert requests.put(part, data=content + b"!").status_code == 403, "the length was signed"
    assert requests.get(part).status_code == 403, "the method was signed"
    parts = put_parts(begun, content)
    wrong = complete(server, begun, [parts[0] | {"etag": '"' + "0" * 32 + '"'}])
    assert wrong.status_code == 400
    assert "InvalidPart" in wrong.text
    assert draft_of(server)["active_uploads"] == 1
    assert complete(server, begun, parts).status_code == 200
    blob = validate(server, begun).json()
    assert draft_of(server)["active_uploads"] == 0
    assert validate(server, begun).status_code == 404
    again = begin(server, content)
    assert (again.status_code, again.headers["location"], again.json()) == (
        409, blob["blob_id"], "Blob already exists.",
    )  # fmt: skip


def test_forgotten_uploads_are_gone_with_their_parts(server: Server, dandiset: Dandiset) -> None:
    begun = begin(server, b"to be forgotten").json()
    put_parts(begun, b"to be forgotten")
    assert get(server, "/dandisets/000004/uploads/", OWNER).json()["results"][0]["upload_id"] == begun["upload_id"]
    assert call(server, "DELETE", "/dandisets/000004/uploads/").status_code == 204
    assert validate(server, begun).status_code == 404
    late = requests.put(begun["parts"][0]["upload_url"], data=b"to be forgotten")
    assert (late.status_code, "NoSuchUpload" in late.text) == (404, True)


# --- on the archive's own bucket only, whose clock is ours


def test_a_url_that_expired_is_refused_and_a_new_upload_has_fresh_ones() -> None:
    archive = own_archive()
    archive.upload_seconds = 60
    clock = archive._clock
    assert isinstance(clock, Clock)
    with serve(archive) as server:
        begun = begin(server, b"late").json()
        clock.now += timedelta(seconds=61)
        late = requests.put(begun["parts"][0]["upload_url"], data=b"late")
        assert (late.status_code, "Request has expired" in late.text) == (403, True)
        upload(server, b"late")
        archive.expire_uploads(timedelta(days=1))
        assert validate(server, begun).json() == ["Object does not exist."]
        archive.expire_uploads()
        assert validate(server, begun).status_code == 404


def test_the_sha256_comes_later_and_the_draft_is_pending_until_then() -> None:
    archive = own_archive()
    with serve(archive) as server:
        blob = upload(server, b"content")
        asset = add(server, "a.txt", blob["blob_id"]).json()
        assert "dandi:sha2-256" not in asset["metadata"]["digest"]
        pending = draft_of(server)
        assert pending["status"] == "Pending"
        refused = call(server, "POST", "/dandisets/000004/versions/draft/publish/")
        assert refused.status_code == 409
        archive.jobs.settle()
        valid = draft_of(server)
        assert (valid["status"], valid["asset_count"]) == ("Valid", 1)
        assert valid["modified"] > pending["modified"]
        entry = get(server, f"/assets/{asset['asset_id']}/info/").json()
        assert entry["modified"] == asset["modified"], "neither digest nor validation moves it"
        sha256 = entry["metadata"]["digest"]["dandi:sha2-256"]
        found = call(server, "POST", "/blobs/digest/", {"algorithm": "dandi:sha2-256", "value": sha256}, token="")
        assert found.json() == blob | {"sha256": sha256}


def test_parts_may_come_in_any_order_and_again() -> None:
    archive = own_archive()
    content = random_bytes(130 * MIB)
    step = 64 * MIB
    with serve(archive) as server, ThreadPoolExecutor(3) as pool:
        begun = begin(server, content).json()
        urls = [part["upload_url"] for part in begun["parts"]]
        assert [part["size"] for part in begun["parts"]] == [step, step, 2 * MIB]
        wanted = [(urls[n], content[n * step : (n + 1) * step]) for n in (2, 0, 1, 0)]
        answers = list(pool.map(lambda one: requests.put(one[0], data=one[1]), wanted))
        etags = {n: answer.headers["etag"] for n, answer in zip((2, 0, 1, 0), answers, strict=True)}
        parts = [{"part_number": n + 1, "size": 1, "etag": etags[n]} for n in (1, 2, 0)]
        assert complete(server, begun, parts).status_code == 200
        blob = validate(server, begun).json()
        assert requests.get(f"{archive.s3_url}/{archive.blobs[blob['blob_id']].key}").content == content


def test_a_part_that_breaks_off_leaves_nothing() -> None:
    archive = own_archive()
    with serve(archive) as server:
        url = urlsplit(begin(server, random_bytes(3 * MIB)).json()["parts"][0]["upload_url"])
        client = http.client.HTTPConnection(url.netloc)
        client.putrequest("PUT", f"{url.path}?{url.query}")
        client.putheader("Content-Length", str(3 * MIB))
        client.endheaders(random_bytes(2 * MIB))
        wait_until(lambda: bool(files_of(archive)))
        client.close()
        wait_until(lambda: not files_of(archive))
        assert not next(iter(archive.own_bucket.multiparts.values())).parts


def files_of(archive: Archive) -> list[Path]:
    folder = archive.own_bucket._folder
    return list(Path(folder.name).iterdir()) if folder else []


def wait_until(what: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not what():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_test_may_refuse_a_part_and_the_client_reads_why() -> None:
    archive = own_archive()
    content = random_bytes(20 * MIB)
    with serve(archive) as server:
        begun = begin(server, content).json()
        server.intercept = lambda request: Response("slow down", 503) if request.method == "PUT" else None
        answer = requests.put(begun["parts"][0]["upload_url"], data=content)
        assert (answer.status_code, answer.text) == (503, "slow down")
        assert not next(iter(archive.own_bucket.multiparts.values())).parts
        server.intercept = None
        assert complete(server, begun, put_parts(begun, content)).status_code == 200


def test_a_job_that_fails_is_told_when_the_serving_ends_and_the_next_ones_are_done() -> None:
    archive = own_archive()
    archive.jobs.delay = 0
    done = threading.Event()
    with pytest.raises(FileNotFoundError, match="nowhere"), serve(archive):
        archive.jobs.later(Path("nowhere").unlink)
        archive.jobs.later(done.set)
        assert done.wait(10)


def test_what_is_sent_without_a_signature_is_refused(own_server: Server, archive: Archive) -> None:
    for url in (f"{own_server.origin}/dandi-dandisets/blobs/x", f"{own_server.origin}/dandi-dandisets/zarr/x/y"):
        assert requests.put(url, data=b"x").status_code == 403
        assert requests.post(f"{url}?uploadId=x", data=b"x").status_code == 403


@pytest.mark.parametrize(
    ("other", "status", "body"),
    [
        ({"contentSize": 0}, 400, {"contentSize": ["Ensure this value is greater than or equal to 1."]}),
        ({"digest": {"algorithm": "sha256", "value": "0"}}, 400, ["Unsupported Digest Type"]),
        ({"dandiset": "999999"}, 404, {"detail": "Not found."}),
        ({"dandiset": "x"}, 400, {"dandiset": ["A valid Dandiset identifier is required."]}),
    ],
)
def test_an_upload_is_refused_as_recorded(other: dict[str, Any], status: int, body: Any) -> None:
    with serve(own_archive()) as server:
        answer = begin(server, b"content", **other)
        assert (answer.status_code, answer.json()) == (status, body)
