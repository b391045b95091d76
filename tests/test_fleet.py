"""A run over many Dandisets: what it costs, what it does when one fails or is gone, and how it ends early."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.responses import JSONResponse, Response

from dandi_mirror.archive.api.client import Archive as Client
from dandi_mirror.archive.http.session import Session
from dandi_mirror.archive.instances import token_variable
from dandi_mirror.embedded import Archive, Request
from dandi_mirror.mirror.monitor.status import status_of
from dandi_mirror.mirror.state import last_sync
from dandi_mirror.mirror.state.index import Index
from dandi_mirror.mirror.state.layout import Mirror
from dandi_mirror.mirror.sync.recheck import DAY, due
from tests.conftest import IMPATIENT, MirrorOfTest, run
from tests.support.waiting import LONG, SOON, wait_until

TAG = "0.240101.0000"
STALLED = threading.Event()
"""Set at a test's end: no answer that was to take long is waited for any more."""
IDS = [f"{number:06d}" for number in range(1, 5)]


@pytest.fixture
def many(archive: Archive, mirror: MirrorOfTest) -> Iterator[MirrorOfTest]:
    """Four Dandisets in the archive; the mirror is empty."""
    fill(archive, IDS)
    STALLED.clear()
    yield mirror
    STALLED.set()


def fill(archive: Archive, ids: list[str]) -> None:
    for identifier in ids:
        dandiset = archive.create_dandiset(identifier, name=f"Test {identifier}")
        dandiset.add_asset("a.nwb", archive.add_blob(identifier.encode()))
        dandiset.add_asset("b.nwb", archive.add_blob(b"b" + identifier.encode()))


def asked(mirror: MirrorOfTest) -> list[str]:
    """The paths of the API that were asked for, and those requests are forgotten."""
    paths = [request.path.removeprefix("/api/") for request in mirror.server.requests]
    mirror.server.requests.clear()
    return paths


def records(done: subprocess.CompletedProcess[str]) -> dict[str, dict[str, object]]:
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return {str(line.get("dandiset", "summary")): line for line in lines}


def word(mirror: MirrorOfTest, dandiset: str, *, offline: bool = False) -> str:
    with closing(Session(mirror.server.api_url, policy=IMPATIENT)) as session:
        ask = None if offline else Client(session).dandiset
        return str(status_of(Mirror(mirror.path), dandiset, ask).word)


def all_refs(mirror: MirrorOfTest) -> dict[str, dict[str, str]]:
    return {identifier: mirror.refs(identifier) for identifier in [*Mirror(mirror.path).dandisets(), "."]}


def registered(mirror: MirrorOfTest) -> dict[str, str]:
    """What the superdataset's commit holds: Dandiset → commit."""
    return {path: oid for path, (mode, oid) in mirror.tree(dandiset=".").items() if mode == b"160000"}


# --- what a run costs --------------------------------------------------------------------------------------


def test_with_nothing_changed_only_the_list_is_asked_for_and_nothing_is_started(
    many: MirrorOfTest, tmp_path: Path
) -> None:
    many.cli("sync", "--all")
    before, times = all_refs(many), written(many)
    asked(many)
    shims = tmp_path / "shims"
    shims.mkdir()
    for name in ("git", "git-annex", "datalad"):
        (shims / name).write_text(f"#!/bin/sh\ntouch {tmp_path}/started\nexit 1\n")
        (shims / name).chmod(0o755)
    for arguments in (["--all"], []):
        done = many.cli("sync", *arguments, env={"PATH": str(shims)})
        assert (done.stdout, done.stderr) == ("", "")
        assert asked(many) == ["info/", "dandisets/"]
    assert not (tmp_path / "started").exists()
    assert written(many) == times
    assert all_refs(many) == before


def written(mirror: MirrorOfTest) -> dict[Path, int]:
    """When each file was written; what a run leaves for those who watch is no part of it."""
    watched = mirror.path / ".dandi-mirror" / "log"
    paths = (path for path in mirror.path.rglob("*") if path != watched and watched not in path.parents)
    return {path: path.lstat().st_mtime_ns for path in paths}


