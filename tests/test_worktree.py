"""A person's local edits in the mirror survive a sync, or the sync says why it left them alone."""

from __future__ import annotations

import re
import shlex

import pytest

from dandi_mirror.embedded import Archive
from dandi_mirror.errors import TemporaryError
from dandi_mirror.mirror.state.layout import Mirror
from dandi_mirror.model import FindingKind
from tests.conftest import MirrorOfTest, run
from tests.support.dandisets import kinds, seed
from tests.support.waiting import let_the_clock_of_files_tick


@pytest.mark.quick
def test_edits_and_new_files_that_stand_in_nobodys_way_survive(archive: Archive, mirror: MirrorOfTest) -> None:
    dandiset = seed(archive)
    dandiset.add_asset("README", archive.add_blob(b"read me\n"))
    mirror.sync()
    folder = mirror.path / "000123"
    (folder / "README").write_text("my own words\n")
    (folder / "notes.txt").write_text("untracked\n")
    (folder / "staged.txt").write_text("staged\n")
    mirror.git("add", "staged.txt")
    dandiset.delete_asset("sub-0/sub-0_ses-1_ecephys.nwb")
    report = mirror.sync()
    assert (report.exit_code, report.removed) == (0, 1)
    assert (folder / "README").read_text() == "my own words\n"
    assert (folder / "notes.txt").read_text() == "untracked\n"
    assert mirror.git("status", "--porcelain").split("\n") == ["M README", "A  staged.txt", "?? notes.txt"]
    assert not (folder / "sub-0").exists()


def test_an_edit_where_the_new_state_would_go_stays_and_is_told_in_one_line(
    archive: Archive, mirror: MirrorOfTest
) -> None:
    dandiset = seed(archive)
    dandiset.add_asset("README", archive.add_blob(b"read me\n"))
    mirror.sync()
    (mirror.path / "000123" / "README").write_text("my own words\n")
    dandiset.replace_asset("README", archive.add_blob(b"theirs\n"))
    report = mirror.sync()
    assert [finding.kind for finding in report.findings] == [FindingKind.WORKTREE]
    assert "README" in report.findings[0].reason
    assert "\n" not in report.findings[0].reason
    assert report.exit_code == 3
    assert (mirror.path / "000123" / "README").read_text() == "my own words\n"
    assert mirror.git("show", "draft:README") == "theirs", "the branch has moved all the same"
    (mirror.path / "000123" / "README").write_text("read me\n")
    assert mirror.sync().exit_code == 0
    assert (mirror.path / "000123" / "README").read_text() == "theirs\n"
    assert mirror.git("status", "--porcelain") == ""


@pytest.mark.quick
def test_commits_that_no_sync_made_are_not_buried(archive: Archive, mirror: MirrorOfTest) -> None:
    dandiset = seed(archive)
    mirror.sync()
    (mirror.path / "000123" / "mine.txt").write_text("mine\n")
    mirror.git("add", "mine.txt")
    mirror.git("commit", "-q", "-m", "mine")
    before = mirror.refs()
    dandiset.delete_asset("sub-0/sub-0_ses-1_ecephys.nwb")
    report = mirror.sync()
    assert (report.status, report.exit_code) == ("error", 3)
    assert mirror.refs() == before
    # what it says can be typed
    _, *typed = re.split(r"(?:: |, then take draft back to the last sync: )(?=git )", report.message)
    for command in typed:
        run(*shlex.split(command))
    assert len(typed) == 2 and mirror.sync().exit_code == 0
    assert "mine.txt" in mirror.git("ls-tree", "--name-only", "mine")
    assert mirror.git("status", "--porcelain") == ""


# --- edits that look like what a run leaves ----------------------------------------------------------------


def test_an_edit_that_is_a_beginning_of_the_new_file_stays(archive: Archive, mirror: MirrorOfTest) -> None:
    dandiset = seed(archive)
    dandiset.add_asset("participants.tsv", archive.add_blob(b"a\nb\nc\n"))
    mirror.sync()
    file = mirror.path / "000123" / "participants.tsv"
    file.write_bytes(b"a\nb\n")
    dandiset.replace_asset("participants.tsv", archive.add_blob(b"a\nb\nd\n"))
    assert kinds(mirror.sync()) == [(FindingKind.WORKTREE, "")]
    assert file.read_bytes() == b"a\nb\n"
    assert kinds(mirror.sync()) == [(FindingKind.WORKTREE, "")]
    assert file.read_bytes() == b"a\nb\n"


