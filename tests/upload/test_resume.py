"""Uploads that are interrupted go on from the parts that arrived; those that cannot begin anew."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import stat
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from starlette.responses import Response

from dandi_mirror import digests
from dandi_mirror.embedded import Archive, Server
from dandi_mirror.embedded.serving.app import Request
from dandi_mirror.errors import CredentialsError
from dandi_mirror.upload.send.types import Sent, SourceFile, Unsent
from tests.support.sending import SMALL_PART as PART
from tests.support.sending import TOKEN, Desk, put, stored


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digests, "ETAG_PART", PART)


@pytest.fixture
def source(desk: Desk) -> SourceFile:
    return desk.file("a.nwb", 3 * PART + 1000)


def is_part(request: Request, number: int = 0) -> bool:
    return request.method == "PUT" and (not number or request.params.get("partNumber") == str(number))


def fail_part(server: Server, number: int, status: int = 500) -> None:
    server.intercept = lambda request: Response(b"<Error/>", status) if is_part(request, number) else None


def interrupt(server: Server, desk: Desk, source: SourceFile) -> None:
    """A run in which the third part does not arrive, and the others do."""
    fail_part(server, 3)
    [outcome] = desk.sending([source], jobs=1)
    assert isinstance(outcome, Unsent) and "with 500" in str(outcome.error)
    server.intercept = None
    server.requests.clear()


def test_an_interrupted_upload_goes_on_from_the_parts_that_arrived(
    server: Server, desk: Desk, source: SourceFile, archive: Archive
) -> None:
    interrupt(server, desk, source)
    sent = desk.sent(source)["a.nwb"]
    assert sorted(put(server)) == [1000, PART]
    assert sent.bytes_sent == PART + 1000
    assert stored(archive, sent) == source.file.read_bytes()
    assert (desk.notes, archive.uploads) == ([], {})


def test_what_goes_on_is_readable_by_its_owner_only_and_has_no_token(
    server: Server, desk: Desk, source: SourceFile
) -> None:
    interrupt(server, desk, source)
    [note] = desk.notes
    assert stat.S_IMODE(note.stat().st_mode) == 0o600
    assert TOKEN not in note.read_text()


def test_a_torn_line_costs_a_part_and_nothing_else(server: Server, desk: Desk, source: SourceFile) -> None:
    interrupt(server, desk, source)
    [note] = desk.notes
    note.write_bytes(note.read_bytes()[:-5])
    desk.sent(source)
    assert sorted(put(server)) == [1000, PART, PART]


@pytest.mark.parametrize("spoilt", [b"", b"\0" * 100, b"[]\n[]\n", b'{"of": 1}\n', b'{"until": "x"}\n7\n'])
def test_a_note_that_says_nothing_is_no_harm(server: Server, desk: Desk, source: SourceFile, spoilt: bytes) -> None:
    interrupt(server, desk, source)
    [note] = desk.notes
    note.write_bytes(spoilt)
    desk.sent(source)
    assert sorted(put(server)) == [1000, PART, PART, PART]
    assert desk.notes == []


def test_a_note_that_lies_is_no_harm(server: Server, desk: Desk, source: SourceFile, archive: Archive) -> None:
    """It says that a part has arrived which has not."""
    interrupt(server, desk, source)
    [note] = desk.notes
    with note.open("rb") as file:
        parts = [json.loads(line) for line in file.readlines()[1:]]
    third = hashlib.md5(source.file.read_bytes()[2 * PART : 3 * PART]).hexdigest()
    note.write_bytes(note.read_bytes() + json.dumps([2, third]).encode() + b"\n")
    assert len(parts) == 2
    sent = desk.sent(source)["a.nwb"]
    assert stored(archive, sent) == source.file.read_bytes()


def test_an_upload_that_the_archive_has_forgotten_begins_anew(
    server: Server, desk: Desk, source: SourceFile, archive: Archive
) -> None:
    interrupt(server, desk, source)
    archive.expire_uploads()
    sent = desk.sent(source)["a.nwb"]
    assert stored(archive, sent) == source.file.read_bytes()
    assert sorted(put(server)) == [1000, PART, PART, PART]


def test_urls_that_end_while_it_sends_are_asked_for_anew(
    server: Server, desk: Desk, source: SourceFile, archive: Archive
) -> None:
    refused = iter([True])
    server.intercept = lambda request: (
        Response(b"<Error/>", 403) if is_part(request, 3) and next(refused, False) else None
    )
    sent = desk.sent(source)["a.nwb"]
    assert stored(archive, sent) == source.file.read_bytes()
    assert [request.path for request in server.requests].count("/api/uploads/initialize/") == 2
    assert desk.meter.passed == 3 * PART + 1000


def test_urls_that_are_never_taken_end_it(server: Server, desk: Desk, source: SourceFile) -> None:
    fail_part(server, 0, 403)
    assert "have expired" in desk.why(source)
    assert [request.path for request in server.requests].count("/api/uploads/initialize/") == 3
    assert desk.notes == []


def test_an_upload_whose_urls_have_ended_does_not_go_on(
    server: Server, desk: Desk, source: SourceFile, archive: Archive
) -> None:
    archive.upload_seconds = 60
    interrupt(server, desk, source)
    desk.sent(source)
    assert sorted(put(server)) == [1000, PART, PART, PART]


def test_notes_of_uploads_that_have_ended_are_swept(server: Server, desk: Desk, source: SourceFile) -> None:
    interrupt(server, desk, source)
    [note] = desk.notes
    first, *rest = note.read_bytes().split(b"\n")
    old = json.dumps(json.loads(first) | {"until": 1.0}).encode()
    note.write_bytes(b"\n".join([old, *rest]))
    (other := desk.file("b.nwb", 1000)).file.touch()
    desk.sent(other)
    assert desk.notes == []


def test_bytes_that_came_to_the_archive_meanwhile_are_not_sent_on(
    server: Server, desk: Desk, source: SourceFile, archive: Archive, tmp_path: Path
) -> None:
    interrupt(server, desk, source)
    with Desk(server.api_url, tmp_path / "elsewhere") as other:
        blob = other.sent(source)["a.nwb"].blob
    server.requests.clear()
    assert desk.sent(source)["a.nwb"].blob == blob
    assert put(server) == []


def test_a_file_that_changed_since_is_sent_whole(
    server: Server, desk: Desk, source: SourceFile, archive: Archive
) -> None:
    interrupt(server, desk, source)
    with source.file.open("r+b") as file:
        file.write(b"other")
    sent = desk.sent(source)["a.nwb"]
    assert stored(archive, sent) == source.file.read_bytes()
    assert sorted(put(server)) == [1000, PART, PART, PART]


@pytest.mark.parametrize("keeps_time", [False, True])
def test_a_file_that_changes_while_it_is_sent_is_its_error_and_the_others_are_sent(
    server: Server, desk: Desk, source: SourceFile, archive: Archive, keeps_time: bool
) -> None:
    before = source.file.stat()

    def change(request: Request) -> None:
        if is_part(request, 2) and source.file.read_bytes()[-1:] != b"!":
            with source.file.open("r+b") as file:
                file.seek(3 * PART + 999)
                file.write(b"!")
            if keeps_time:
                os.utime(source.file, ns=(before.st_atime_ns, before.st_mtime_ns))

    server.intercept = change
    done = {outcome.source.path: outcome for outcome in desk.sending([source, desk.file("b.nwb", 1000)], jobs=1)}
    outcome = done["a.nwb"]
    assert isinstance(outcome, Unsent) and "it changed while it was" in str(outcome.error)
    assert isinstance(done["b.nwb"], Sent)
    assert len(archive.blobs) == 1


def test_a_file_that_vanishes_or_shrinks_while_it_is_sent_is_its_error(
    server: Server, desk: Desk, source: SourceFile
) -> None:
    other = desk.file("b.nwb", 3 * PART)

    def spoil(request: Request) -> None:
        if is_part(request, 1):
            source.file.unlink(missing_ok=True)
            os.truncate(other.file, 1000)

    server.intercept = spoil
    done = desk.send(source, other)
    assert all(isinstance(outcome, Unsent) and outcome.error.exit_code == 3 for outcome in done.values()), done


def test_a_revoked_token_ends_the_run_once(server: Server, desk: Desk, archive: Archive) -> None:
    sources = [desk.file(f"{seed}.nwb", 1000, seed) for seed in range(20)]
    outcomes = []
    with pytest.raises(CredentialsError) as failure:
        for outcome in desk.sending(sources, jobs=2):
            outcomes.append(outcome)
            archive.users.clear()
    assert failure.value.exit_code == 4
    assert all(isinstance(outcome, Sent) for outcome in outcomes)
    assert [request.status for request in server.requests].count(401) <= 2


def test_what_had_arrived_when_the_token_was_revoked_goes_on(
    server: Server, desk: Desk, source: SourceFile, archive: Archive
) -> None:
    users = dict(archive.users)

    def revoke(request: Request) -> None:
        if is_part(request, 4):
            archive.users.clear()

    server.intercept = revoke
    with pytest.raises(CredentialsError):
        list(desk.sending([source], jobs=1))
    server.intercept = None
    archive.users.update(users)
    server.requests.clear()
    desk.sent(source)
    assert put(server) == []


def test_ctrl_c_ends_it_soon_and_what_arrived_is_kept(server: Server, desk: Desk, source: SourceFile) -> None:
    sending = iter(desk.sending([desk.file("b.nwb", 10), source], jobs=1))
    next(sending)
    sending.close()  # type: ignore[attr-defined]
    server.requests.clear()
    sent = desk.sent(source)["a.nwb"]
    assert sum(put(server)) == sent.bytes_sent <= 3 * PART + 1000
    assert desk.notes == []


def test_the_same_upload_in_two_processes_is_made_by_one(
    server: Server, desk: Desk, source: SourceFile, archive: Archive, tmp_path: Path
) -> None:
    interrupt(server, desk, source)
    [note] = desk.notes
    with note.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert "another process is uploading it" in desk.why(replace(source))
    assert put(server) == []
    desk.sent(source)


def test_old_uploads_of_others_are_left_alone(server: Server, desk: Desk, source: SourceFile, archive: Archive) -> None:
    interrupt(server, desk, source)
    [begun] = archive.uploads
    desk.sent(desk.file("b.nwb", 1000))
    assert list(archive.uploads) == [begun]
    archive.expire_uploads(timedelta(days=7))
    assert list(archive.uploads) == [begun]