def test_one_changed_dandiset_costs_its_own_requests_and_one_commit_of_the_superdataset(
    archive: Archive, many: MirrorOfTest
) -> None:
    many.cli("sync", "--all")
    asked(many)
    archive.dandisets["000003"].delete_asset("a.nwb")
    before = many.git("rev-parse", "HEAD", dandiset=".")
    assert many.cli("sync", "--all").stdout.startswith("000003  1 file")
    assert all("000003" in path for path in asked(many) if path not in {"info/", "dandisets/"})
    assert many.git("rev-parse", "HEAD~1", dandiset=".") == before
    assert many.git("log", "-1", "--format=%B", dandiset=".") == "000003: Test 000003"
    assert registered(many) == {identifier: many.git("rev-parse", "draft", dandiset=identifier) for identifier in IDS}


def test_many_new_dandisets_at_once_are_one_commit_that_a_person_can_read(many: MirrorOfTest) -> None:
    done = many.cli("sync", "--all", "-J", "4")
    assert [line[:6] for line in done.stdout.splitlines()] == IDS
    assert many.git("rev-list", "--count", "HEAD", dandiset=".") == "1"
    message = many.git("log", "-1", "--format=%B", dandiset=".").splitlines()
    assert message[:3] == ["4 Dandisets, all new", "", "000001: Test 000001 (new)"]
    assert many.git("status", "--porcelain", dandiset=".") == ""


def test_trouble_with_the_superdataset_is_a_report_of_its_own_and_told_once(many: MirrorOfTest) -> None:
    many.cli("sync", "000001")
    (many.path / ".gitmodules").write_text("# mine\n")
    report = records(many.cli("sync", "--all", "-f", "json", code=3))["superdataset"]
    assert (report["path"], report["news"]) == (str(many.path), True)
    again = many.cli("sync", "--all", code=3)
    assert (again.stdout, again.stderr) == ("", "")
    many.git("checkout", "-q", "HEAD", ".gitmodules", dandiset=".")
    assert many.cli("sync", "--all").stdout == ""
    assert many.git("status", "--porcelain", dandiset=".") == ""


