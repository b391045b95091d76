"""What stays true of a mirror whatever happens beside it."""

from __future__ import annotations

import fcntl
import shutil
import threading
from pathlib import Path

import pytest
from starlette.responses import Response

from dandi_mirror.embedded import Archive, Request, serve
from dandi_mirror.errors import LockedError
from dandi_mirror.model import FindingKind
from dandi_mirror.repo.git import lock
from tests.conftest import MirrorOfTest, run
from tests.support.dandisets import kinds, seed

FIRST, SECOND, THIRD = "0.240101.0000", "0.240202.0000", "0.240303.0000"


def test_a_version_published_while_a_sync_runs_is_tagged_by_the_next(archive: Archive, mirror: MirrorOfTest) -> None:
    dandiset = seed(archive)

    def publish_meanwhile(request: Request) -> None:
        if request.path.endswith("/versions/draft/") and not dandiset.published:
            dandiset.publish(FIRST, created="2024-01-01T00:00:00Z")

    mirror.server.intercept = publish_meanwhile
    assert mirror.sync().tags == []
    assert mirror.sync().tags == [FIRST]
    assert mirror.sync().status == "notneeded"


def test_who_has_just_taken_a_lock_is_named_though_its_name_comes_a_moment_later(tmp_path: Path) -> None:
    path = tmp_path / "one.lock"
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        name = b'{"pid": 7, "host": "h", "since": "today"}'
        threading.Timer(0.2, lambda: path.write_bytes(name)).start()
        with pytest.raises(LockedError, match="one is held by process 7 on h since today"), lock.hold(path, "one"):
            pass


def test_a_new_finding_is_printed_though_no_file_has_changed(archive: Archive, mirror: MirrorOfTest) -> None:
    dandiset = seed(archive)
    dandiset.publish(FIRST, created="2024-01-01T00:00:00Z")
    mirror.cli("sync", "000123")
    dandiset.versions[FIRST].given["name"] = "Another name"
    dandiset.forget()
    done = mirror.cli("sync", "000123", "--mode", "verify", code=7)
    assert f"alarm  {FIRST}" in done.stderr
    assert mirror.cli("sync", "000123", code=7).stderr == "", "once"


def test_the_branch_of_published_versions_goes_forward_only(archive: Archive, mirror: MirrorOfTest) -> None:
    dandiset = seed(archive)
    dandiset.publish(FIRST, created="2024-01-01T00:00:00Z")
    mirror.sync(versions="latest")
    dandiset.add_asset("table.tsv", archive.add_blob(b"a\tb\n"))
    dandiset.publish(SECOND, created="2024-02-02T00:00:00Z")
    dandiset.delete_asset("table.tsv")
    dandiset.add_asset("third.nwb", archive.add_blob(b"3"))
    dandiset.publish(THIRD, created="2024-03-03T00:00:00Z")
    mirror.server.intercept = lambda request: Response("gone", 404) if "/blobs/" in request.path else None
    assert mirror.sync(versions="published").tags == [THIRD], "the second waits for its table"
    mirror.server.intercept = None
    report = mirror.sync(versions="published")
    assert (report.tags, report.status) == ([SECOND], "ok")
    assert "third.nwb" in mirror.asset_paths("published")
    assert mirror.sync(versions="published", mode="verify").exit_code == 0
    assert "third.nwb" in mirror.asset_paths("published")


def test_the_published_branch_catches_up_after_a_time_in_which_all_was_mirrored(
    archive: Archive, mirror: MirrorOfTest
) -> None:
    dandiset = seed(archive)
    dandiset.publish(FIRST, created="2024-01-01T00:00:00Z")
    mirror.sync(versions="latest")
    dandiset.add_asset("second.nwb", archive.add_blob(b"2"))
    dandiset.publish(SECOND, created="2024-02-02T00:00:00Z")
    mirror.sync(versions="all")
    mirror.sync(versions="latest")
    assert "second.nwb" in mirror.asset_paths("published")


def test_the_folder_of_the_mirrors_own_can_be_deleted(archive: Archive, mirror: MirrorOfTest) -> None:
    seed(archive)
    mirror.sync()
    before = mirror.refs()
    shutil.rmtree(mirror.path / ".dandi-mirror")
    assert mirror.sync().exit_code == 0
    assert mirror.refs() == before


@pytest.mark.quick
def test_another_archive_does_not_replace_a_dandiset_of_the_same_id(archive: Archive, mirror: MirrorOfTest) -> None:
    seed(archive)
    mirror.sync()
    before = mirror.refs()
    sandbox = Archive(instance_name="DANDI-SANDBOX")
    seed(sandbox, files=1)
    with serve(sandbox) as server:
        report = MirrorOfTest(mirror.path, server).sync()
    assert report.exit_code == 2
    assert "mirrors another archive" in report.message
    assert mirror.refs() == before


def test_a_dandiset_whose_repository_is_damaged_does_not_stop_the_others(
    archive: Archive, mirror: MirrorOfTest
) -> None:
    seed(archive)
    archive.create_dandiset("000124", name="Other").add_asset("a.nwb", archive.add_blob(b"a"))
    mirror.sync()
    (mirror.path / "000123" / ".git" / "refs" / "heads" / "draft").write_bytes(b"")
    done = mirror.cli("sync", "000123", "000124", code=7)
    assert "000124  1 file" in done.stdout
    assert "Traceback" not in done.stderr
    assert "000123" in done.stderr


