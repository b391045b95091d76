"""A person's git-annex writes in a mirror while a sync moves the git-annex branch: nothing of either is lost."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dandi_mirror.embedded import Archive, Dandiset
from dandi_mirror.errors import LockedError
from dandi_mirror.repo.annex import journal, logs
from tests.conftest import MirrorOfTest, run
from tests.support.dandisets import participant, seed

FILE = "sub-0/sub-0_ses-1_ecephys.nwb"
OTHER = "sub-9/the-same-bytes.nwb"
PLACE = "11111111-2222-3333-4444-555555555555"
UNCOMMITTED = ("-c", "annex.alwayscommit=false")
"""Lets git-annex leave its journal as it is while a command runs."""


@pytest.fixture
def dandiset(archive: Archive, mirror: MirrorOfTest) -> Dandiset:
    dandiset = seed(archive)
    assert mirror.sync().exit_code == 0
    return dandiset


def change(dandiset: Dandiset, archive: Archive) -> None:
    """Let the archive say something else about the file: another subject, and a second path with another URL."""
    dandiset.replace_asset(FILE, metadata=participant("renamed"))
    dandiset.add_asset(OTHER, archive.add_blob(b"content 0"), metadata=participant("twin"))


def annex(mirror: MirrorOfTest, *arguments: str, uncommitted: bool = False) -> str:
    settings = UNCOMMITTED if uncommitted else ()
    return run("git", *settings, "annex", *arguments, cwd=mirror.path / "000123").stdout


def write(mirror: MirrorOfTest, *, uncommitted: bool = True) -> None:
    """A person notes a field, a place and a URL of the file."""
    key = mirror.keys()[FILE]
    annex(mirror, "metadata", "--quiet", "--set", "note=mine", FILE, uncommitted=uncommitted)
    annex(mirror, "setpresentkey", key, PLACE, "1", uncommitted=uncommitted)
    annex(mirror, "registerurl", key, "https://example.org/mine.nwb", uncommitted=uncommitted)


def fields(mirror: MirrorOfTest) -> dict[str, list[str]]:
    found: dict[str, list[str]] = json.loads(annex(mirror, "metadata", "--json", FILE))["fields"]
    return {name: values for name, values in found.items() if not name.endswith("lastchanged")}


def check_nothing_is_lost(mirror: MirrorOfTest, dandiset: Dandiset) -> None:
    """Both the person's lines and the sync's are there, as git-annex says once its journal is on the branch."""
    annex(mirror, "merge")
    annex(mirror, "metadata", "--quiet", "--set", "another=note", "sub-1")
    said = fields(mirror)
    assert said["note"] == ["mine"]
    assert said["subject"] == ["renamed", "twin"]
    key = mirror.keys()[FILE]
    ids = [asset.asset_id for asset in dandiset.draft if asset.path.startswith(("sub-0", "sub-9"))]
    urls = mirror.urls(key)
    assert {url.split("/")[-3] for url in urls if "/assets/" in url} == set(ids)
    assert "https://example.org/mine.nwb" in urls
    assert PLACE in annex(mirror, "whereis", f"--key={key}")
    journal = mirror.path / "000123/.git/annex/journal"
    assert not journal.exists() or not list(journal.iterdir())
    assert mirror.git("fsck", "--connectivity-only", "--no-dangling") == ""


@contextmanager
def metadata_batch(folder: Path) -> Iterator[None]:
    """A ``git annex metadata`` that has noted a field, and runs on."""
    arguments = ["git", "annex", "metadata", "--batch", "--json"]
    with subprocess.Popen(arguments, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdin and child.stdout
        child.stdin.write(json.dumps({"file": FILE, "fields": {"note": ["mine"]}}) + "\n")
        child.stdin.flush()
        assert json.loads(child.stdout.readline())["success"]
        yield
        child.stdin.close()
        assert child.wait() == 0


@pytest.mark.parametrize("index", ["fresh", "stale"])
def test_what_a_person_noted_before_a_sync_and_what_the_sync_notes_are_both_kept(
    index: str, archive: Archive, mirror: MirrorOfTest, dandiset: Dandiset
) -> None:
    if index == "stale":
        # git-annex's own index lags behind the branch that this sync moves
        dandiset.add_asset("sub-9/another.nwb", archive.add_blob(b"content 0"), metadata=participant("renamed"))
        assert mirror.sync().exit_code == 0
    write(mirror)
    change(dandiset, archive)
    assert mirror.sync().exit_code == 0
    check_nothing_is_lost(mirror, dandiset)


def test_a_git_annex_that_runs_on_over_a_sync_loses_nothing_of_it(
    archive: Archive, mirror: MirrorOfTest, dandiset: Dandiset
) -> None:
    write(mirror, uncommitted=False)
    change(dandiset, archive)
    with metadata_batch(mirror.path / "000123"):
        assert mirror.sync().exit_code == 0
        annex(mirror, "whereis", FILE)
    check_nothing_is_lost(mirror, dandiset)


def test_a_person_who_notes_fields_one_after_the_other_while_syncs_run_loses_none_and_stops_none(
    archive: Archive, mirror: MirrorOfTest, dandiset: Dandiset
) -> None:
    note = "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do git annex metadata --quiet --set note+=$i $0 || exit 1; done"
    write(mirror, uncommitted=False)
    with subprocess.Popen(["sh", "-c", note, FILE], cwd=mirror.path / "000123") as person:
        rounds = 0
        while person.poll() is None or not rounds:
            rounds += 1
            dandiset.replace_asset(FILE, metadata=participant(f"name {rounds}"))
            assert mirror.sync().exit_code == 0
    assert person.returncode == 0 and rounds > 1
    said = fields(mirror)
    assert set(said["note"]) == {"mine", *map(str, range(1, 13))}
    assert said["subject"] == [f"name {rounds}"]


def test_a_git_annex_that_holds_its_journal_for_very_long_is_named_and_nothing_moves(
    archive: Archive, mirror: MirrorOfTest, dandiset: Dandiset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "WAIT", 0.1)
    lock, before = mirror.path / "000123/.git/annex/journal.lck", mirror.refs()
    change(dandiset, archive)
    hold = "import fcntl, sys; f = open(sys.argv[1], 'r+'); fcntl.lockf(f, fcntl.LOCK_EX); print(flush=True); input()"
    arguments = [sys.executable, "-c", hold, str(lock)]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin and child.stdout and child.stdout.readline()
        report = mirror.sync()
        child.communicate(b"\n")
    assert report.exit_code == LockedError.exit_code and f"{lock} is held by git-annex" in report.message
    assert mirror.refs() == before
    assert mirror.sync().exit_code == 0


@pytest.mark.quick
@given(st.text("ab_/.", min_size=1).filter(lambda path: "/_" not in path and "//" not in path))
def test_a_name_in_the_journal_is_that_of_one_file_of_the_branch(path: str) -> None:
    assert journal.branch_path(journal.journal_name(path)) == path


@pytest.mark.quick
def test_a_log_with_the_lines_of_another_state_keeps_its_own_and_gets_no_line_twice() -> None:
    assert logs.union(b"1s 1 a\n2s 1 b", b"1s 1 a\n3s 0 a\n") == b"1s 1 a\n2s 1 b\n3s 0 a\n"
    assert logs.union(b"", b"1s 1 a") == b"1s 1 a\n"