def test_an_empty_file_of_a_persons_stays_where_a_new_one_would_go(archive: Archive, mirror: MirrorOfTest) -> None:
    dandiset = seed(archive)
    mirror.sync()
    file = mirror.path / "000123" / "notes.txt"
    file.touch()
    dandiset.add_asset("notes.txt", archive.add_blob(b"theirs\n"))
    assert kinds(mirror.sync()) == [(FindingKind.WORKTREE, "")]
    assert file.read_bytes() == b""


def test_the_lock_of_a_person_at_work_stays_though_runs_fail_by_it(archive: Archive, mirror: MirrorOfTest) -> None:
    dandiset = seed(archive)
    mirror.sync()
    lock = mirror.path / "000123" / ".git" / "index.lock"
    lock.touch()
    let_the_clock_of_files_tick(mirror.path)
    dandiset.add_asset("README", archive.add_blob(b"theirs\n"))
    assert [mirror.sync().exit_code for _ in range(3)] == [1, 1, 1]
    assert lock.exists()
    lock.unlink()
    assert mirror.sync().exit_code == 0
    assert mirror.git("status", "--porcelain") == ""


def test_a_lock_that_a_person_takes_after_a_run_has_failed_stays(archive: Archive, mirror: MirrorOfTest) -> None:
    seed(archive)
    mirror.sync()
    with pytest.raises(TemporaryError), Mirror(mirror.path).lock("000123"):
        raise TemporaryError("the archive is down")
    let_the_clock_of_files_tick(mirror.path)
    lock = mirror.path / "000123" / ".git" / "index.lock"
    lock.touch()
    with Mirror(mirror.path).lock("000123") as before:
        assert before
        Mirror(mirror.path).dataset("000123").clear_stale(before)
    assert lock.exists()


# --- a person who goes away and comes back -----------------------------------------------------------------


@pytest.mark.parametrize("staged", [False, True])
def test_who_checks_out_a_version_and_comes_back_after_a_sync_is_not_stuck(
    archive: Archive, mirror: MirrorOfTest, staged: bool
) -> None:
    dandiset = seed(archive)
    dandiset.add_asset("README", archive.add_blob(b"1\n"))
    dandiset.publish("0.240101.0000")
    mirror.sync()
    mirror.git("checkout", "-q", "0.240101.0000")
    dandiset.replace_asset("README", archive.add_blob(b"2\n"))
    assert mirror.sync().exit_code == 0
    assert mirror.git("describe", "HEAD") == "0.240101.0000"
    mirror.git("checkout", "-q", "draft")
    if staged:
        (mirror.path / "000123" / "mine.txt").touch()
        mirror.git("add", "mine.txt")
    for number in (3, 4):
        dandiset.replace_asset("README", archive.add_blob(b"%d\n" % number))
        assert kinds(mirror.sync()) == []
        assert (mirror.path / "000123" / "README").read_text() == f"{number}\n"
    assert mirror.git("status", "--porcelain") == ("A  mine.txt" if staged else "")


def test_an_edit_that_is_put_aside_by_git_stash_stands_in_the_way_no_more(
    archive: Archive, mirror: MirrorOfTest
) -> None:
    dandiset = seed(archive)
    dandiset.add_asset("README", archive.add_blob(b"1\n"))
    mirror.sync()
    (mirror.path / "000123" / "README").write_text("mine\n")
    dandiset.replace_asset("README", archive.add_blob(b"2\n"))
    assert kinds(mirror.sync()) == [(FindingKind.WORKTREE, "")]
    mirror.git("stash", "-q")
    dandiset.replace_asset("README", archive.add_blob(b"3\n"))
    assert kinds(mirror.sync()) == []
    assert mirror.git("status", "--porcelain") == ""
    assert (mirror.path / "000123" / "README").read_text() == "3\n"


def test_a_person_who_has_staged_all_that_a_killed_sync_would_have_brought_is_not_stuck(
    archive: Archive, mirror: MirrorOfTest
) -> None:
    dandiset = seed(archive)
    mirror.sync()
    # a sync that is killed before its work tree has brought the branch alone; what an upload sent is in the index
    mirror.git("checkout", "-q", "--detach")
    for number in range(20):
        dandiset.add_asset(f"new/{number}.dat", archive.add_blob(b"%d" % number))
    mirror.sync()
    mirror.git("symbolic-ref", "HEAD", "refs/heads/draft")
    mirror.git("checkout", "-q", "draft", "--", "new")
    dandiset.add_asset("another.dat", archive.add_blob(b"another"))
    assert kinds(mirror.sync()) == []
    assert mirror.git("status", "--porcelain") == ""
    assert (mirror.path / "000123" / "another.dat").is_symlink()


# --- another branch is kept --------------------------------------------------------------------------------


