"""A person's local edits in the mirror survive a sync, or the sync says why it left them alone."""

from __future__ import annotations

from dandi_mirror.embedded import Archive
from dandi_mirror.model import Kind
from tests.conftest import MirrorOfTest
from tests.test_sync import seed


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
    assert [finding.kind for finding in report.findings] == [Kind.WORKTREE]
    assert "README" in report.findings[0].reason
    assert "\n" not in report.findings[0].reason
    assert report.exit_code == 3
    assert (mirror.path / "000123" / "README").read_text() == "my own words\n"
    assert mirror.git("show", "draft:README") == "theirs", "the branch has moved all the same"
    (mirror.path / "000123" / "README").write_text("read me\n")
    assert mirror.sync().exit_code == 0
    assert (mirror.path / "000123" / "README").read_text() == "theirs\n"
    assert mirror.git("status", "--porcelain") == ""


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
    assert "branch mine" in report.message
    assert mirror.refs() == before
