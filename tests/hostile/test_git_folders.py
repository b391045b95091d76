"""A git folder that somebody else made: no link in it, and no pipe, leads git elsewhere or makes it wait."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dandi_mirror.embedded import Archive
from dandi_mirror.mirror.fetch.zarr_get import ZarrClone
from dandi_mirror.repo.annex.repository import AnnexRepository
from dandi_mirror.repo.git.dataset import Dataset
from dandi_mirror.repo.git.git_folder import Repository, UntrustedRepository, find_repository, strange_entry
from dandi_mirror.repo.git.process import DamagedError, git
from tests.conftest import MirrorOfTest, run
from tests.support.dandisets import seed
from tests.support.own_files import snapshot
from tests.support.waiting import SOON


@pytest.mark.parametrize("journal", ["journal", "journal-private"])
def test_a_journal_of_git_annex_that_is_a_link_is_refused_and_the_files_there_stay(
    journal: str, archive: Archive, mirror: MirrorOfTest, tmp_path: Path
) -> None:
    seed(archive)
    mirror.sync()
    clone = mirror.git_clone(tmp_path / "clone")
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "thesis.log").write_text("mine\n")
    (clone / ".git" / "annex").mkdir(exist_ok=True)
    (clone / ".git" / "annex" / journal).symlink_to(victim)
    before = snapshot(victim)
    done = run("dandi-mirror", "get", ".", cwd=clone, code=3)
    assert f".git/annex/{journal} is a link" in done.stderr
    assert snapshot(victim) == before


def test_a_head_that_is_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    run("git", "init", "-q", str(tmp_path / "repository"))
    head = tmp_path / "repository" / ".git" / "HEAD"
    head.unlink()
    os.mkfifo(head)
    assert Dataset(tmp_path / "repository").head_branch() == ""


@pytest.mark.quick
@pytest.mark.parametrize(
    "name", ["index", "packed-refs", "info/exclude", "objects/info/alternates", "objects/pack/pack-x.idx", "shallow",
             "annex/index", "refs/heads/draft", "refs/remotes/origin/draft"],
)  # fmt: skip
def test_a_repository_in_which_git_would_wait_for_a_pipe_is_refused(name: str, tmp_path: Path) -> None:
    run("git", "init", "-q", str(tmp_path / "repository"))
    pipe = tmp_path / "repository" / ".git" / name
    pipe.parent.mkdir(parents=True, exist_ok=True)
    pipe.unlink(missing_ok=True)
    os.mkfifo(pipe)
    with pytest.raises(UntrustedRepository, match=f"{name} is a pipe or a device"):
        git(tmp_path / "repository", "status")
    pipe.unlink()
    pipe.symlink_to("/dev/zero")
    with pytest.raises(UntrustedRepository, match=f"{name} is a (pipe or a device|link)"):
        git(tmp_path / "repository", "status")
    pipe.unlink()
    pipe.symlink_to("nothing")
    assert strange_entry(find_repository(tmp_path / "repository") or fail()) is None


def test_doctor_does_not_wait_where_the_git_folder_is_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / ".git")
    program = "from dandi_mirror.repo.git.programs import installed_programs; print(*installed_programs(), sep='\\n')"
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=SOON)
    assert "git-annex" in done.stdout and "unknown" not in done.stdout, done.stderr


@pytest.mark.quick
def test_a_git_folder_that_names_another_as_its_common_folder_is_refused(tmp_path: Path) -> None:
    for name in ("victim", "hostile"):
        run("git", "init", "-q", str(tmp_path / name))
    before = snapshot(tmp_path / "victim")
    (tmp_path / "hostile" / ".git" / "commondir").write_text(f"{tmp_path}/victim/.git\n")
    with pytest.raises(UntrustedRepository, match=r"commondir names .*victim"):
        git(tmp_path / "hostile", "config", "--local", "annex.uuid", "x")
    assert snapshot(tmp_path / "victim") == before


@pytest.mark.quick
@pytest.mark.parametrize("by_link", [True, False], ids=["link", "file"])
def test_a_git_folder_that_leads_to_the_repository_of_another_folder_is_refused(by_link: bool, tmp_path: Path) -> None:
    run("git", "init", "-q", str(tmp_path / "victim"))
    before, own = snapshot(tmp_path / "victim"), tmp_path / "hostile" / ".git"
    own.parent.mkdir()
    if by_link:
        own.symlink_to(tmp_path / "victim" / ".git")
    else:
        own.write_text(f"gitdir: {tmp_path}/victim/.git\n")
    with pytest.raises(UntrustedRepository, match=r"\.git leads to .*victim/\.git, the repository of another folder"):
        git(own.parent, "annex", "init")
    assert snapshot(tmp_path / "victim") == before


@pytest.mark.quick
@pytest.mark.parametrize("name", ["annex", "annex/objects"])
def test_a_folder_of_git_annex_that_is_a_link_elsewhere_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "victim").mkdir()
    run("git", "init", "-q", str(tmp_path / "a"))
    place = tmp_path / "a" / ".git" / name
    place.parent.mkdir(exist_ok=True)
    place.symlink_to(tmp_path / "victim")
    with pytest.raises(UntrustedRepository, match=f"{name} is a link, so git-annex would keep content"):
        git(tmp_path / "a", "annex", "version")


@pytest.mark.quick
@pytest.mark.parametrize(
    "name", ["config", "index", "HEAD", "packed-refs", "objects", "objects/ab", "objects/pack", "refs", "refs/heads",
             "refs/remotes", "refs/heads/draft", "logs", "annex/index", "annex/tmp"],
)  # fmt: skip
def test_a_git_folder_with_a_link_by_which_git_would_write_elsewhere_is_refused(name: str, tmp_path: Path) -> None:
    run("git", "init", "-q", str(tmp_path / "victim"))
    shutil.copytree(tmp_path / "victim", tmp_path / "hostile")
    before = snapshot(tmp_path / "victim")
    place = tmp_path / "hostile" / ".git" / name
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.is_dir():
        shutil.rmtree(place)
    place.unlink(missing_ok=True)
    place.symlink_to(tmp_path / "victim" / ".git" / name)
    with pytest.raises(UntrustedRepository, match=rf"\.git/{name} is a link, so git would write to another folder"):
        git(tmp_path / "hostile", "config", "a.b", "c")
    assert snapshot(tmp_path / "victim") == before


@pytest.mark.quick
def test_links_within_a_git_folder_and_hooks_elsewhere_are_no_harm(tmp_path: Path) -> None:
    run("git", "init", "-q", str(tmp_path / "a"))
    git_dir = tmp_path / "a" / ".git"
    shutil.rmtree(git_dir / "hooks")
    (git_dir / "hooks").symlink_to(tmp_path)
    (git_dir / "refs" / "heads" / "other").symlink_to("draft")
    assert git(tmp_path / "a", "status", "--porcelain") == b""


@pytest.mark.quick
def test_a_gitmodules_that_is_a_link_or_a_pipe_is_refused(tmp_path: Path) -> None:
    run("git", "init", "-q", str(tmp_path / "a"))
    modules = tmp_path / "a" / ".gitmodules"
    modules.symlink_to(tmp_path / "secret.txt")
    with pytest.raises(UntrustedRepository, match=r"\.gitmodules is a link"):
        git(tmp_path / "a", "read-tree", "--empty")
    modules.unlink()
    os.mkfifo(modules)
    with pytest.raises(UntrustedRepository, match=r"\.gitmodules is a pipe"):
        git(tmp_path / "a", "read-tree", "--empty")


@pytest.mark.quick
@pytest.mark.parametrize("name", [".gitattributes", ".gitignore"])
def test_a_work_tree_in_which_git_would_wait_for_a_pipe_is_refused(name: str, tmp_path: Path) -> None:
    run("git", "init", "-q", str(tmp_path / "a"))
    file = tmp_path / "a" / name
    file.symlink_to("/dev/zero")
    git(tmp_path / "a", "status")
    file.unlink()
    os.mkfifo(file)
    with pytest.raises(UntrustedRepository, match=f"{name} is a pipe"):
        git(tmp_path / "a", "status")


@pytest.mark.quick
def test_a_gitmodules_that_names_a_program_is_damage_in_words(tmp_path: Path) -> None:
    run("git", "init", "-q", str(tmp_path / "a"))
    run("git", "-C", str(tmp_path / "a"), "commit", "-q", "--allow-empty", "-m", "x")
    run("git", "-C", str(tmp_path / "a"), "update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},x")
    (tmp_path / "a" / ".gitmodules").write_text('[submodule "x"]\n\tpath = x\n\tupdate = !touch ran\n')
    with pytest.raises(DamagedError, match=r"this git repository is damaged .*submodule\.x\.update"):
        git(tmp_path / "a", "diff-index", "--cached", "HEAD")


@pytest.mark.quick
def test_a_zarrs_repository_that_has_lost_a_state_is_damage_in_words(tmp_path: Path) -> None:
    run("git", "init", "-q", str(tmp_path / "a"))
    with pytest.raises(DamagedError, match=r"damaged \(it has no refs/tags/x"):
        ZarrClone.of(AnnexRepository(tmp_path / "a"), "refs/tags/x")


def fail() -> Repository:
    raise AssertionError


def test_an_upload_from_a_clone_whose_index_is_a_pipe_ends_at_once(mirror: MirrorOfTest, tmp_path: Path) -> None:
    seed(mirror.server.archive)
    mirror.sync()
    clone = mirror.git_clone(tmp_path / "clone")
    (clone / ".git" / "index").unlink()
    os.mkfifo(clone / ".git" / "index")
    for command in (["upload", "-n"], ["upload", "--include", "*"], ["get", "."], ["validate", "--all", "."]):
        began = time.monotonic()
        done = run("dandi-mirror", *command, cwd=clone, code=3, env={"DANDI_INSTANCE": mirror.server.api_url})
        assert ".git/index is a pipe or a device" in done.stdout + done.stderr
        assert time.monotonic() - began < 60
