"""What a run over the whole archive costs: requests, files, programs."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from starlette.responses import JSONResponse, Response

from dandi_mirror.archive.http.session import Session
from dandi_mirror.embedded import Archive
from dandi_mirror.mirror.state import last_sync
from dandi_mirror.mirror.state.index import Index
from dandi_mirror.mirror.state.layout import Mirror
from tests.conftest import MirrorOfTest
from tests.support.fleet import IDS, TAG, all_refs, asked, command, records, registered, word
from tests.support.waiting import wait_until


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


def test_without_index_and_what_the_datasets_say_the_newest_entries_are_read_and_no_other(many: MirrorOfTest) -> None:
    many.cli("sync", "--all")
    before = all_refs(many)
    lose_the_index(many)
    for number, identifier in enumerate(IDS):
        left = many.path / identifier / ".git" / last_sync.NAME
        left.unlink() if number % 2 else left.write_text('{"schema": 2, "row": ')
    many.server.requests.clear()
    assert many.cli("sync", "--all").stdout == ""
    listings = [request for request in many.server.requests if request.path.endswith("/assets/")]
    assert [request.params["order"] for request in listings] == ["-modified"] * len(IDS), "the newest entries only"
    assert all_refs(many) == before
    asked(many)
    assert many.cli("sync", "--all").stdout == ""
    assert asked(many) == ["info/", "dandisets/"]


def index(mirror: MirrorOfTest) -> Index:
    return Mirror(mirror.path).index


def lose_the_index(mirror: MirrorOfTest) -> None:
    (mirror.path / ".dandi-mirror" / "index.sqlite").unlink()


def test_a_list_entry_in_another_spelling_says_the_same_and_an_unreadable_one_does_not(
    many: MirrorOfTest,
) -> None:
    many.cli("sync", "--all")
    with closing(Session(many.server.api_url)) as session:
        answer = session.get("/dandisets/", page_size=1000)
    assert isinstance(answer, dict)
    for entry in answer["results"]:
        draft = entry["draft_version"]
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
