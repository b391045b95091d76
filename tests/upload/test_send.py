"""Sending: every byte arrives once, and what need not be sent is not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dandi_mirror.archive.api.uploads import blob_of
from dandi_mirror.digests import dandi_etag
from dandi_mirror.embedded import Archive, Server
from dandi_mirror.upload.send.types import Sent
from tests.support.sending import MIB, PART, Desk, asked, put, sha256, stored


def test_files_of_any_size_arrive_byte_by_byte(desk: Desk, server: Server, archive: Archive) -> None:
    sources = [desk.file(f"{size}.dat", size) for size in (1, 10_000, 5 * MIB, PART + 1)]
    done = desk.sent(*sources)
    for source in sources:
        content, sent = source.file.read_bytes(), done[source.path]
        assert (sent.size, sent.sha256, sent.etag) == (len(content), sha256(source), dandi_etag(content))
        assert stored(archive, sent) == content
        assert sent.bytes_sent == len(content)
    total = sum(source.file.stat().st_size for source in sources)
    assert sum(put(server)) == desk.meter.sent == desk.meter.passed == total
    assert desk.notes == []


def test_a_small_file_takes_five_requests(desk: Desk, server: Server) -> None:
    desk.sent(desk.file("a.dat", 1000))
    assert asked(server)[0] == "POST /uploads/initialize/"
    assert len(server.requests) == 5


def test_the_token_goes_to_the_api_only(desk: Desk, server: Server) -> None:
    desk.sent(desk.file("a.dat", 1000))
    with_token = {request.path.split("/")[1] for request in server.requests if "authorization" in request.headers}
    without = {request.path.split("/")[1] for request in server.requests if "authorization" not in request.headers}
    assert (with_token, without) == ({"api"}, {"dandi-dandisets"})


def test_what_the_archive_has_is_not_sent(desk: Desk, server: Server) -> None:
    source = desk.file("a.dat", 2 * MIB)
    first = desk.sent(source)["a.dat"]
    server.requests.clear()
    again = desk.sent(replace(source, path="b.dat"))["b.dat"]
    assert (again.blob, again.bytes_sent) == (first.blob, 0)
    assert asked(server) == ["POST /uploads/initialize/"]
    assert desk.meter.passed == 4 * MIB


def test_a_known_sha256_is_asked_for_before_a_file_is_read(desk: Desk, server: Server, archive: Archive) -> None:
    source = desk.file("a.dat", 2 * MIB)
    source = replace(source, sha256=sha256(source))
    first = desk.sent(source)["a.dat"]
    archive.jobs.settle()
    source.file.unlink()
    server.requests.clear()
    again = desk.sent(source)["a.dat"]
    assert (again.blob, again.size, again.etag, again.bytes_sent) == (first.blob, 2 * MIB, first.etag, 0)
    assert asked(server) == ["POST /blobs/digest/"]


def test_bytes_of_another_key_are_not_sent(desk: Desk, server: Server) -> None:
    source = replace(desk.file("a.dat", 2 * MIB), sha256="0" * 64)
    assert "do not match its key" in desk.why(source)
    assert asked(server) == ["POST /blobs/digest/"]


def test_two_files_of_the_same_bytes_are_sent_once(desk: Desk, server: Server) -> None:
    sources = [desk.file(f"{place}.dat", 3 * MIB) for place in range(6)]
    done = desk.sent(*sources)
    assert len({sent.blob for sent in done.values()}) == 1
    assert put(server) == [3 * MIB]
    assert sorted(sent.bytes_sent for sent in done.values()) == [0] * 5 + [3 * MIB]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda desk: desk.file("a.dat", 0), "it is empty"),
        (lambda desk: replace(desk.file("a.dat", 1), file=desk.folder / "nowhere"), "its content is not here"),
    ],
)
def test_what_cannot_be_sent_is_said_and_the_others_are_sent(desk: Desk, make: object, said: str) -> None:
    bad = make(desk)  # type: ignore[operator]
    done = desk.send(bad, desk.file("b.dat", 1000))
    assert said in str(done["a.dat"].error)  # type: ignore[union-attr]
    assert isinstance(done["b.dat"], Sent)


def test_a_blob_is_known_by_either_digest(desk: Desk, archive: Archive) -> None:
    sent = desk.sent(desk.file("a.dat", 1000))["a.dat"]
    early = blob_of(desk.session, etag=sent.etag)
    assert early is not None and (early.blob_id, early.sha256) == (sent.blob, "")
    assert blob_of(desk.session, sha256=sent.sha256) is None
    archive.jobs.settle()
    late = blob_of(desk.session, sha256=sent.sha256)
    assert late is not None and (late.blob_id, late.sha256) == (sent.blob, sent.sha256)
