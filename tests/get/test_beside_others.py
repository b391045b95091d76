"""Several ``get`` at once for the same files in one clone: each ends when all are there."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dandi_mirror.embedded import Archive
from dandi_mirror.interface.getting import GetFailed, get_content
from dandi_mirror.mirror.fetch import other_runs
from tests.conftest import MirrorOfTest, run
from tests.support.get_clones import clone_of, here
from tests.support.held_back import HeldBack
from tests.support.terminal import on_terminal
from tests.support.waiting import LONG, wait_until

WAITS = "another get is fetching 1 file; waiting for it"


@contextmanager
def process(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "dandi_mirror", *arguments]
    child = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield child
    finally:
        child.kill()
        child.communicate()


def ended(child: subprocess.Popen[str]) -> tuple[int, str]:
    """The exit code and all that was printed."""
    out, err = child.communicate(timeout=LONG)
    return child.returncode, out + err


@pytest.mark.parametrize("size", [1000, 64 << 20], ids=["in one piece", "in parts"])
def test_a_file_that_another_get_is_fetching_is_waited_for(
    size: int, archive: Archive, mirror: MirrorOfTest, tmp_path: Path
) -> None:
    dandiset = archive.create_dandiset("000123", name="A test")
    dandiset.add_asset("sub-a/a.nwb", archive.add_blob(bytes(size)))
    dandiset.add_asset("sub-b/b.nwb", archive.add_blob(b"b" * 1000))
    mirror.sync()
    clone, held = clone_of(mirror, tmp_path / "clone"), HeldBack(mirror.server)
    with process(clone, "get", "sub-a") as first:
        assert held.came.wait(LONG)
        with process(clone, "get", ".") as second:
            assert second.stderr
            assert second.stderr.readline() == f"{WAITS}\n"
            assert here(clone) == ["sub-b/b.nwb"], "what no other run fetches came, and is recorded"
            held.go.set()
            assert ended(second) == (0, "got 1 file, 1.0 kB; 1 was there\n")
        assert ended(first)[0] == 0
    assert here(clone) == ["sub-a/a.nwb", "sub-b/b.nwb"]
    assert len([path for path in held.asked if path == held.asked[0]]) == (1 if size == 1000 else 4)
    run("git", "annex", "fsck", "--quiet", cwd=clone)


def test_what_a_killed_get_was_fetching_is_fetched_by_the_one_that_waited(synced: MirrorOfTest, tmp_path: Path) -> None:
    clone, held = clone_of(synced, tmp_path / "clone"), HeldBack(synced.server)
    with process(clone, "get", "sub-b") as first:
        assert held.came.wait(LONG)
        with process(clone, "get", "sub-b") as second:
            assert second.stderr
            assert second.stderr.readline() == f"{WAITS}\n"
            first.send_signal(signal.SIGKILL)
            assert ended(second) == (0, "got 1 file, 15.0 kB\n")
    held.go.set()
    assert here(clone) == ["sub-b/sub-b.nwb"]


def test_what_another_get_could_not_fetch_is_tried_by_the_one_that_waited(synced: MirrorOfTest, tmp_path: Path) -> None:
    clone, held = clone_of(synced, tmp_path / "clone"), HeldBack(synced.server, refused=2)
    with process(clone, "get", "sub-b") as first:
        assert held.came.wait(LONG)
        with process(clone, "get", "sub-b") as second:
            assert second.stderr
            assert second.stderr.readline() == f"{WAITS}\n"
            held.go.set()
            assert ended(first)[0] == 3
            assert ended(second) == (0, "got 1 file, 15.0 kB\n")
    assert here(clone) == ["sub-b/sub-b.nwb"]


def test_on_a_terminal_the_spinner_says_what_is_waited_for(synced: MirrorOfTest, tmp_path: Path) -> None:
    clone, held = clone_of(synced, tmp_path / "clone"), HeldBack(synced.server)
    with process(clone, "get", "sub-b") as first:
        assert held.came.wait(LONG)
        with on_terminal("get", f"{clone}/sub-a", f"{clone}/sub-b") as terminal:
            terminal.wait_for(WAITS)
            held.go.set()
            assert terminal.end() == 0
        assert ended(first)[0] == 0
    assert [line for line in terminal.lines if line] == ["got 2 files, 42.0 kB; 1 was there"]


def test_one_that_does_not_go_on_is_not_waited_for_without_end(
    synced: MirrorOfTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clone, held = clone_of(synced, tmp_path / "clone"), HeldBack(synced.server)
    monkeypatch.setattr(other_runs, "STILL", 0.1)
    with process(clone, "get", "sub-b"):
        assert held.came.wait(LONG)
        with pytest.raises(GetFailed, match="another process began to download it and does not go on; if it is yours"):
            get_content(clone, ["sub-b"], clone, synced.server.api_url, "", 2, False)
    held.go.set()


def test_a_partial_file_that_another_get_takes_away_does_not_matter(synced: MirrorOfTest, tmp_path: Path) -> None:
    clone = clone_of(synced, tmp_path / "clone")
    partials = clone / ".git/annex/dandi-mirror"
    partials.mkdir(parents=True)
    (partials / "gone").symlink_to("nowhere")
    run("dandi-mirror", "get", "sub-b", cwd=clone)


def test_what_another_git_annex_is_getting_is_waited_for(synced: MirrorOfTest, tmp_path: Path) -> None:
    """From a remote that only git-annex can ask, and that is slow."""
    clone, store = clone_of(synced, tmp_path / "clone"), tmp_path / "store"
    store.mkdir()
    (clone / "mine.nwb").write_bytes(b"m" * 400_000)
    run("git", "annex", "add", "--quiet", "mine.nwb", cwd=clone)
    run("git", "commit", "-q", "-m", "mine", cwd=clone)
    remote = ("type=directory", f"directory={store}", "encryption=none")
    run("git", "annex", "initremote", "--quiet", "store", *remote, cwd=clone)
    run("git", "config", "remote.dandiapi.annex-verified", "verified", cwd=clone)  # what git annex verifyremote writes
    run("git", "annex", "move", "--quiet", "--to=store", "mine.nwb", cwd=clone)
    run("git", "config", "remote.store.annex-bwlimit", "100kB", cwd=clone)
    key = run("git", "annex", "lookupkey", "mine.nwb", cwd=clone).stdout.strip()
    with process(clone, "get", "mine.nwb") as first:
        wait_until(lambda: (clone / ".git/annex/tmp" / key).exists())
        with process(clone, "get", "mine.nwb") as second:
            assert second.stderr
            assert second.stderr.readline() == f"{WAITS}\n"
            assert ended(second)[0] == 0
        assert ended(first)[0] == 0
    assert here(clone) == ["mine.nwb"]