@pytest.mark.parametrize(("first", "then"), [("latest", "all"), ("draft", "published"), ("all", "latest")])
def test_what_is_checked_out_is_the_branch_that_is_kept(
    archive: Archive, mirror: MirrorOfTest, first: str, then: str
) -> None:
    dandiset = seed(archive)
    dandiset.publish("0.240101.0000")
    dandiset.add_asset("README", archive.add_blob(b"mine to edit\n"))
    mirror.sync(versions=first)
    (mirror.path / "000123" / "dandiset.yaml").write_text("my own words\n")
    (mirror.path / "000123" / "dandiset.yaml.orig").write_text("untracked\n")
    # only a sync writes this file, so an edit of it is in no way
    assert kinds(mirror.sync(versions=then)) == [(FindingKind.WORKTREE, "dandiset.yaml")]
    kept, left = ("draft", "published") if then == "all" else ("published", "draft")
    assert mirror.git("symbolic-ref", "--short", "HEAD") == kept
    assert mirror.git("status", "--porcelain") == "M dandiset.yaml\n?? dandiset.yaml.orig"
    assert (mirror.path / "000123" / "dandiset.yaml").read_text() == "my own words\n"
    mirror.git("checkout", "-q", "dandiset.yaml")
    assert kinds(mirror.sync(versions=then)) == []
    assert mirror.git("symbolic-ref", "--short", "HEAD") == kept
    assert mirror.git("status", "--porcelain") == "?? dandiset.yaml.orig"
    assert mirror.git("rev-parse", "refs/dandi-mirror/worktree") == mirror.git("rev-parse", kept)
    assert kinds(mirror.sync(versions=first)) == []
    assert mirror.git("symbolic-ref", "--short", "HEAD") == left


@pytest.mark.parametrize("where", ["--detach", "-bmine"])
@pytest.mark.parametrize("killed", [False, True])
def test_what_a_person_has_checked_out_stays_checked_out(
    archive: Archive, mirror: MirrorOfTest, where: str, killed: bool
) -> None:
    dandiset = seed(archive)
    dandiset.publish("0.240101.0000")
    mirror.sync(versions="latest")
    mirror.git("checkout", "-q", where)
    run("git", "-C", str(mirror.path), "checkout", "-q", where)
    if killed:
        for name in ("000123", "superdataset"):
            (mirror.path / ".dandi-mirror" / "locks" / f"{name}.lock").write_text('{"pid": 1}')
    head = (mirror.path / "000123" / ".git" / "HEAD").read_text()
    dandiset.add_asset("README", archive.add_blob(b"theirs\n"))
    assert kinds(mirror.sync(versions="all")) == []
    assert mirror.git("rev-parse", "HEAD", dandiset=".") != mirror.git("rev-parse", "draft", dandiset=".")
    assert mirror.git("status", "--porcelain", "--ignore-submodules", dandiset=".") == ""
    assert (mirror.path / "000123" / ".git" / "HEAD").read_text() == head
    assert mirror.git("status", "--porcelain") == ""


# --- the superdataset --------------------------------------------------------------------------------------


def second(archive: Archive) -> None:
    archive.create_dandiset("000124", name="Another")


def test_a_persons_subdataset_stays_and_the_superdataset_is_clean(archive: Archive, mirror: MirrorOfTest) -> None:
    seed(archive)
    mirror.sync()
    (mirror.path / "notes.md").write_text("mine\n")
    run("datalad", "-C", str(mirror.path), "save", "-m", "mine", "notes.md")
    run("datalad", "-C", str(mirror.path), "create", "-d", ".", "sub", cwd=mirror.path)
    second(archive)
    assert kinds(mirror.sync("000124")) == []
    assert mirror.git("status", "--porcelain", dandiset=".") == ""
    assert {"sub", "000123", "000124", "notes.md"} <= mirror.tree(dandiset=".").keys()
    assert "path = sub\n" in (mirror.path / ".gitmodules").read_text()


def test_an_edit_of_the_superdataset_stays_and_is_told(archive: Archive, mirror: MirrorOfTest) -> None:
    seed(archive)
    mirror.sync()
    (mirror.path / ".gitmodules").write_text("# mine\n")
    second(archive)
    report = mirror.sync("000124")
    assert [(finding.kind, finding.version) for finding in report.findings] == [(FindingKind.WORKTREE, "superdataset")]
    assert ".gitmodules" in report.findings[0].reason
    assert report.exit_code == 3
    assert (mirror.path / ".gitmodules").read_text() == "# mine\n"
    mirror.git("checkout", "-q", "HEAD", ".gitmodules", dandiset=".")
    assert kinds(mirror.sync("000124")) == []
    assert mirror.git("status", "--porcelain", dandiset=".") == ""
