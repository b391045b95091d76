"""Several ``get`` at once in a clone in which git-annex has never run, as the tasks of a job array start them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dandi_mirror.embedded import Archive
from dandi_mirror.repo.annex import content
from tests.conftest import MirrorOfTest, run
from tests.support.dandisets import seed

MOST = 8


@pytest.fixture
def clone(archive: Archive, mirror: MirrorOfTest, tmp_path: Path) -> Path:
    """A fresh clone of a Dandiset of eight files."""
    seed(archive, MOST)
    assert mirror.sync().exit_code == 0
    run("git", "clone", "-q", str(mirror.path / "000123"), str(tmp_path / "clone"))
    return tmp_path / "clone"


def start(folder: Path, *arguments: str, program: str = "dandi-mirror") -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "dandi_mirror"] if program == "dandi-mirror" else [program]
    return subprocess.Popen(
        [*command, "get", *arguments], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def check_all_is_here(clone: Path, count: int) -> None:
    """git-annex has the content, and says so; there is one UUID, and the remote of the archive's API is enabled."""
    here = run("git", "annex", "find", "--in", "here", cwd=clone).stdout.splitlines()
    assert len(here) == count
    run("git", "annex", "fsck", "--quiet", "--fast", cwd=clone)
    assert run("git", "config", "--get-all", "annex.uuid", cwd=clone).stdout.count("\n") == 1
    assert run("git", "config", "remote.dandiapi.annex-config-uuid", cwd=clone).stdout


@pytest.mark.parametrize("count", [4, MOST])
def test_several_at_once_in_a_fresh_clone_all_succeed(count: int, clone: Path) -> None:
    tasks = [start(clone, f"sub-{number}") for number in range(count)]
    for task in tasks:
        said, _ = task.communicate()
        assert task.returncode == 0, said
    check_all_is_here(clone, count)


def test_content_that_another_run_has_brought_meanwhile_is_there_for_this_one(clone: Path) -> None:
    start(clone, "sub-0").communicate()
    key = run("git", "annex", "find", "--format=${key}", "sub-0", cwd=clone).stdout
    assert list(content.get(clone, [key], None)) == [(key, "")]


def test_beside_stock_datalad_get_succeeds_and_leaves_a_clone_in_which_datalad_works(clone: Path) -> None:
    programs = ("dandi-mirror", "datalad", "dandi-mirror", "datalad")
    tasks = [start(clone, f"sub-{number}", program=program) for number, program in enumerate(programs)]
    ended = [(task.communicate()[0], task.returncode) for task in tasks]
    assert [code for _, code in ended[::2]] == [0, 0], ended
    # two of stock DataLad collide with each other, too: who starts first has to win
    run("datalad", "get", "sub-1", "sub-3", cwd=clone)
    check_all_is_here(clone, 4)


def test_settings_that_another_program_writes_at_that_moment_are_waited_for(clone: Path) -> None:
    lock = clone / ".git/config.lock"
    lock.write_bytes(b"")
    task = start(clone, "sub-0", "-l", "debug")
    assert task.stdout
    tries = (line for line in task.stdout if "annex init" in line)
    next(tries)
    next(tries)
    lock.unlink()
    said, _ = task.communicate()
    assert task.returncode == 0, said
    check_all_is_here(clone, 1)


def test_a_clone_whose_initialisation_was_cut_off_after_the_uuid_is_completed(clone: Path) -> None:
    run("git", "config", "annex.uuid", "11111111-2222-3333-4444-555555555555", cwd=clone)
    run("dandi-mirror", "get", "sub-0", cwd=clone)
    check_all_is_here(clone, 1)


def test_settings_that_stay_locked_are_named_with_the_file(clone: Path) -> None:
    (clone / ".git/config.lock").write_bytes(b"")
    done = run("dandi-mirror", "get", "sub-0", cwd=clone, code=1)
    assert "could not lock config file .git/config" in done.stderr


def test_several_at_once_that_name_a_dandiset_by_its_id_make_one_clone(
    clone: Path, mirror: MirrorOfTest, tmp_path: Path
) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    tasks = [start(folder, f"000123/sub-{number}/", "-d", str(mirror.path)) for number in range(4)]
    ended = [(task.communicate()[0], task.returncode) for task in tasks]
    assert [code for _, code in ended] == [0] * 4, ended
    assert sum("cloned from" in said for said, _ in ended) == 1
    check_all_is_here(folder / "000123", 4)
    assert [path.name for path in folder.iterdir()] == ["000123"], "no half-made clone is left"


def test_several_at_once_in_a_clone_of_the_whole_mirror_install_a_dandiset_once(
    clone: Path, mirror: MirrorOfTest, tmp_path: Path
) -> None:
    top = tmp_path / "all"
    run("git", "clone", "-q", str(mirror.path), str(top))
    tasks = [start(top, f"000123/sub-{number}/", "-d", str(top)) for number in range(4)]
    ended = [(task.communicate()[0], task.returncode) for task in tasks]
    assert [code for _, code in ended] == [0] * 4, ended
    assert sum("installed in" in said for said, _ in ended) == 1
    check_all_is_here(top / "000123", 4)