@pytest.mark.quick
def test_a_persons_tags_and_branches_are_theirs(archive: Archive, mirror: MirrorOfTest) -> None:
    dandiset = seed(archive)
    mirror.sync()
    mirror.git("tag", "mine")
    mirror.git("tag", "-a", "-m", "x", "also-mine")
    mirror.git("branch", "work")
    mirror.git("symbolic-ref", "refs/heads/dangling", "refs/heads/nowhere")
    dandiset.delete_asset("sub-0/sub-0_ses-1_ecephys.nwb")
    report = mirror.sync()
    assert (report.exit_code, report.findings) == (0, [])
    assert {"refs/tags/mine", "refs/tags/also-mine", "refs/heads/work"} <= set(mirror.refs())


def test_a_persons_tag_in_the_place_of_a_version_is_an_alarm_and_stays(archive: Archive, mirror: MirrorOfTest) -> None:
    dandiset = seed(archive)
    mirror.sync()
    mirror.git("tag", FIRST)
    mine = mirror.git("rev-parse", FIRST)
    dandiset.publish(FIRST, created="2024-01-01T00:00:00Z")
    report = mirror.sync()
    assert report.exit_code == 7
    assert kinds(report) == [(FindingKind.ALARM, "")]
    assert mirror.git("rev-parse", FIRST) == mine
    cite = run("dandi-mirror", "cite", f"000123@{FIRST}", "-d", str(mirror.path), code=2)
    assert f"000123@{FIRST} is not in" in cite.stderr and "it has 000123@draft\n" in cite.stderr


def test_published_only_with_nothing_published_says_so_once(archive: Archive, mirror: MirrorOfTest) -> None:
    seed(archive)
    done = mirror.cli("sync", "000123", "--versions", "published")
    assert "nothing is published yet" in done.stdout
    again = mirror.cli("sync", "000123", "--versions", "published")
    assert (again.stdout, again.stderr) == ("", "")


def test_moving_most_files_to_other_folders_is_no_mass_deletion(archive: Archive, mirror: MirrorOfTest) -> None:
    dandiset = seed(archive, files=30)
    mirror.sync()
    for number in range(30):
        dandiset.rename_asset(f"sub-{number}/sub-{number}_ses-1_ecephys.nwb", f"deep/er/still/sub-{number}.nwb")
    assert mirror.sync().exit_code == 0
    for number in range(30):
        dandiset.replace_asset(f"deep/er/still/sub-{number}.nwb", archive.add_blob(b"other %d" % number))
        dandiset.rename_asset(f"deep/er/still/sub-{number}.nwb", f"new-{number}.nwb")
    assert "--allow-deletes" in mirror.sync().message, "other content at other paths is one"


def test_a_commit_counts_what_its_tree_holds(archive: Archive, mirror: MirrorOfTest) -> None:
    dandiset = seed(archive)
    mirror.sync()
    dandiset.replace_asset("sub-0/sub-0_ses-1_ecephys.nwb", archive.add_blob(b"late", sha256_known=False))
    dandiset.add_asset("b.nwb", archive.add_blob(b"b"))
    report = mirror.sync()
    assert (report.files, report.size) == (4, 3 * len("content 0") + 1)
    assert "4 files of 3 subjects, 28 bytes." in mirror.git("log", "-1", "--format=%b", "draft")


def test_a_deleted_tag_or_superdataset_is_noticed_and_made_again(archive: Archive, mirror: MirrorOfTest) -> None:
    seed(archive).publish(FIRST, created="2024-01-01T00:00:00Z")
    mirror.sync()
    before = mirror.refs()
    mirror.git("tag", "-d", FIRST)
    assert mirror.sync().tags == [FIRST]
    assert mirror.refs()[f"refs/tags/{FIRST}"] == before[f"refs/tags/{FIRST}"]
    shutil.rmtree(mirror.path / ".git")
    mirror.sync()
    assert "000123" in run("git", "-C", str(mirror.path), "ls-tree", "--name-only", "HEAD").stdout.split()


def test_a_mirror_can_be_moved(archive: Archive, mirror: MirrorOfTest, tmp_path: Path) -> None:
    dandiset = seed(archive)
    mirror.sync()
    moved = MirrorOfTest(tmp_path / "else where", mirror.server)
    mirror.path.rename(moved.path)
    assert moved.sync().status == "notneeded"
    dandiset.delete_asset("sub-0/sub-0_ses-1_ecephys.nwb")
    assert moved.sync().exit_code == 0
    assert moved.git("status", "--porcelain") == ""


def test_a_repository_in_which_nothing_was_committed_becomes_the_mirror(archive: Archive, mirror: MirrorOfTest) -> None:
    dandiset = archive.create_dandiset("000123", name="Mice")
    dandiset.add_asset("a.nwb", archive.add_blob(b"a"))
    for folder in (mirror.path, mirror.path / "000123"):
        run("git", "init", "-q", str(folder))
    mirror.cli("sync", "000123")
    for folder in (mirror.path, mirror.path / "000123"):
        said = run("git", "-C", str(folder), "status", "--porcelain", "--branch").stdout
        assert said == "## draft\n", "the branch of the sync is checked out"
    assert (mirror.path / "000123" / "a.nwb").is_symlink()
    # git-annex is set up, too
    assert mirror.urls(mirror.keys()["a.nwb"])


@pytest.mark.parametrize("branch", ["main", "draft"])
def test_a_repository_with_commits_of_others_is_not_made_a_mirror(
    archive: Archive, mirror: MirrorOfTest, branch: str
) -> None:
    seed(archive)
    run("git", "init", "-q", "-b", branch, str(mirror.path))
    run("git", "-C", str(mirror.path), "commit", "-q", "--allow-empty", "-m", "mine")
    said = mirror.cli("sync", "000123", code=2).stderr
    assert (
        f"is a git repository and not a mirror: it has a branch {branch} that no sync made; name a new folder" in said
    )
    assert [path.name for path in mirror.path.iterdir()] == [".git"]
    assert run("git", "-C", str(mirror.path), "for-each-ref").stdout.count("\n") == 1
