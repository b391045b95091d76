"""A real exFAT, and a disk that takes ``a`` and ``A`` for one file: what works there, and what is refused by name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dandi_mirror.embedded import Archive, Dandiset
from dandi_mirror.errors import UsageError
from dandi_mirror.model import FindingKind
from tests.conftest import MirrorOfTest, run
from tests.support.dandisets import seed
from tests.support.real_disks import EXFAT, NO_CASE, Disk, NotHere, mounted
from tests.support.uploading import Person, elsewhere, mine, paths

__all__ = ["elsewhere", "mine"]

LOWER, UPPER = "sub-9/twin.nwb", "sub-9/Twin.nwb"


@contextmanager
def disk(kind: Disk, tmp_path: Path) -> Iterator[Path]:
    try:
        with mounted(kind, tmp_path / "image", tmp_path / "disk") as folder:
            yield folder
    except NotHere as error:
        pytest.skip(str(error))


@pytest.fixture
def exfat(tmp_path: Path) -> Iterator[Path]:
    with disk(EXFAT, tmp_path) as folder:
        yield folder


@pytest.fixture
def no_case(tmp_path: Path) -> Iterator[Path]:
    with disk(NO_CASE, tmp_path) as folder:
        yield folder


def with_twins(archive: Archive, dandiset: Dandiset) -> None:
    for path in (LOWER, UPPER):
        dandiset.add_asset(path, archive.add_blob(path.encode()))


# --- exFAT: no links, no permissions ------------------------------------------------------------------------


def test_a_mirror_on_exfat_is_refused_and_leaves_nothing_there(
    archive: Archive, mirror: MirrorOfTest, exfat: Path
) -> None:
    seed(archive)
    there = MirrorOfTest(exfat / "mirror", mirror.server)
    done = there.cli("sync", "000123", code=6)
    assert "this disk has no symbolic links, and a mirror needs them; name a folder on another disk" in done.stderr
    assert list(exfat.iterdir()) == []


def test_in_a_clone_on_exfat_content_comes_and_is_listed_as_present(
    archive: Archive, mirror: MirrorOfTest, exfat: Path
) -> None:
    seed(archive)
    mirror.sync()
    clone = exfat / "clone"
    run("datalad", "clone", str(mirror.path / "000123"), str(clone))
    assert "adjusted/draft(unlocked)" in run("git", "branch", "--show-current", cwd=clone).stdout
    assert run("dandi-mirror", "get", "sub-0", cwd=clone).stdout == "got 1 file, 9 bytes\n"
    run("datalad", "get", "sub-1", cwd=clone)
    for number in (0, 1):
        file = clone / f"sub-{number}/sub-{number}_ses-1_ecephys.nwb"
        assert file.read_text() == f"content {number}"
    assert "here: 2, 18 bytes" in run("dandi-mirror", "ls", ".", cwd=clone).stdout
    assert run("git", "status", "--short", cwd=clone).stdout == ""


def test_a_download_to_exfat_has_every_file(archive: Archive, mirror: MirrorOfTest, exfat: Path) -> None:
    seed(archive)
    mirror.cli("download", "000123", "-o", str(exfat))
    assert sorted(file.name for file in exfat.rglob("*.nwb")) == [f"sub-{n}_ses-1_ecephys.nwb" for n in range(3)]


# --- one file for two names ---------------------------------------------------------------------------------


def test_a_mirror_on_a_disk_that_folds_case_has_every_file_in_git_and_names_the_twins(
    archive: Archive, mirror: MirrorOfTest, no_case: Path
) -> None:
    with_twins(archive, seed(archive))
    mirror.sync()
    there = MirrorOfTest(no_case / "mirror", mirror.server)
    report = there.sync()
    assert there.refs()["refs/heads/draft"] == mirror.refs()["refs/heads/draft"]
    assert there.keys() == mirror.keys()
    assert report.exit_code == 3
    assert [(found.kind, found.path) for found in report.findings] == [
        (FindingKind.WORKTREE, UPPER),
        (FindingKind.WORKTREE, LOWER),
    ]
    assert f"takes it and {LOWER} for one file" in report.findings[0].reason
    assert "up to date" not in there.cli("status", "000123", code=3).stdout


def test_a_mirror_on_a_disk_that_folds_case_is_as_any_other_without_twins(
    archive: Archive, mirror: MirrorOfTest, no_case: Path
) -> None:
    dandiset = seed(archive)
    there = MirrorOfTest(no_case / "mirror", mirror.server)
    assert there.sync().findings == []
    dandiset.add_asset("README", archive.add_blob(b"read me\n"))
    assert there.sync().findings == []
    folder = there.path / "000123"
    assert run("dandi-mirror", "get", "sub-0", cwd=folder).stdout == "got 1 file, 9 bytes\n"
    assert (folder / "sub-0/sub-0_ses-1_ecephys.nwb").read_text() == "content 0"
    assert (folder / "README").read_text() == "read me\n"
    assert there.git("status", "--short") == ""


def test_a_download_does_not_write_one_twin_over_the_other(
    archive: Archive, mirror: MirrorOfTest, no_case: Path
) -> None:
    with_twins(archive, seed(archive))
    done = mirror.cli("download", "000123", "-o", str(no_case), code=3)
    assert "this disk takes it and" in done.stderr
    (file,) = (no_case / "000123/sub-9").iterdir()
    kept = next(path for path in (LOWER, UPPER) if file.read_text() == path)
    other = UPPER if kept == LOWER else LOWER
    assert f"{other}: this disk takes it and {Path(kept).name} for one file" in done.stderr
    again = mirror.cli("download", "000123", "-o", str(no_case), "-e", "overwrite", code=3)
    assert f"{other}: this disk takes it" in again.stderr
    # by this name: the driver may remember for a second what the other one was
    assert (no_case / "000123" / kept).read_text() == kept


# --- what a clone there sends -------------------------------------------------------------------------------


def test_twins_that_nobody_edited_are_not_sent_and_not_deleted(
    archive: Archive, mine: Dandiset, mirror: MirrorOfTest, elsewhere: Person, no_case: Path
) -> None:
    with_twins(archive, mine)
    mirror.sync()
    clone = no_case / "clone"
    run("datalad", "clone", str(mirror.path / "000123"), str(clone))
    me = Person(clone, mirror.server, elsewhere.worker)
    assert me.upload().steps == {UPPER: "refused"}
    (clone / LOWER).unlink()
    (clone / "new.txt").write_text("new")
    assert me.upload(sync=True).steps == {UPPER: "refused", LOWER: "refused", "new.txt": "add"}
    assert {LOWER, UPPER, "new.txt"} < set(paths(mine))


@pytest.mark.parametrize("branch", ["adjusted/draft(unlocked)", "draft"])
def test_an_upload_from_exfat_is_refused_in_plain_words(
    branch: str, archive: Archive, mine: Dandiset, mirror: MirrorOfTest, elsewhere: Person, exfat: Path
) -> None:
    mirror.sync()
    clone = exfat / "clone"
    run("datalad", "clone", str(mirror.path / "000123"), str(clone))
    me = Person(clone, mirror.server, elsewhere.worker)
    run("git", "checkout", "--quiet", branch, cwd=clone)
    (clone / "new.txt").write_text("new")
    with pytest.raises(UsageError, match="a disk without symbolic links or file permissions; no upload works"):
        me.upload()
    assert me.writes() == []
