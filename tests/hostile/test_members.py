"""Something else stands where a Dandiset's dataset would be: it is refused by name, and nothing is written to it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from dandi_mirror.embedded import Archive
from dandi_mirror.mirror.monitor.status import Word, status_of, words
from dandi_mirror.mirror.search.index import update_index
from dandi_mirror.mirror.state.layout import Mirror
from tests.conftest import MirrorOfTest, run
from tests.support.own_files import snapshot


def repository(folder: Path) -> Path:
    run("git", "init", "-q", str(folder))
    (folder / "paper.tex").write_text("mine\n")
    run("git", "-C", str(folder), "add", ".")
    run("git", "-C", str(folder), "commit", "-q", "-m", "mine")
    return folder


def linked(member: Path, victim: Path) -> None:
    member.symlink_to(Path("..", victim.name))


def linked_git(member: Path, victim: Path) -> None:
    member.mkdir()
    (member / ".git").symlink_to(victim / ".git")


def noted_git(member: Path, victim: Path) -> None:
    member.mkdir()
    (member / ".git").write_text(f"gitdir: {victim}/.git\n")


def work_tree(member: Path, victim: Path) -> None:
    run("git", "-C", str(victim), "worktree", "add", "-q", "--detach", str(member))


def linked_refs(member: Path, victim: Path) -> None:
    run("git", "init", "-q", str(member))
    shutil.rmtree(member / ".git" / "refs")
    (member / ".git" / "refs").symlink_to(victim / ".git" / "refs")


def common_git(member: Path, victim: Path) -> None:
    run("git", "init", "-q", str(member))
    (member / ".git" / "commondir").write_text(f"{victim}/.git\n")


WAYS = [linked, linked_git, noted_git, work_tree, linked_refs, common_git]


@pytest.fixture
def held(archive: Archive, mirror: MirrorOfTest) -> MirrorOfTest:
    """A mirror of one Dandiset; the archive has another."""
    for identifier in ("000123", "000888"):
        archive.create_dandiset(identifier, name="Mice").add_asset("sub-a/a.nwb", archive.add_blob(identifier.encode()))
    mirror.sync("000123")
    return mirror


@pytest.mark.parametrize("way", WAYS)
def test_a_sync_writes_into_no_other_repository(
    way: Callable[[Path, Path], None], held: MirrorOfTest, tmp_path: Path
) -> None:
    victim = repository(tmp_path / "victim")
    member = held.path / "000888"
    way(member, victim)
    before, ours = snapshot(victim), snapshot(member)
    report = held.sync("000888")
    assert report.exit_code == 3
    assert f"{member} is not this mirror's own dataset: " in report.message
    assert f"mv {member} {member}.away" in report.message
    # it keeps nobody from the others
    there = Mirror(held.path)
    assert status_of(there, "000888", None).word in {Word.FAILED, Word.MISSING}
    assert update_index(there, lambda dandiset, doing: None).updated == ["000123"]
    assert held.sync("000123", mode="force").exit_code == 0
    assert words(there)["up to date"] == 1
    assert (snapshot(victim), snapshot(member)) == (before, ours)


def test_each_command_names_a_dataset_that_is_a_link(held: MirrorOfTest, tmp_path: Path) -> None:
    victim = repository(tmp_path / "victim")
    linked(held.path / "000888", victim)
    before = snapshot(victim)
    done = held.cli("sync", code=3)
    assert done.stderr.startswith("000888  ")
    assert "is a link to ../victim" in done.stderr
    for command in (["status", "--offline"], ["ls", str(held.path)], ["push", "-n"]):
        shown = run("dandi-mirror", *command, "-d", str(held.path), code=None)
        assert "unexpected" not in shown.stderr
        assert command[0] == "push" or "000123" in shown.stdout
    assert snapshot(victim) == before


def test_a_repository_that_no_sync_has_made_is_left_alone(held: MirrorOfTest) -> None:
    member = repository(held.path / "000888")
    before = snapshot(member)
    report = held.sync("000888")
    assert report.exit_code == 3
    assert snapshot(member) == before
    assert "is a repository that no sync has made: it has a branch 'main'" in report.message


def test_another_dataset_under_the_name_is_left_alone(held: MirrorOfTest) -> None:
    shutil.copytree(held.path / "000123", member := held.path / "000888", symlinks=True)
    before = snapshot(member)
    report = held.sync("000888")
    assert report.exit_code == 3
    assert snapshot(member) == before
    assert "is another dataset: its .datalad/config has not the id of DANDI:000888" in report.message


def test_a_mirror_whose_own_git_is_a_link_is_refused(held: MirrorOfTest, tmp_path: Path) -> None:
    victim = repository(tmp_path / "victim")
    before = snapshot(victim)
    shutil.rmtree(held.path / ".git")
    (held.path / ".git").symlink_to(victim / ".git")
    report = held.sync("000888")
    assert report.exit_code == 2
    assert "its .git is a link to" in report.message
    assert snapshot(victim) == before


def test_a_submodule_as_git_makes_it_is_taken(held: MirrorOfTest, tmp_path: Path) -> None:
    from dandi_mirror.repo.git.placement import why_strange

    run("git", "clone", "-q", str(held.path), str(tmp_path / "clone"))
    run("git", "-C", str(tmp_path / "clone"), "submodule", "update", "--init", "-q", "000123")
    assert (tmp_path / "clone" / "000123" / ".git").is_file()
    assert why_strange(str(tmp_path / "clone" / "000123")) == ""


def test_a_get_installs_nothing_over_a_member_whose_git_folder_is_a_pipe(
    archive: Archive, mirror: MirrorOfTest
) -> None:
    archive.create_dandiset("000123", name="Mice").add_asset("sub-a/sub-a.nwb", archive.add_blob(b"a"))
    mirror.cli("sync", "000123")
    shutil.rmtree(mirror.path / "000123" / ".git")
    os.mkfifo(mirror.path / "000123" / ".git")
    done = run("dandi-mirror", "get", "000123", "sub-a", cwd=mirror.path, code=2)
    assert "000123/.git is not a git repository; move" in done.stderr
