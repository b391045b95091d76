"""What single kills, power cuts and full disks once left behind, forged, and made good by the next run."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from dandi_mirror.embedded import Archive, Dandiset
from dandi_mirror.errors import DiskError, LockedError
from dandi_mirror.mirror.state.layout import Mirror
from dandi_mirror.repo.annex.initialise_in_mirror import restore_branch
from dandi_mirror.repo.git import garbage, lock, process, worktree
from dandi_mirror.repo.git.dataset import ANNEX, CHECKED_OUT, EMPTY_TREE
from dandi_mirror.repo.git.process import GitError
from tests.conftest import MirrorOfTest
from tests.support.dandisets import seed
from tests.support.waiting import let_the_clock_of_files_tick

TEXT = "# A text\n\nof some lines\n"


@pytest.fixture
def dandiset(archive: Archive) -> Dandiset:
    made = seed(archive)
    made.add_asset("README.md", archive.add_blob(TEXT.encode()))
    made.publish("0.240101.0000", created="2024-01-01T00:00:05Z")
    return made


@pytest.fixture
def folder(dandiset: Dandiset, mirror: MirrorOfTest) -> Path:
    """A dataset that an undisturbed sync has made."""
    assert mirror.sync().exit_code == 0
    return mirror.path / "000123"


def cut_off(mirror: MirrorOfTest) -> None:
    """As if the run before had been killed before it could note anything."""
    (mirror.path / ".dandi-mirror" / "index.sqlite").unlink(missing_ok=True)
    for name in ("000123", "superdataset"):
        (mirror.path / ".dandi-mirror" / "locks" / f"{name}.lock").write_text('{"pid": 1}')


def cut_off_in_the_check_out(mirror: MirrorOfTest) -> None:
    """As if it had been killed while it brought the first work tree; to be called before files are half-written."""
    mark = mirror.path / "000123" / ".git" / worktree._MARK
    mark.write_text(f"{EMPTY_TREE} {mirror.git('rev-parse', 'draft')}\n")
    mirror.git("update-ref", "-d", CHECKED_OUT)
    cut_off(mirror)


def is_whole(mirror: MirrorOfTest, refs: dict[str, str]) -> bool:
    report = mirror.sync()
    assert (report.exit_code, report.findings, report.message) == (0, [], "")
    return mirror.refs() == refs and mirror.git("status", "--porcelain") == ""


@pytest.mark.parametrize("lost", ["objects", "HEAD", "config"])
def test_a_repository_that_was_half_made_is_made_whole(folder: Path, mirror: MirrorOfTest, lost: str) -> None:
    refs = mirror.refs()
    for repository in (folder, mirror.path):
        path = repository / ".git" / lost
        shutil.rmtree(repository / ".git" / "refs")
        (repository / ".git" / "refs").mkdir()
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.write_bytes(b"")  # as a power cut leaves it
    cut_off(mirror)
    assert is_whole(mirror, refs)


def test_a_folder_that_is_no_repository_yet_becomes_one(dandiset: Dandiset, mirror: MirrorOfTest) -> None:
    for folder in (mirror.path, mirror.path / "000123"):
        (folder / ".git").mkdir(parents=True)
    (mirror.path / ".dandi-mirror" / "locks").mkdir(parents=True)
    cut_off(mirror)
    report = mirror.sync()
    assert (report.exit_code, report.findings, report.message) == (0, [], "")
    assert mirror.git("status", "--porcelain") == mirror.git("status", "--porcelain", dandiset=".") == ""


@pytest.mark.parametrize("index_is_new", [False, True])
@pytest.mark.parametrize("written", [0, 7, len(TEXT)])
def test_a_work_tree_that_was_half_written_is_written_whole(
    folder: Path, mirror: MirrorOfTest, written: int, index_is_new: bool
) -> None:
    refs = mirror.refs()
    cut_off_in_the_check_out(mirror)
    (folder / "README.md").write_text(TEXT[:written])
    shutil.rmtree(folder / "sub-0")
    if not index_is_new:
        (folder / ".git" / "index").unlink()
    else:
        mirror.git("rm", "--cached", "-r", "-q", "sub-0")
    assert is_whole(mirror, refs)
    assert not (folder / ".git" / worktree._MARK).exists()


@pytest.mark.parametrize("written", [0, 7])
def test_an_edit_from_before_a_check_out_that_was_cut_off_is_a_persons(
    folder: Path, mirror: MirrorOfTest, written: int
) -> None:
    (folder / "README.md").write_text(TEXT[:written])
    let_the_clock_of_files_tick(mirror.path)
    cut_off_in_the_check_out(mirror)
    (folder / ".git" / "index").unlink()
    assert [finding.kind.value for finding in mirror.sync().findings] == ["worktree"]
    assert (folder / "README.md").read_text() == TEXT[:written]


@pytest.mark.parametrize("mark", ["", "1234 5678\n", f"{'1' * 40} {'2' * 40}\n"])
def test_a_mark_that_says_nothing_is_of_no_harm(
    dandiset: Dandiset, folder: Path, mirror: MirrorOfTest, mark: str
) -> None:
    (folder / ".git" / worktree._MARK).write_text(mark)
    cut_off(mirror)
    dandiset.delete_asset("README.md")
    assert mirror.sync().exit_code == 0
    assert mirror.git("status", "--porcelain") == ""
    assert not (folder / ".git" / worktree._MARK).exists()


def test_a_work_tree_that_was_half_written_is_written_whole_though_the_archive_has_moved_on(
    dandiset: Dandiset, folder: Path, mirror: MirrorOfTest
) -> None:
    mirror.git("update-ref", "-d", CHECKED_OUT)
    (folder / ".git" / "index").unlink()
    cut_off(mirror)
    dandiset.replace_asset("README.md", dandiset.archive.add_blob(b"another text\n"))
    assert mirror.sync().exit_code == 0
    assert (folder / "README.md").read_text() == "another text\n"
    assert mirror.git("status", "--porcelain") == ""


def test_a_file_that_is_neither_old_nor_new_is_a_persons_and_stays(folder: Path, mirror: MirrorOfTest) -> None:
    mirror.git("update-ref", "-d", CHECKED_OUT)
    (folder / ".git" / "index").unlink()
    (folder / "README.md").write_text("my own\n")
    cut_off(mirror)
    assert [finding.kind.value for finding in mirror.sync().findings] == ["worktree"]
    assert (folder / "README.md").read_text() == "my own\n"


def test_a_check_out_that_was_ended_fails_the_run_so_that_the_next_one_clears_up(
    dandiset: Dandiset, folder: Path, mirror: MirrorOfTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    dandiset.delete_asset("README.md")
    update_worktree = worktree.update_worktree

    def is_ended(*arguments: object, **options: object) -> list[str]:
        (folder / ".git" / "index.lock").touch()
        return update_worktree(*arguments, **options)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(worktree, "update_worktree", is_ended)
        assert mirror.sync().exit_code == 1
    assert mirror.sync().exit_code == 0
    assert mirror.git("status", "--porcelain") == ""


def test_a_branch_that_was_not_moved_with_its_tags_follows_as_if_it_had_been(
    folder: Path, mirror: MirrorOfTest
) -> None:
    refs = mirror.refs()
    mirror.git("update-ref", "-d", "refs/heads/draft")
    mirror.git("update-ref", "-d", CHECKED_OUT)
    mirror.git("rm", "-r", "-q", "--cached", ".")
    cut_off(mirror)
    assert is_whole(mirror, refs)


def test_a_git_annex_that_was_half_set_up_is_set_up_whole(folder: Path, mirror: MirrorOfTest) -> None:
    refs, settings = mirror.refs(), mirror.git("config", "--local", "--list")
    for name in ("remote.dandiapi", "dandi-mirror", "filter.annex"):
        mirror.git("config", "--remove-section", name)
    cut_off(mirror)
    assert is_whole(mirror, refs)
    assert sorted(mirror.git("config", "--local", "--list").splitlines()) == sorted(settings.splitlines())


def test_a_git_annex_branch_that_git_annex_has_lost_is_put_back(folder: Path, mirror: MirrorOfTest) -> None:
    dataset = Mirror(mirror.path).dataset("000123")
    before = dataset.ref(ANNEX)
    made = mirror.git("commit-tree", "-m", "branch created", mirror.git("write-tree"))
    mirror.git("update-ref", ANNEX, made)
    with pytest.raises(GitError, match="is restored"):
        restore_branch(dataset, before)
    assert dataset.ref(ANNEX) == before


def test_that_a_run_was_killed_is_remembered_until_one_is_through(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.write_text('{"pid": 1, "and": "more than the next holder writes"}' * 9)
    with pytest.raises(OSError, match="full"), lock.hold(path, "it") as killed:
        assert killed
        raise OSError("full")
    with lock.hold(path, "it") as killed:
        assert killed
    with lock.hold(path, "it") as killed:
        assert not killed


def test_a_full_disk_is_found_out_though_git_does_not_name_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(process.failure(tmp_path, ["init"], 1, b"Not initialized."), GitError)
    monkeypatch.setattr(process, "_LITTLE", 1 << 62)
    error = process.failure(tmp_path, ["init"], 1, b"Not initialized.")
    assert isinstance(error, DiskError)
    assert "No space left on device (Not initialized.)" in str(error)


def test_a_disk_that_is_full_is_told_in_the_systems_words_by_sqlite_too(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "small")) as database:
        database.execute("PRAGMA max_page_count = 2")
        with pytest.raises(sqlite3.OperationalError) as error:
            database.executescript("CREATE TABLE t (x); INSERT INTO t VALUES (zeroblob(100000));")
    assert str(DiskError.of(tmp_path / "small", error.value)) == f"{tmp_path}/small: No space left on device"
    assert str(DiskError.of("it", PermissionError(13, "Permission denied"))) == "it: Permission denied"


def test_git_gc_and_a_write_keep_each_other_away(
    folder: Path, mirror: MirrorOfTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    git_dir = folder / ".git"
    with garbage.no_gc(git_dir):
        assert mirror.git("gc", "--auto", "--quiet") == ""
        with pytest.raises(AssertionError, match="gc is already running"):
            mirror.git("gc", "--prune=now")
    mirror.git("gc", "--prune=now", "--quiet")
    (git_dir / "gc.pid").write_text(f"{os.getppid()} {os.uname().nodename}")
    monkeypatch.setattr(garbage, "PATIENCE", 0.1)
    with pytest.raises(LockedError, match="git gc"), garbage.no_gc(git_dir):
        raise AssertionError("beside a gc")
    (git_dir / "gc.pid").write_text(f"{os.getppid()} {os.uname().nodename} dandi-mirror")
    with garbage.no_gc(git_dir):
        pass
    assert not (git_dir / "gc.pid").exists()
