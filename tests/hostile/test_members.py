"""Something else stands where a Dandiset's dataset would be: it is refused by name, and nothing is written to it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dandi_mirror.embedded import Archive
from dandi_mirror.mirror.monitor.status import status_of, words
from dandi_mirror.mirror.monitor.status_word import StatusWord
from dandi_mirror.mirror.search.index import update_index
from dandi_mirror.mirror.state.layout import Mirror
from dandi_mirror.repo.git.git_folder import find_repository
from dandi_mirror.repo.git.placement import why_strange
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


def noted_modules(member: Path, victim: Path) -> None:
    """The repository names the member's folder as its own work tree, as that of a submodule does."""
    noted_git(member, victim)
    run("git", "-C", str(victim), "config", "core.worktree", str(member))


def linked_refs_of_module(member: Path, victim: Path) -> None:
    own = member.parent / ".git" / "modules" / member.name
    own.parent.mkdir()
    run("git", "init", "-q", f"--separate-git-dir={own}", str(member))
    run("git", "-C", str(member), "config", "core.worktree", str(member))
    shutil.rmtree(own / "refs")
    (own / "refs").symlink_to(victim / ".git" / "refs")


def work_tree(member: Path, victim: Path) -> None:
    run("git", "-C", str(victim), "worktree", "add", "-q", "--detach", str(member))


def linked_refs(member: Path, victim: Path) -> None:
    run("git", "init", "-q", str(member))
    shutil.rmtree(member / ".git" / "refs")
    (member / ".git" / "refs").symlink_to(victim / ".git" / "refs")


def common_git(member: Path, victim: Path) -> None:
    run("git", "init", "-q", str(member))
    (member / ".git" / "commondir").write_text(f"{victim}/.git\n")


WAYS = [linked, linked_git, noted_git, noted_modules, linked_refs_of_module, work_tree, linked_refs, common_git]


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
    assert status_of(there, "000888", None).word in {StatusWord.FAILED, StatusWord.MISSING}
    assert update_index(there, lambda dandiset, doing: None).updated == ["000123"]
    assert held.sync("000123", mode="force").exit_code == 0
    assert words(there)["up to date"] == 1
    assert (snapshot(victim), snapshot(member)) == (before, ours)


@pytest.mark.parametrize("way", [linked, linked_git, noted_git, linked_refs])
def test_a_repair_changes_no_other_repository(
    way: Callable[[Path, Path], None], held: MirrorOfTest, tmp_path: Path
) -> None:
    victim = repository(tmp_path / "victim")
    shutil.rmtree(held.path / "000123")
    way(held.path / "000123", victim)
    before = snapshot(victim)
    done = run("dandi-mirror", "verify", "--repair", "000123", "-d", str(held.path), code=None)
    assert done.returncode not in {0, 1}, done.stderr
    assert "000123 is not this mirror's own dataset" in done.stdout + done.stderr
    assert snapshot(victim) == before


@pytest.mark.parametrize("place", ["objects/05", "objects/pack"])
def test_a_repair_puts_no_object_where_a_link_leads(place: str, held: MirrorOfTest, tmp_path: Path) -> None:
    git_dir, victim = held.path / "000123" / ".git", tmp_path / "victim"
    victim.mkdir()
    (git_dir / "HEAD").write_bytes(b"")  # damaged
    shutil.rmtree(git_dir / place, ignore_errors=True)
    (git_dir / place).symlink_to(victim)
    done = run("dandi-mirror", "verify", "--repair", "000123", "-d", str(held.path), code=None)
    assert f".git/{place} is a link, so git would write to another folder" in done.stdout + done.stderr
    assert snapshot(victim) == {}


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
    run("git", "clone", "-q", str(held.path), str(tmp_path / "clone"))
    run("git", "-C", str(tmp_path / "clone"), "submodule", "update", "--init", "-q", "000123")
    assert (tmp_path / "clone" / "000123" / ".git").is_file()
    assert why_strange(str(tmp_path / "clone" / "000123")) == ""


def opened_by(program: str, *arguments: str) -> str:
    """Which files a program of Python opens."""
    lines = "import sys; sys.addaudithook(lambda event, facts: event == 'open' and print(facts[0]))\n"
    return run(sys.executable, "-c", f"{lines}{program}", *arguments).stdout


@pytest.mark.quick
@pytest.mark.parametrize("around", ["nothing", "a repository", "a link", "a note"])
def test_a_repository_elsewhere_that_a_member_names_is_not_opened_at_all(around: str, tmp_path: Path) -> None:
    victim, member = tmp_path / "victim", tmp_path / "mirror" / "000888"
    run("git", "init", "-q", str(victim / ".git" / "modules" / "x"))
    member.mkdir(parents=True)
    top, elsewhere = member.parent / ".git", victim / ".git"
    if around == "a repository":
        run("git", "init", "-q", str(member.parent))
    elif around == "a link":
        top.symlink_to(elsewhere)
    elif around == "a note":
        top.write_text(f"gitdir: {elsewhere}\n")
    (member / ".git").write_text(f"gitdir: {elsewhere}/modules/x/.git\n")
    program = "from dandi_mirror.repo.git.placement import why_strange; print('WHY', why_strange(sys.argv[1]))"
    said = opened_by(program, str(member))
    assert f"WHY its .git is a file that names the repository {victim}" in said
    assert f"\n{victim}" not in said and f"{member}/.git\n" in said


