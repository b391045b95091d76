"""Content that the settings ask for: what is brought, in which order, how much, and what a failure becomes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from threading import Event

import pytest
from starlette.responses import Response

from dandi_mirror.embedded import Archive, Request
from dandi_mirror.mirror.contents.selection import pick_within
from dandi_mirror.mirror.monitor.run_log import past_runs
from dandi_mirror.repo.annex.content import AnnexedFile
from tests.conftest import MirrorOfTest, run
from tests.support.waiting import LONG, SOON

SIZE = 1000


@pytest.fixture
def dated(archive: Archive, mirror: MirrorOfTest) -> MirrorOfTest:
    """Three files of a kilobyte, b the newest, and one of another kind."""
    dandiset = archive.create_dandiset("000123", name="A test")
    for name in ("c.nwb", "a.nwb", "b.nwb", "b.avi"):
        dandiset.add_asset(name, archive.add_blob(name.encode() * (SIZE // 5)))
    return mirror


def broken(request: Request) -> Response | None:
    """An answer without content, whoever asks for it."""
    return Response(status_code=404) if "/blobs/" in request.path or "/download/" in request.path else None


def here(mirror: MirrorOfTest) -> list[str]:
    return mirror.git("annex", "find", "--in=here").splitlines()


def report(mirror: MirrorOfTest, *arguments: str, code: int = 0) -> dict[str, object]:
    done = mirror.cli("sync", "000123", *arguments, "-f", "json", code=code)
    found: dict[str, object] = json.loads(done.stdout.splitlines()[0])
    return found


def test_what_matches_is_brought_and_a_run_after_it_starts_no_git_annex(dated: MirrorOfTest) -> None:
    done = dated.cli("sync", "000123", "--get", "*.nwb")
    assert done.stdout == "000123  4 files, 4.0 kB  +4  got 3 files, 3.0 kB\n"
    assert here(dated) == ["a.nwb", "b.nwb", "c.nwb"]
    dated.server.requests.clear()
    again = dated.cli("sync", "000123", "--get", "*.nwb", "-l", "debug")
    assert again.stdout == ""
    assert " git -C " not in again.stderr
    assert len(dated.server.requests) == 2


def test_globs_that_match_nothing_are_named_where_somebody_named_the_dandiset(dated: MirrorOfTest) -> None:
    for _ in ("the first time", "with git-annex not started"):
        done = dated.cli("sync", "000123", "--get", "*.nbw")
        assert (
            "no file matches --get '*.nbw', so no content came; see which files there are: dandi-mirror ls 000123"
            in (done.stdout)
        )
    assert dated.cli("sync", "--get", "*.nbw").stdout == "", "a run that nobody watches stays silent"
    dated.cli("sync", "000123", "--get", "*.nwb")
    dated.git("annex", "drop", "--force", "-q", "a.nwb")
    for globs in ("*.nwb", "b.nwb"):
        assert "no file matches" not in dated.cli("sync", "000123", "--get", globs).stdout


def test_other_globs_are_another_wish(dated: MirrorOfTest) -> None:
    dated.cli("sync", "000123", "--get", "a*", "--get", "c.*")
    assert here(dated) == ["a.nwb", "c.nwb"]
    found = report(dated, "--get", "b.*")
    assert (found["status"], found["brought"], found["left"]) == ("ok", 2, 0)
    assert here(dated) == ["a.nwb", "b.avi", "b.nwb", "c.nwb"]


def test_the_budget_of_a_run_takes_the_newest_and_the_next_run_goes_on(dated: MirrorOfTest) -> None:
    found = report(dated, "--get", "*.nwb", "--get-budget", "2.5kB")
    assert (found["brought"], found["brought_size"], found["left"]) == (2, 2 * SIZE, 1)
    assert here(dated) == ["a.nwb", "b.nwb"], "c came first into the archive"
    found = report(dated, "--get", "*.nwb", "--get-budget", "2.5kB")
    assert (found["brought"], found["left"]) == (1, 0)


def test_the_budget_of_a_dandiset_counts_what_is_there_and_then_it_is_done(dated: MirrorOfTest) -> None:
    wish = ("--get", "*.nwb", "--get-budget-each", "2.5kB")
    assert "(1 more is beyond the budget)" in dated.cli("sync", "000123", *wish).stdout
    again = dated.cli("sync", "000123", *wish, "-l", "debug")
    assert (again.stdout, " git -C " in again.stderr) == ("", False)
    assert here(dated) == ["a.nwb", "b.nwb"]


def test_a_change_brings_what_is_new(archive: Archive, dated: MirrorOfTest) -> None:
    dated.cli("sync", "000123", "--get", "*.nwb")
    archive.dandisets["000123"].add_asset("d.nwb", archive.add_blob(b"new"))
    assert "got 1 file, 3 bytes" in dated.cli("sync", "000123", "--get", "*.nwb").stdout


def test_content_that_does_not_come_is_a_finding_and_the_sync_stands(dated: MirrorOfTest) -> None:
    dated.server.intercept = broken
    done = dated.cli("sync", "000123", "--get", "*.nwb", code=3)
    assert done.stdout == "000123  4 files, 4.0 kB  +4\n"
    assert "  content  draft  a.nwb: " in done.stderr
    assert "pending" in dated.cli("status", "--offline", code=3).stdout
    again = dated.cli("sync", "000123", "--get", "*.nwb", code=3)
    assert (again.stdout, again.stderr) == ("", ""), "it is known, and tried again"
    dated.server.intercept = None
    assert report(dated, "--get", "*.nwb")["brought"] == 3
    assert "up to date" in dated.cli("status").stdout


def test_an_address_that_git_annex_must_not_ask_is_named_once_with_the_setting(dated: MirrorOfTest) -> None:
    run("git", "config", "--global", "--unset", "annex.security.allowed-ip-addresses")
    done = dated.cli("sync", "000123", "--get", "*.nwb", code=3)
    allow = "git config --global annex.security.allowed-ip-addresses 127.0.0.1"
    assert done.stderr == (
        "  content  draft  3 files did not come: the content is at 127.0.0.1, on this machine or network, and "
        f"git-annex asks there only if you allow it: {allow}\n"
    )
    run(*allow.split())
    assert report(dated, "--get", "*.nwb")["brought"] == 3


def test_a_wish_that_is_taken_back_is_waited_for_no_more(dated: MirrorOfTest) -> None:
    dated.server.intercept = broken
    dated.cli("sync", "000123", "--get", "a.nwb", code=3)
    dated.cli("sync", "000123")
    assert "up to date" in dated.cli("status", "--offline").stdout


def test_git_annex_that_dies_is_a_finding_too(dated: MirrorOfTest) -> None:
    dated.cli("sync", "000123")
    run("git", "-C", str(dated.path / "000123"), "config", "annex.version", "999")
    done = dated.cli("sync", "000123", "--get", "*.nwb", code=3)
    assert "content  draft  " in done.stderr
    assert "Traceback" not in done.stderr


def test_an_interruption_ends_git_annex_within_seconds_and_is_in_the_log(dated: MirrorOfTest) -> None:
    dated.cli("sync", "000123")
    asked, done = Event(), Event()

    def slow(request: Request) -> Response | None:
        if "/blobs/" in request.path:
            asked.set()
            done.wait(LONG)
        return None

    dated.server.intercept = slow
    command = [sys.executable, "-m", "dandi_mirror", "sync", "000123", "--get", "a.nwb", "-d", str(dated.path)]
    with subprocess.Popen([*command, "-i", dated.server.api_url], stderr=subprocess.PIPE) as child:
        assert asked.wait(LONG)
        child.send_signal(signal.SIGINT)
        try:
            assert child.wait(LONG) == 130
        finally:
            done.set()
    folder = str(dated.path / "000123").encode()
    assert not [path for path in Path("/proc").glob("[0-9]*/cmdline") if folder in _read(path)]
    (found, *_) = past_runs(dated.path / ".dandi-mirror" / "log")
    assert found.end
    assert found.end["exit_code"] == 130


def test_a_time_limit_cuts_a_transfer_off_and_the_next_run_goes_on(dated: MirrorOfTest) -> None:
    dated.cli("sync", "000123")
    done = Event()

    def slow(request: Request) -> Response | None:
        if "/blobs/" in request.path:
            done.wait(LONG)
        return None

    dated.server.intercept = slow
    start = time.monotonic()
    cut = dated.cli("sync", "000123", "--get", "a.nwb", "--time-limit", "2s")
    assert time.monotonic() - start < SOON
    assert (cut.stdout, cut.stderr, here(dated)) == ("", "", [])
    done.set()
    assert report(dated, "--get", "a.nwb")["brought"] == 1


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""  # gone meanwhile


def test_a_dry_run_brings_nothing(dated: MirrorOfTest) -> None:
    dated.cli("sync", "000123")
    dated.cli("sync", "000123", "--get", "*", "-n")
    assert here(dated) == []


def test_who_fits_is_picked_newest_first_and_each_key_once() -> None:
    files = [
        AnnexedFile("old", "K1", 5),
        AnnexedFile("new", "K2", 6),
        AnnexedFile("mid", "K3", 50),
        AnnexedFile("same", "K2", 6),
    ]
    times = {"old": "2020-01-01T00:00:00Z", "new": "2024-01-01T00:00:00Z", "mid": "2022-01-01T00:00:00Z"}
    assert [file.path for file in pick_within(files, times, None)] == ["new", "mid", "old"]
    assert [file.path for file in pick_within(files, times, 12)] == ["new", "old"], (
        "an older one may fit where a newer did not"
    )
    assert pick_within(files, times, 0) == []