def test_what_a_killed_run_did_not_register_is_registered_though_nothing_changed(
    archive: Archive, many: MirrorOfTest
) -> None:
    many.cli("sync", "000001")
    lock = many.path / ".dandi-mirror" / "locks" / "superdataset.lock"
    # a file that nobody names is closed at once, and its lock is gone
    holding = [sys.executable, "-c", "import fcntl, sys\nfile = open(sys.argv[1], 'w')\nfcntl.flock(file, 2)\n"
               "print(flush=True)\nsys.stdin.read()", str(lock)]  # fmt: skip
    with subprocess.Popen(holding, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout and holder.stdout.readline()
        with subprocess.Popen(command(many, "--all"), stdout=subprocess.DEVNULL) as killed:
            wait_until(lambda: len(Index(many.path / ".dandi-mirror" / "index.sqlite").read().dandisets) == len(IDS))
            killed.kill()
    assert list(registered(many)) == ["000001"]
    asked(many)
    assert many.cli("sync", "--all").stdout == ""
    assert asked(many) == ["info/", "dandisets/"]
    assert sorted(registered(many)) == IDS
    head = many.git("rev-parse", "HEAD", dandiset=".")
    many.cli("sync", "--all")
    assert many.git("rev-parse", "HEAD", dandiset=".") == head


def test_a_deleted_index_is_made_again_of_the_datasets_and_nothing_is_asked_for(
    archive: Archive, many: MirrorOfTest
) -> None:
    archive.dandisets["000001"].publish(TAG, created="2024-01-01T00:00:00Z")
    archive.dandisets["000002"].add_asset("a:\x01.nwb", archive.add_blob(b"refused"), unchecked=True)
    many.cli("sync", "--all", code=3)
    before, memory = all_refs(many), index(many).read().dandisets
    shutil.rmtree(many.path / ".dandi-mirror")
    assert many.cli("sync", "--all", "--dry-run", code=3).stdout == ""
    assert not (many.path / ".dandi-mirror" / "index.sqlite").exists()
    asked(many)
    assert many.cli("sync", "--all", code=3).stdout == ""
    assert asked(many) == ["info/", "dandisets/"]
    assert index(many).read().dandisets == memory, "findings, and when each was last read in full, too"
    assert [word(many, identifier) for identifier in IDS] == ["up to date", "refused", "up to date", "up to date"]
    assert all_refs(many) == before


def test_of_a_lost_index_what_failed_moved_or_waits_is_looked_at_again_and_no_other(
    archive: Archive, many: MirrorOfTest
) -> None:
    archive.dandisets["000004"].add_asset("wait.nwb", archive.add_blob(b"wait", sha256_known=False))
    many.cli("sync", "--all", code=3)
    many.server.intercept = lambda request: Response("no", 400) if "/000001/" in request.path else None
    many.cli("sync", "000001", "--mode", "force", code=3)
    many.server.intercept = None
    many.git("update-ref", "refs/heads/draft", many.git("rev-parse", "refs/heads/git-annex", dandiset="000003"),
             dandiset="000003")  # fmt: skip
    lose_the_index(many)
    asked(many)
    done = many.cli("sync", "--all", code=3)
    assert "000003 is another dataset" in done.stderr
    assert {path.split("/")[1] for path in asked(many) if path not in {"info/", "dandisets/"}} == {"000001", "000004"}
    assert word(many, "000001") == "up to date"


def test_without_index_and_what_the_datasets_say_no_asset_is_read_again_with_its_metadata(many: MirrorOfTest) -> None:
    many.cli("sync", "--all")
    before = all_refs(many)
    lose_the_index(many)
    for number, identifier in enumerate(IDS):
        left = many.path / identifier / ".git" / last_sync.NAME
        left.unlink() if number % 2 else left.write_text('{"schema": 2, "row": ')
    many.server.requests.clear()
    assert many.cli("sync", "--all").stdout == ""
    listings = [request for request in many.server.requests if request.path.endswith("/assets/")]
    assert len([request for request in listings if request.params.get("metadata") != "true"]) == len(IDS)
    assert all(request.params["page_size"] == "1" for request in listings if request.params.get("metadata") == "true")
    assert all_refs(many) == before
    asked(many)
    assert many.cli("sync", "--all").stdout == ""
    assert asked(many) == ["info/", "dandisets/"]


def index(mirror: MirrorOfTest) -> Index:
    return Mirror(mirror.path).index


def lose_the_index(mirror: MirrorOfTest) -> None:
    (mirror.path / ".dandi-mirror" / "index.sqlite").unlink()


def test_a_row_that_is_spelt_otherwise_says_the_same_and_one_that_cannot_be_read_does_not(many: MirrorOfTest) -> None:
    many.cli("sync", "--all")
    with closing(Session(many.server.api_url)) as session:
        answer = session.get("/dandisets/", page_size=1000)
    assert isinstance(answer, dict)
    for row in answer["results"]:
        draft = row["draft_version"]
        draft["modified"] = draft["modified"].replace("Z", "+00:00")
    answer["results"][1]["draft_version"]["size"] = str(draft["size"])
    many.server.intercept = lambda request: JSONResponse(answer) if request.path == "/api/dandisets/" else None
    asked(many)
    assert many.cli("sync", "--all").stdout == ""
    assert {path for path in asked(many) if path not in {"info/", "dandisets/"}} == {"dandisets/000002/"}


def test_an_index_of_another_release_is_made_anew(many: MirrorOfTest) -> None:
    many.cli("sync", "000001")
    path = many.path / ".dandi-mirror" / "index.sqlite"
    path.unlink()
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE dandiset (id TEXT PRIMARY KEY, other TEXT)")
        database.execute("PRAGMA user_version = 1")
    assert many.cli("sync").stdout == ""
    assert word(many, "000001") == "up to date"


# --- the rolling check -------------------------------------------------------------------------------------


def test_a_dandiset_that_was_not_read_for_a_week_is_read_in_full_and_then_not_again(
    archive: Archive, many: MirrorOfTest
) -> None:
    many.cli("sync", "--all")
    modified = archive.dandisets["000002"].draft.modified
    archive.dandisets["000002"].delete_asset("a.nwb")
    archive.dandisets["000002"].add_asset("c.nwb", archive.add_blob(b"c00002"))
    archive.dandisets["000002"].draft.modified = modified  # the archive moves no timestamp
    set_verified(many, "000002", time.time() - 8 * DAY)
    asked(many)
    assert many.cli("sync", "--all", "--recheck-days", "0").stdout == ""
    (many.path / "dandi-mirror.toml").write_text("recheck-days = 9\n")
    assert many.cli("sync", "--all").stdout == ""
    assert set(asked(many)) == {"info/", "dandisets/"}
    (many.path / "dandi-mirror.toml").unlink()
    assert many.cli("sync", "--all").stdout.startswith("000002  2 files")
    assert not [path for path in asked(many) if path not in {"info/", "dandisets/"} and "000002" not in path]
    many.cli("sync", "--all")
    assert asked(many) == ["info/", "dandisets/"]


def set_verified(mirror: MirrorOfTest, dandiset: str, when: float) -> None:
    with sqlite3.connect(mirror.path / ".dandi-mirror" / "index.sqlite") as database:
        assert database.execute("UPDATE dandiset SET verified = ? WHERE id = ?", [when, dandiset]).rowcount == 1


@given(
    count=st.integers(1, 60), hours=st.floats(0.1, 60), days=st.integers(1, 10), began=st.floats(0, DAY),
    spread=st.floats(0, 1),
)  # fmt: skip
def test_each_is_read_once_in_the_period_and_the_work_is_even(
    count: int, hours: float, days: int, began: float, spread: float
) -> None:
    now, step, period = began + DAY * days, hours * 3600, days * DAY
    verified = {f"{number:06d}": now - spread * period * number / count for number in range(count)}
    for _ in range(40):
        now += step
        taken = due(verified, now, days)
        assert len(taken) <= count * step / period + 2
        assert all(verified[one] <= verified[other] for one in taken for other in verified.keys() - taken)
        verified.update(dict.fromkeys(taken, now))
        assert all(now - then <= period for then in verified.values())


def test_a_time_in_the_future_is_as_good_as_never_and_no_days_are_never() -> None:
    now = 20_000 * DAY
    assert due({"000001": now + DAY, "000002": now}, now, 7) == {"000001"}
    assert due({"000001": 0.0}, 100 * DAY, 0) == set()
    assert due({}, DAY, 7) == set()


# --- what becomes of a Dandiset ----------------------------------------------------------------------------


def test_a_dandiset_that_is_new_renamed_or_fails_has_its_word(archive: Archive, many: MirrorOfTest) -> None:
    many.cli("sync", "000001", "000002")
    assert word(many, "000003") == "not mirrored"
    dandiset = archive.dandisets["000001"]
    dandiset.set_metadata(dandiset.draft.given | {"name": "Another name"})
    assert word(many, "000001") == "renamed"
    archive.dandisets["000002"].delete_asset("a.nwb")
    assert word(many, "000002") == "behind"
    many.server.intercept = lambda request: (
        Response("not JSON") if request.path.endswith("000002/versions/draft/") else None
    )
    done = many.cli("sync", code=5)
    assert done.stdout.startswith("000001  2 files")
    assert done.stderr.count("\n") == 1
    many.server.intercept = None
    assert [word(many, "000001"), word(many, "000002")] == ["up to date", "unanswered"]
    assert many.git("log", "-1", "--format=%s", dandiset=".") == "000001: Another name"
    assert many.cli("sync").stdout.startswith("000002  1 file")
    assert word(many, "000002") == "up to date"


def test_one_that_fails_is_tried_again_though_the_archive_has_not_moved(archive: Archive, many: MirrorOfTest) -> None:
    many.cli("sync", "--all")
    many.server.intercept = lambda request: Response("no", 400) if "/000004/" in request.path else None
    done = many.cli("sync", "--all", "--mode", "force", code=3)
    assert (done.stdout, done.stderr.count("\n")) == ("", 1)
    many.server.intercept = None
    assert word(many, "000004") == "failed"
    asked(many)
    assert many.cli("sync", "--all").stdout == ""
    assert any("000004" in path for path in asked(many))
    assert word(many, "000004") == "up to date"


@pytest.mark.parametrize(("status", "named"), [(404, "gone"), (401, "forbidden"), (403, "forbidden")])
def test_a_dandiset_that_the_archive_does_not_give_any_more_is_told_once_and_kept(
    archive: Archive, many: MirrorOfTest, status: int, named: str
) -> None:
    many.cli("sync", "--all")
    before = all_refs(many)
    dandiset = archive.dandisets.pop("000002")
    if status != 404:
        many.server.intercept = lambda request: (
            JSONResponse({"detail": "no"}, status) if "/000002/" in request.path else None
        )
    first = many.cli("sync", "--all", code=3)
    assert first.stdout + first.stderr == f"000002\n  {named}    {first.stderr.split('  ', 3)[3]}"
    asked(many)
    again = many.cli("sync", "--all", code=3)
    assert (again.stdout, again.stderr) == ("", "")
    assert asked(many) == ["info/", "dandisets/"], "it is asked for again by the rolling check only"
    assert [word(many, "000002"), word(many, "000002", offline=True)] == [named, named]
    assert all_refs(many) == before
    many.server.intercept = None
    archive.dandisets["000002"] = dandiset
    assert word(many, "000002") == "unembargoed"
    assert many.cli("sync", "--all").stdout == ""
    assert word(many, "000002") == "up to date"
    assert all_refs(many) == before


def test_an_embargoed_dandiset_is_no_error_of_a_run_over_all_and_is_mirrored_when_it_opens(
    archive: Archive, many: MirrorOfTest
) -> None:
    archive.dandisets["000004"].set_embargo("EMBARGOED")
    done = many.cli("sync", "--all", "-f", "json")
    assert sorted(records(done)) == [*IDS[:3], "summary"]
    archive.dandisets["000004"].set_embargo("OPEN")
    assert many.cli("sync", "--all").stdout.startswith("000004  2 files")


def test_one_that_is_closed_and_opened_again_is_read_with_all_its_metadata(
    archive: Archive, many: MirrorOfTest
) -> None:
    many.cli("sync", "--all")
    dandiset = archive.dandisets["000004"]
    dandiset.set_embargo("EMBARGOED")
    assert "forbidden" in many.cli("sync", "--all", code=3).stderr
    archive.add_user("owner", "a" * 40)
    dandiset.owners.append("owner")
    token = {token_variable(many.server.api_url): "a" * 40}
    set_verified(many, "000004", 0.0)
    assert "embargoed" in many.cli("sync", "--all", env=token, code=3).stderr
    assert word(many, "000004", offline=True) == "embargoed"
    dandiset.set_embargo("OPEN")
    assert word(many, "000004") == "unembargoed"
    many.server.requests.clear()
    many.cli("sync", "--all")
    listings = [request for request in many.server.requests if request.path.endswith("/assets/")]
    assert [request.params.get("metadata") for request in listings] == ["true"]
    assert word(many, "000004") == "up to date"


def test_a_dandiset_that_was_emptied_is_kept_until_it_is_meant(archive: Archive, many: MirrorOfTest) -> None:
    many.cli("sync", "--all")
    before = all_refs(many)
    for path in ("a.nwb", "b.nwb"):
        archive.dandisets["000001"].delete_asset(path)
    assert word(many, "000001") == "emptied"
    done = many.cli("sync", "--all", code=3)
    assert "none of 2 mirrored assets" in done.stderr
    assert "--allow-deletes" in done.stderr
    assert (word(many, "000001"), word(many, "000001", offline=True)) == ("emptied", "failed")
    assert all_refs(many) == before
    many.cli("sync", "000001", "--allow-deletes")
    assert many.asset_paths(dandiset="000001") == []
    assert "a.nwb" in many.tree("draft~1", dandiset="000001"), "history has what was there"
    assert word(many, "000001") == "up to date"


def test_an_outage_that_answers_with_no_dandiset_or_no_asset_changes_nothing(
    archive: Archive, many: MirrorOfTest
) -> None:
    many.cli("sync", "--all")
    before = all_refs(many)
    nothing: dict[str, object] = {"count": 0, "next": None, "previous": None, "results": []}
    many.server.intercept = lambda request: JSONResponse(nothing) if request.path == "/api/dandisets/" else None
    for arguments in (["--all"], []):
        done = many.cli("sync", *arguments, code=5)
        assert "lists no Dandiset at all, and 4 are mirrored" in done.stderr
        assert done.stderr.count("\n") == 1
    many.server.intercept = lambda request: JSONResponse(nothing) if request.path.endswith("/assets/") else None
    assert many.cli("sync", "--all").stdout == "", "nothing has changed, so no assets are asked for"
    done = many.cli("sync", "--all", "--mode", "force", code=5)
    assert done.stderr.count("\n") == len(IDS)
    assert word(many, "000001") == "unanswered"
    assert all_refs(many) == before


def test_versions_that_vanish_or_change_have_their_words_and_the_tag_stays(
    archive: Archive, many: MirrorOfTest
) -> None:
    for identifier in ("000001", "000002"):
        archive.dandisets[identifier].publish(TAG, created="2024-01-01T00:00:00Z")
    many.cli("sync", "--all")
    before = all_refs(many)
    archive.dandisets["000001"].delete_version(TAG)
    changed = archive.dandisets["000002"]
    changed.versions[TAG].given["name"] = "Another name"
    changed.forget()
    done = many.cli("sync", "--all", "--mode", "verify", code=7)
    kinds = [line.split()[0] for line in done.stderr.splitlines() if line.startswith("  ")]
    assert sorted(kinds) == ["alarm", "vanished"]
    assert [word(many, "000001"), word(many, "000002")] == ["version gone", "alarm"]
    for identifier in IDS:
        after = {ref: oid for ref, oid in many.refs(identifier).items() if "/alarm/" not in ref}
        assert after == before[identifier]


# --- how a run ends early ----------------------------------------------------------------------------------


def command(mirror: MirrorOfTest, *arguments: str) -> list[str]:
    where = ["-d", str(mirror.path), "-i", mirror.server.api_url]
    return [sys.executable, "-m", "dandi_mirror", "sync", *arguments, *where]


def stall(request: Request) -> None:
    """The third Dandiset takes five minutes."""
    if "/000003/versions/draft/assets/" in request.path:
        STALLED.wait(LONG)


def test_a_time_limit_ends_the_run_within_seconds_and_the_next_does_the_rest(many: MirrorOfTest) -> None:
    many.server.intercept = stall
    begun = time.monotonic()
    done = many.cli("sync", "--all", "-J", "1", "--time-limit", "2s", "-f", "json", code=5)
    assert time.monotonic() - begun < SOON
    reports = records(done)
    left = [identifier for identifier in IDS if reports[identifier]["deferred"]]
    assert "000003" in left
    assert 1 < len(left) < 4
    assert sorted(registered(many)) == sorted(set(IDS) - set(left)), "what was done is registered"
    many.server.intercept = None
    again = many.cli("sync", "--all", "--time-limit", "1h")
    assert [line[:6] for line in again.stdout.splitlines()] == left
    assert sorted(registered(many)) == IDS


def test_a_time_limit_says_how_much_is_left_in_one_line(many: MirrorOfTest) -> None:
    done = many.cli("sync", "--all", "--time-limit", "0", code=5)
    assert done.stdout == ""
    assert done.stderr == "the time limit came before 4 of the Dandisets were done; the next run does them\n"
    assert not (many.path / "000001").exists()
    assert "write 90s" in many.cli("sync", "--all", "--time-limit", "soon", code=2).stderr


def test_a_time_limit_holds_while_the_archive_lets_the_list_wait_too(many: MirrorOfTest) -> None:

    def late(request: Request) -> None:
        if request.path == "/api/dandisets/":
            STALLED.wait(LONG)

    many.server.intercept = late
    begun = time.monotonic()
    done = many.cli("sync", "--all", "--time-limit", "1s", code=5)
    assert time.monotonic() - begun < SOON
    assert (done.stdout, done.stderr.count("\n")) == ("", 1)
    assert "the time limit passed" in done.stderr


@pytest.mark.parametrize("number", [pytest.param(signal.SIGTERM, marks=pytest.mark.slow), signal.SIGINT])
def test_a_signal_ends_the_run_within_seconds_and_the_next_completes_it(
    archive: Archive, many: MirrorOfTest, number: signal.Signals
) -> None:
    for place in range(400):
        archive.dandisets["000001"].add_asset(f"x{place}.nwb", archive.add_blob(b"x%d" % place))
    many.server.intercept = stall
    with subprocess.Popen(command(many, "--all"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        wait_until(lambda: any("/000003/versions/draft/assets/" in request.path for request in many.server.requests))
        begun = time.monotonic()
        child.send_signal(number)
        _, errors = child.communicate(timeout=LONG)
    assert time.monotonic() - begun < SOON
    assert child.returncode == 130
    assert errors.strip() == "interrupted; what was complete is kept, run the command again for the rest"
    many.server.intercept = None
    many.cli("sync", "--all")
    assert sorted(registered(many)) == IDS
    assert many.cli("sync", "--all").stdout == ""
    for identifier in [*IDS, "."]:
        assert many.git("status", "--porcelain", dandiset=identifier) == ""
        assert many.git("fsck", "--strict", "--no-dangling", dandiset=identifier) == ""


def test_an_interrupt_that_python_swallows_ends_the_process_all_the_same() -> None:
    deaf = """
import time
from dandi_mirror.cli.exit import end_by_signals
end_by_signals()
while True:
    try:
        print("begun", flush=True)
        time.sleep(60)
    except KeyboardInterrupt:
        print("swallowed", flush=True)
"""
    with subprocess.Popen([sys.executable, "-c", deaf], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdout and child.stdout.readline() == b"begun\n"
        begun = time.monotonic()
        child.send_signal(signal.SIGTERM)
        output, errors = child.communicate(timeout=LONG)
    assert (output, child.returncode) == (b"swallowed\nbegun\n", 130)
    assert errors.startswith(b"interrupted; ")
    assert time.monotonic() - begun < SOON


# --- a cluster ---------------------------------------------------------------------------------------------


@pytest.fixture
def cluster(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    """A Dask cluster of two workers, processes of their own, on loopback."""
    from distributed import LocalCluster

    monkeypatch.chdir(home)
    with LocalCluster(  # type: ignore[no-untyped-call, unused-ignore]
        n_workers=2, threads_per_worker=1, processes=True, host="127.0.0.1", dashboard_address=None, silence_logs=50
    ) as made:
        yield made


def test_a_cluster_syncs_into_one_mirror_and_ones_failure_is_its_own(
    many: MirrorOfTest, cluster: object, tmp_path: Path
) -> None:
    from distributed import Client

    address = cluster.scheduler_address  # type: ignore[attr-defined]
    many.server.intercept = lambda request: Response("no", 400) if "/000003/" in request.path else None
    done = many.cli("sync", "--all", "--scheduler", address, code=3)
    assert [line[:6] for line in done.stdout.splitlines()] == [*IDS[:2], *IDS[3:]]
    assert (done.stderr[:6], done.stderr.count("\n")) == ("000003", 1)
    with Client(address, set_as_default=False) as client:
        places = client.run(archives_of_worker)
    assert sorted(places.values()) == [1, 1], "both had some"
    many.server.intercept = None
    assert many.cli("sync", "--all", "--scheduler", address).stdout.startswith("000003  2 files")
    assert sorted(registered(many)) == IDS
    here = MirrorOfTest(tmp_path / "here", many.server)
    here.cli("sync", "--all")
    assert all_refs(here)["000001"] == all_refs(many)["000001"]
    assert many.cli("sync", "--all", "--scheduler", address).stdout == ""


def test_a_worker_that_is_killed_is_replaced_and_what_it_left_is_completed(many: MirrorOfTest, cluster: object) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def wait(request: Request) -> None:
        if "/000003/versions/draft/assets/" in request.path and not begun.is_set():
            begun.set()
            go_on.wait(LONG)

    many.server.intercept = wait
    address = cluster.scheduler_address  # type: ignore[attr-defined]
    with subprocess.Popen(command(many, "--all", "--scheduler", address), stdout=subprocess.PIPE) as child:
        assert begun.wait(LONG)
        holder = json.loads((many.path / ".dandi-mirror" / "locks" / "000003.lock").read_text())["pid"]
        assert holder in [worker.pid for worker in cluster.workers.values()]  # type: ignore[attr-defined]
        os.kill(holder, signal.SIGKILL)
        output, _ = child.communicate(timeout=LONG)
    go_on.set()
    assert child.returncode == 0
    assert [line[:6].decode() for line in output.splitlines()] == IDS
    assert sorted(registered(many)) == IDS


def archives_of_worker() -> int:
    from dandi_mirror.mirror.sync import executors

    return executors._archive.cache_info().currsize


def test_without_dask_or_a_scheduler_a_cluster_is_one_clear_line(many: MirrorOfTest) -> None:
    without = "import sys\nsys.modules['distributed'] = None\nfrom dandi_mirror.cli.main import main\n"
    arguments = command(many, "--all", "--scheduler", "127.0.0.1:1")[3:]
    done = run(sys.executable, "-c", f"{without}sys.argv[0] = 'dandi-mirror'\nmain()", *arguments, code=2)
    assert done.stderr == "dandi-mirror: --scheduler needs Dask; install it: pip install 'dandi-mirror[cluster]'\n"
    assert not (many.path / "000001").exists()