@pytest.mark.quick
def test_a_git_file_that_is_larger_than_any_note_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / ".git").open("wb") as file:
        file.truncate(8 << 30)
    assert why_strange(str(tmp_path)) == "its .git is a file that does not name a repository"
    assert find_repository(tmp_path) is None


def test_a_get_installs_nothing_over_a_member_whose_git_folder_is_a_pipe(
    archive: Archive, mirror: MirrorOfTest
) -> None:
    archive.create_dandiset("000123", name="Mice").add_asset("sub-a/sub-a.nwb", archive.add_blob(b"a"))
    mirror.cli("sync", "000123")
    shutil.rmtree(mirror.path / "000123" / ".git")
    os.mkfifo(mirror.path / "000123" / ".git")
    done = run("dandi-mirror", "get", "000123", "sub-a", cwd=mirror.path, code=2)
    assert "000123/.git is not a git repository; move" in done.stderr


@pytest.mark.parametrize("kind", ["a pipe", "a link to a device", "a link to a file elsewhere"])
def test_a_sync_neither_waits_for_nor_opens_what_stands_in_place_of_a_file_of_a_dataset(
    kind: str, archive: Archive, mirror: MirrorOfTest, tmp_path: Path
) -> None:
    dandiset = archive.create_dandiset("000123", name="Mice")
    dandiset.add_asset("sub-a/a.nwb", archive.add_blob(b"a"))
    mirror.sync()
    record, secret = mirror.path / "000123" / "dandiset.yaml", tmp_path / "secret"
    secret.write_text("mine")
    record.unlink()
    if kind == "a pipe":
        os.mkfifo(record)
    else:
        record.symlink_to("/dev/zero" if kind == "a link to a device" else secret)
    dandiset.add_asset("sub-a/b.nwb", archive.add_blob(b"b"))
    program = (
        "import os, sys; from dandi_mirror.cli.main import main\n"
        "def note(name, facts):\n"
        "    if name == 'open' and not facts[2] & os.O_NOFOLLOW: print('OPENED', os.path.realpath(str(facts[0])))\n"
        "sys.addaudithook(note)\n"
        "main()"
    )
    done = run(sys.executable, "-c", program, "sync", "-d", str(mirror.path), "-i", mirror.server.api_url, code=None)
    assert done.returncode in {0, 3}, done.stderr
    opened = {line.removeprefix("OPENED ") for line in done.stdout.splitlines() if line.startswith("OPENED ")}
    assert opened and not opened & {str(secret), "/dev/zero"}


def test_nothing_is_taken_from_the_last_sync_of_a_dataset_to_which_a_link_leads(
    archive: Archive, mirror: MirrorOfTest, tmp_path: Path
) -> None:
    archive.create_dandiset("000123").add_asset("sub-a/a.nwb", archive.add_blob(b"a"))
    archive.create_dandiset("000456").add_asset("sub-a/a.nwb", archive.add_blob(b"b"))
    mirror.sync()
    other = MirrorOfTest(tmp_path / "other", mirror.server)
    other.sync("000456")
    (mirror.path / "000456").symlink_to(other.path / "000456")
    here = Mirror(mirror.path)
    (here.own / "index.sqlite").unlink()
    assert set(here.remembered()[0].dandisets) == {"000123"}
    assert here.last_sync("000456") is None and not here.has_ref("000456", "refs/heads/draft")
    assert Mirror(other.path).last_sync("000456") is not None


def test_a_folder_elsewhere_to_which_a_link_leads_is_not_listed(held: MirrorOfTest, tmp_path: Path) -> None:
    victim, member = tmp_path / "files", held.path / "000456"
    victim.mkdir()
    (victim / "secret.txt").write_text("mine")
    member.symlink_to(victim)
    program = (
        "import os, sys; from pathlib import Path; from dandi_mirror.mirror.state.damage import held_dandisets\n"
        "from dandi_mirror.mirror.state.layout import Mirror\n"
        "def note(name, facts):\n"
        "    if name == 'os.scandir':\n"
        "        print(os.path.realpath(f'/dev/fd/{facts[0]}' if isinstance(facts[0], int) else facts[0]))\n"
        "sys.addaudithook(note)\n"
        "held_dandisets(Mirror(Path(sys.argv[1])))"
    )
    listed = run(sys.executable, "-c", program, str(held.path)).stdout.splitlines()
    assert str(held.path) in listed and str(victim) not in listed
