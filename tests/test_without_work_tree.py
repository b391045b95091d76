"""A mirror whose Dandisets are not checked out: repositories are whole, and all commands work as before."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from dandi_mirror.embedded import Archive, Dandiset
from dandi_mirror.upload.read.worker import Worker
from tests.conftest import MirrorOfTest, run
from tests.support.dandisets import seed
from tests.support.uploading import Person, mine

__all__ = ["mine"]

SMALL = {".datalad/config", ".gitattributes", "dandiset.yaml"}


@pytest.fixture
def bare(archive: Archive, mirror: MirrorOfTest) -> Iterator[MirrorOfTest]:
    """A mirror of a Dandiset, in which nothing is checked out."""
    dandiset = seed(archive)
    dandiset.add_asset("README.md", archive.add_blob(b"# What it is\n"))
    mirror.path.mkdir()
    (mirror.path / "dandi-mirror.toml").write_text("work-tree = false\n")
    mirror.cli("sync", "000123")
    yield mirror


def there(folder: Path) -> set[str]:
    """The files of a work tree."""
    found = (Path(where, name) for where, _, names in os.walk(folder) for name in names if Path(where).name != ".git")
    return {path.relative_to(folder).as_posix() for path in found if ".git" not in path.relative_to(folder).parts[:-1]}


def clean(mirror: MirrorOfTest) -> bool:
    """Whether git sees no edit, and the mirror's own files alone are there."""
    return mirror.git("status", "--porcelain") == "" and there(mirror.path / "000123") == SMALL


def test_a_sync_checks_out_nothing_and_the_commits_are_the_same(bare: MirrorOfTest, tmp_path: Path) -> None:
    assert clean(bare)
    full = MirrorOfTest(tmp_path / "full", bare.server)
    full.cli("sync", "000123")
    assert bare.refs() == full.refs()


def test_a_change_is_synced_without_a_work_tree(archive: Archive, bare: MirrorOfTest, tmp_path: Path) -> None:
    dandiset = archive.dandisets["000123"]
    dandiset.add_asset("sub-9/new.nwb", archive.add_blob(b"new"))
    dandiset.delete_asset("README.md")
    dandiset.rename_asset("sub-0/sub-0_ses-1_ecephys.nwb", "sub-0/other.nwb")
    bare.cli("sync", "000123")
    assert clean(bare)
    assert "sub-9/new.nwb" in bare.tree()
    bare.cli("sync", "--all")
    assert clean(bare)


def test_all_commands_answer_as_before(bare: MirrorOfTest, tmp_path: Path) -> None:
    full = MirrorOfTest(tmp_path / "full", bare.server)
    full.cli("sync", "000123")
    for arguments in (["ls", "000123"], ["status"], ["search", "mouse"], ["log", "000123"], ["cite", "000123"]):
        said = [run("dandi-mirror", *arguments, cwd=mirror.path, code=None) for mirror in (bare, full)]
        words = [(done.returncode, done.stdout.replace(str(mirror.path), "")) for done, mirror in zip(
            said, (bare, full), strict=True)]  # fmt: skip
        assert words[0] == words[1], arguments
    bare.cli("verify")
    assert clean(bare)


def is_here(mirror: MirrorOfTest, path: str) -> bool:
    """Whether git-annex has the content of a file, and knows it."""
    key = mirror.keys()[path]
    places = json.loads(mirror.git("annex", "whereis", "--json", f"--key={key}"))["whereis"]
    return any(place["here"] for place in places) and bool(mirror.git("annex", "contentlocation", key))


def test_content_comes_by_the_settings_by_get_and_by_git_annex(bare: MirrorOfTest) -> None:
    path = "sub-1/sub-1_ses-1_ecephys.nwb"
    bare.cli("sync", "000123", "--get", path)
    assert is_here(bare, path)
    run("dandi-mirror", "get", "sub-2", cwd=bare.path / "000123")
    assert is_here(bare, "sub-2/sub-2_ses-1_ecephys.nwb")
    assert clean(bare)


def test_a_clone_by_datalad_has_everything(bare: MirrorOfTest, tmp_path: Path) -> None:
    run("datalad", "clone", str(bare.path / "000123"), str(tmp_path / "clone"))
    clone = tmp_path / "clone"
    assert (clone / "README.md").read_text() == "# What it is\n"
    run("datalad", "get", "sub-1", cwd=clone)
    assert (clone / "sub-1/sub-1_ses-1_ecephys.nwb").read_bytes() == b"content 1"


def test_a_push_sends_everything(bare: MirrorOfTest, tmp_path: Path) -> None:
    sibling = f'[sibling.backup]\nurl = "{tmp_path}/backup"\n'
    (bare.path / "dandi-mirror.toml").write_text("work-tree = false\n" + sibling)
    run("dandi-mirror", "push", "-d", str(bare.path))
    assert list((tmp_path / "backup").rglob("draft"))


def test_a_person_may_check_out_a_part_or_everything_and_the_next_sync_follows(
    archive: Archive, bare: MirrorOfTest
) -> None:
    bare.git("sparse-checkout", "add", "/sub-1/")
    dandiset = archive.dandisets["000123"]
    dandiset.add_asset("sub-1/new.nwb", archive.add_blob(b"new"))
    dandiset.add_asset("sub-2/new.nwb", archive.add_blob(b"newer"))
    bare.cli("sync", "000123")
    assert there(bare.path / "000123") - SMALL == {"sub-1/sub-1_ses-1_ecephys.nwb", "sub-1/new.nwb"}
    bare.git("sparse-checkout", "disable")
    dandiset.add_asset("sub-1/newest.nwb", archive.add_blob(b"newest"))
    bare.cli("sync", "000123")
    assert "sub-1/newest.nwb" in there(bare.path / "000123")
    assert bare.git("status", "--porcelain") == ""


def test_a_dandiset_that_is_checked_out_stays_so(archive: Archive, mirror: MirrorOfTest) -> None:
    dandiset = seed(archive)
    mirror.cli("sync", "000123")
    before = there(mirror.path / "000123")
    (mirror.path / "dandi-mirror.toml").write_text("work-tree = false\n")
    dandiset.add_asset("sub-9/new.nwb", archive.add_blob(b"new"))
    mirror.cli("sync", "000123")
    assert there(mirror.path / "000123") == {*before, "sub-9/new.nwb"}


def test_another_work_tree_has_all_files(bare: MirrorOfTest, tmp_path: Path) -> None:
    run("dandi-mirror", "worktree", "000123@draft", str(tmp_path / "tree"), "-d", str(bare.path))
    assert (tmp_path / "tree" / "sub-1/sub-1_ses-1_ecephys.nwb").is_symlink()


def test_an_upload_from_there_deletes_nothing(mine: Dandiset, mirror: MirrorOfTest, worker: Worker) -> None:
    mirror.sync(work_tree=False)
    person = Person(mirror.path / "000123", mirror.server, worker)
    person.write("sub-9/new.bin", b"new")
    done = person.upload(sync=True)
    assert (done.steps, done.failures) == ({"sub-9/new.bin": "add"}, {})
    assert len(mine.draft) == 4
