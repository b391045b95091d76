"""What the archive does not have any more, a repair takes from a sibling, if its hash fits."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from dandi_mirror.embedded import Archive
from tests.conftest import MirrorOfTest, run
from tests.support.damaging import annexed, loosen, write
from tests.support.two_versions import FIRST, filled


@pytest.fixture
def pushed(archive: Archive, mirror: MirrorOfTest, tmp_path: Path) -> MirrorOfTest:
    """A mirror that was pushed to a folder, and whose settings name that folder and another mirror."""
    filled(archive, mirror)
    archive.dandisets["000123"].add_asset("more.nwb", archive.add_blob(b"more"))
    mirror.cli("sync", "000123", "--get", "*.nwb")
    shutil.copytree(mirror.path, tmp_path / "other", symlinks=True)
    (mirror.path / "dandi-mirror.toml").write_text(
        f'[sibling.other]\nurl = "{tmp_path}/other"\n[sibling.backup]\nurl = "{tmp_path}/backup"\n'
    )
    mirror.cli("push", "--to", "backup")
    return mirror


def object_of(mirror: MirrorOfTest, name: str) -> Path:
    """The file of an object."""
    oid = mirror.git("rev-parse", name)
    loosen(mirror.path / "000123")
    return mirror.path / "000123/.git/objects" / oid[:2] / oid[2:]


def check_whole(mirror: MirrorOfTest, refs: dict[str, str]) -> None:
    assert {ref: oid for ref, oid in mirror.refs().items() if ref in refs} == refs
    run("git", "-C", str(mirror.path / "000123"), "fsck", "--strict", "--no-dangling")
    assert not (mirror.path / ".dandi-mirror/damaged").exists()


def test_an_old_commit_of_the_draft_that_no_archive_gives_again_comes_from_a_sibling(pushed: MirrorOfTest) -> None:
    refs = {ref: oid for ref, oid in pushed.refs().items() if "git-annex" not in ref}
    object_of(pushed, "draft~1^{tree}").unlink()
    pushed.cli("verify", "000123", code=7)
    pushed.cli("verify", "000123", "--repair")
    check_whole(pushed, refs)


@pytest.mark.slow
def test_a_version_comes_from_a_sibling_when_the_archive_has_lost_the_dandiset(
    archive: Archive, pushed: MirrorOfTest, tmp_path: Path
) -> None:
    refs = {ref: oid for ref, oid in pushed.refs().items() if "git-annex" not in ref}
    shutil.rmtree(tmp_path / "other")
    del archive.dandisets["000123"]
    object_of(pushed, f"{FIRST}^{{tree}}").unlink()
    done = pushed.cli("verify", "000123", "--repair", code=3)
    assert "the archive does not show the Dandiset any more" in done.stdout
    check_whole(pushed, refs)


@pytest.mark.slow
def test_without_a_sibling_that_has_it_nothing_is_changed(
    archive: Archive, pushed: MirrorOfTest, tmp_path: Path
) -> None:
    shutil.rmtree(tmp_path / "other")
    shutil.rmtree(tmp_path / "backup")
    del archive.dandisets["000123"]
    object_of(pushed, f"{FIRST}^{{tree}}").unlink()
    done = pushed.cli("verify", "000123", "--repair", code=7)
    assert "no sibling of dandi-mirror.toml has what is missing" in done.stderr
    assert (pushed.path / "000123/.git").is_dir() and not (pushed.path / ".dandi-mirror/damaged").exists()


@pytest.mark.parametrize("theirs", ["whole", pytest.param("damaged", marks=pytest.mark.slow)])
def test_content_comes_from_a_sibling_only_if_its_hash_fits(
    theirs: str, archive: Archive, pushed: MirrorOfTest, tmp_path: Path
) -> None:
    file = annexed(pushed.path / "000123")[0]
    before = file.read_bytes()
    write(file, b"x" * len(before))
    if theirs == "damaged":
        write(tmp_path / "other" / file.relative_to(pushed.path), b"y" * len(before))
    archive.blobs.clear()
    done = pushed.cli("verify", "000123", "--content", "1", "--repair", code=0 if theirs == "whole" else 3)
    if theirs == "whole":
        assert file.read_bytes() == before
    else:
        assert f"neither the archive nor a sibling gave the content of 1 key: {file.name}" in done.stderr
        assert not file.exists() and (pushed.path / "000123/.git/annex/bad" / file.name).exists()
