"""The same on a real S3 server: what it says of parts, ends and forgotten uploads is understood."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest
from starlette.responses import Response

from dandi_mirror import digests
from dandi_mirror.embedded import Archive, Server
from dandi_mirror.embedded.bucket.outside import OutsideBucket
from dandi_mirror.upload.send.types import SourceFile, Unsent
from tests.support.seaweed import KEY, seaweed
from tests.support.sending import SMALL_PART, Desk, own_archive, put, sha256, stored
from tests.support.waiting import wait_until

SIZE = 2 * SMALL_PART + 1000


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OutsideBucket]:
    with seaweed(tmp_path_factory.mktemp("s3") / "data") as url:
        yield OutsideBucket(url, KEY)


@pytest.fixture
def archive(bucket: OutsideBucket) -> Archive:
    return own_archive(bucket)


@pytest.fixture
def source(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> SourceFile:
    monkeypatch.setattr(digests, "ETAG_PART", SMALL_PART)
    return desk.file("a.nwb", SIZE, time.time_ns())


def fail_once(server: Server, desk: Desk, source: SourceFile, path: str) -> None:
    """A run in which all parts arrive and the API answers ``path`` with 500."""
    server.intercept = lambda request: Response(status_code=500) if request.path.endswith(path) else None
    [outcome] = desk.sending([source], jobs=2)
    assert isinstance(outcome, Unsent) and outcome.error.exit_code == 5
    server.intercept = None
    desk.meter.sent = 0


def test_files_arrive_byte_by_byte(desk: Desk, server: Server, archive: Archive, source: SourceFile) -> None:
    small = desk.file("b.dat", 1000, time.time_ns())
    done = desk.sent(source, small)
    for file in (source, small):
        sent = done[file.path]
        assert stored(archive, sent) == file.file.read_bytes()
        assert sent.sha256 == sha256(file)
    assert put(server) == [], "no byte went to the API"
    assert not any("dandi-dandisets" in request.path for request in server.requests)


@pytest.mark.parametrize("path", ["/complete/", "/validate/"])
def test_an_upload_goes_on_from_its_end(
    desk: Desk, server: Server, archive: Archive, source: SourceFile, path: str
) -> None:
    fail_once(server, desk, source, path)
    sent = desk.sent(source)["a.nwb"]
    assert (desk.meter.sent, sent.bytes_sent) == (0, 0)
    assert stored(archive, sent) == source.file.read_bytes()


@pytest.mark.parametrize("wrong", ["forgotten", pytest.param("expired", marks=pytest.mark.slow)])
def test_an_upload_that_cannot_go_on_begins_anew(
    desk: Desk, server: Server, archive: Archive, source: SourceFile, wrong: str
) -> None:
    archive.upload_seconds = 10 if wrong == "expired" else 3600  # the parts arrive before, on a busy machine too
    fail_once(server, desk, source, "/complete/")
    archive.upload_seconds = 3600
    [note] = desk.notes
    first, *parts = note.read_bytes().splitlines(keepends=True)
    later = json.dumps(json.loads(first) | {"until": time.time() + 3600}).encode() + b"\n"
    note.write_bytes(b"".join([later, *parts[:-1]]))
    if wrong == "forgotten":
        archive.expire_uploads()
    else:
        until = json.loads(first)["until"]
        wait_until(lambda: time.time() > until + 1)  # S3 counts whole seconds
    sent = desk.sent(source)["a.nwb"]
    assert sent.bytes_sent == SIZE
    assert stored(archive, sent) == source.file.read_bytes()
    assert desk.notes == []
