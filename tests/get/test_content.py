"""get: content is verified, recorded and kept when a run ends early."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from threading import Event

from starlette.responses import Response

from dandi_mirror.embedded import Request
from dandi_mirror.repo.annex import objects
from dandi_mirror.repo.annex.repository import AnnexRepository
from tests.conftest import MirrorOfTest, run
from tests.support.get_clones import SIZE, asked, clone_of, here
from tests.support.getting import get
from tests.support.waiting import LONG, SOON


def test_wrong_bytes_never_become_present(synced: MirrorOfTest, tmp_path: Path) -> None:
    clone = clone_of(synced, tmp_path / "clone")
    synced.server.intercept = lambda asked: Response(bytes(15 * SIZE)) if "/blobs/" in asked.path else None
    records = get(clone, "sub-b", code=3)
    assert "the downloaded bytes do not match its SHA-256" in records[0]["message"]
    assert here(clone) == []
    assert not list((clone / ".git" / "annex" / "objects").rglob("SHA256E*"))
    synced.server.intercept = None
    assert get(clone, "sub-b")[-1]["ok"] == 1


def test_stock_tools_work_before_and_after(synced: MirrorOfTest, tmp_path: Path) -> None:
    clone = clone_of(synced, tmp_path / "clone")
    run("datalad", "get", "sub-b", cwd=clone)
    get(clone, ".")
    run("git", "annex", "drop", "sub-a", cwd=clone)
    assert here(clone) == ["again/sub-c_ses-1.nwb", "sub-b/sub-b.nwb", "sub-c/sub-c_ses-1.nwb"]
    run("git", "annex", "drop", "--quiet", "sub-b", "--numcopies=5", cwd=clone, code=1)
    assert len(get(clone, ".")) == 6


def test_an_object_that_no_log_names_is_recorded_by_the_next_run(synced: MirrorOfTest, tmp_path: Path) -> None:
    """As after a kill between placing and recording."""
    clone = clone_of(synced, tmp_path / "clone")
    get(clone, "sub-b")
    uuid = run("git", "config", "annex.uuid", cwd=clone).stdout.strip()
    key = run("git", "annex", "lookupkey", "sub-b/sub-b.nwb", cwd=clone).stdout.strip()
    run("git", "annex", "setpresentkey", key, uuid, "0", cwd=clone)
    assert get(clone, "sub-b")[-1]["notneeded"] == 1
    assert uuid in run("git", "annex", "whereis", "sub-b", cwd=clone).stdout


def test_what_git_annex_has_noted_and_not_committed_is_kept(synced: MirrorOfTest, tmp_path: Path) -> None:
    clone = clone_of(synced, tmp_path / "clone")
    key = run("git", "annex", "lookupkey", "sub-b/sub-b.nwb", cwd=clone).stdout.strip()
    other = "11111111-2222-3333-4444-555555555555"
    run("git", "-c", "annex.alwayscommit=false", "annex", "setpresentkey", key, other, "1", cwd=clone)
    assert list((clone / ".git" / "annex" / "journal").iterdir())
    found = AnnexRepository(clone)
    found.read_config()
    objects.record(found, [key])
    said = run("git", "annex", "whereis", "sub-b", cwd=clone).stdout
    assert other in said and "[here]" in said


def test_get_needs_no_name_in_the_settings_of_git(synced: MirrorOfTest, home: Path, tmp_path: Path) -> None:
    unnamed = "\tname = Test Person\n\temail = test@example.org\n"
    text = (home / ".gitconfig").read_text()
    assert unnamed in text
    (home / ".gitconfig").write_text(text.replace(unnamed, "\tuseConfigOnly = true\n"))
    work = tmp_path / "work"
    work.mkdir()
    for subject in ("sub-a", "sub-b"):
        run("dandi-mirror", "get", f"000123/{subject}/", "-d", str(synced.path), cwd=work)
    clone = work / "000123"
    assert len(run("git", "annex", "find", "--in", "here", cwd=clone).stdout.splitlines()) == 3
    assert run("git", "config", "annex.uuid", cwd=clone).stdout
    assert run("git", "config", "remote.dandiapi.annex-config-uuid", cwd=clone).stdout
    # what is fetched from the mirror later has to be merged
    named = ("-c", "user.name=Owner", "-c", "user.email=owner@example.org")
    run("git", *named, "annex", "get", "--quiet", "sub-c", cwd=synced.path / "000123")
    run("git", "fetch", "-q", cwd=clone)
    run("dandi-mirror", "get", "sub-c", cwd=clone)


def test_a_full_disk_is_seen_before_anything_is_fetched(synced: MirrorOfTest, tmp_path: Path) -> None:
    clone = clone_of(synced, tmp_path / "clone")
    target = "../.git/annex/objects/aa/bb/{0}/{0}".format(f"SHA256E-s{10**14}--{'0' * 64}.nwb")
    (clone / "sub-a" / "huge.nwb").symlink_to(target)
    run("git", "add", "sub-a", cwd=clone)
    done = run("dandi-mirror", "get", ".", cwd=clone, code=6)
    assert "are free; free some space" in done.stderr
    assert asked(synced) == []


def test_an_interruption_keeps_what_is_complete(synced: MirrorOfTest, tmp_path: Path) -> None:
    clone, hangs = clone_of(synced, tmp_path / "clone"), Event()

    def hang(request: Request) -> Response | None:
        if "/blobs/" not in request.path or len(asked(synced)) < 3:
            return None
        hangs.set()
        released.wait(LONG)
        return None

    released = Event()
    synced.server.intercept = hang
    command = [sys.executable, "-m", "dandi_mirror", "get", ".", "-J", "1"]
    child = subprocess.Popen(command, cwd=clone, stderr=subprocess.PIPE, text=True)
    assert hangs.wait(LONG)
    began = time.monotonic()
    child.send_signal(signal.SIGINT)
    assert "what was complete is kept" in child.communicate()[1]
    released.set()
    assert (child.returncode, time.monotonic() - began < SOON) == (130, True)
    assert len(here(clone)) < 5, "the last of these may have come, and not be in its place yet"
    synced.server.intercept = None
    synced.server.requests.clear()
    get(clone, ".")
    assert len(asked(synced)) == 2, "nothing that was complete is asked for again"
    assert len(here(clone)) == 5
