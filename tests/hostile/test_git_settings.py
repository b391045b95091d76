"""Settings of a repository that somebody else made or owns: git neither writes elsewhere nor starts their programs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from dandi_mirror.embedded import Archive
from dandi_mirror.repo.git.dataset import Dataset
from dandi_mirror.repo.git.process import git
from dandi_mirror.repo.git.trust import Repository, UntrustedRepository, find_repository, programs_in, why_elsewhere
from tests.conftest import MirrorOfTest, run
from tests.support.dandisets import seed
from tests.support.own_files import snapshot

WORK_TREES = {
    "plain": "[core]\n\tworktree = {victim}\n",
    "other case": "[CORE]\n\tWorkTree={victim}\n",
    "same line": "[core] worktree = {victim}\n",
    "quoted": '[core]\n\tworktree = "{victim}"\n',
    "comment before": "[core] ; worktree\n worktree\t=\t{victim}\n",
}

PROGRAMS = (
    "core.sshCommand", "core.gitProxy", "core.askPass", "core.alternateRefsCommand", "credential.helper",
    "credential.https://x.example.helper", "filter.evil.clean", "filter.annex.smudge", "filter.evil.process",
    "diff.external", "diff.evil.textconv", "merge.evil.driver", "gpg.program", "gpg.ssh.program", "protocol.ext.allow",
    "remote.o.rigin.uploadpack", "remote.origin.receivepack", "remote.origin.vcs", "remote.evil.annex-cost-command",
    "remote.evil.annex-start-command", "remote.evil.annex-shell", "remote.evil.annex-ssh-options",
    "remote.evil.annex-rsync-transport", "remote.evil.annex-hooktype", "annex.evil-retrieve-hook",
    "annex.freezecontent-command", "annex.web-options", "include.path", "includeIf.gitdir:/.path",
)  # fmt: skip

OWNER, READER = 61001, 61002
"""Users that no system has: whoever owns a mirror, and whoever reads in it."""


@pytest.mark.parametrize("way", WORK_TREES)
def test_a_sync_writes_nothing_where_a_datasets_settings_say_its_work_tree_is(
    way: str, archive: Archive, mirror: MirrorOfTest, tmp_path: Path
) -> None:
    dandiset = seed(archive)
    mirror.sync()
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "paper.tex").write_text("mine\n")
    with (mirror.path / "000123" / ".git" / "config").open("a") as config:
        config.write(WORK_TREES[way].format(victim=victim))
    dandiset.add_asset("README", archive.add_blob(b"read me\n"))
    before = snapshot(victim)

    report = mirror.sync()

    assert report.exit_code == 3
    assert "sets core.worktree" in report.message
    assert snapshot(victim) == before


def test_a_work_tree_that_stands_in_the_settings_of_a_work_tree_is_refused_too(tmp_path: Path) -> None:
    run("git", "init", "-q", str(tmp_path / "a"))
    run("git", "-C", str(tmp_path / "a"), "config", "extensions.worktreeConfig", "true")
    (tmp_path / "a" / ".git" / "config.worktree").write_text(f"[core]\n\tworktree = {tmp_path}\n")
    with pytest.raises(UntrustedRepository, match=r"config\.worktree sets core\.worktree"):
        git(tmp_path / "a", "status")


@pytest.mark.parametrize("journal", ["journal", "journal-private"])
def test_a_journal_of_git_annex_that_is_a_link_is_refused_and_the_files_there_stay(
    journal: str, archive: Archive, mirror: MirrorOfTest, tmp_path: Path
) -> None:
    seed(archive)
    mirror.sync()
    clone = tmp_path / "clone"
    run("git", "clone", "-q", str(mirror.path / "000123"), str(clone))
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


def test_a_setting_that_names_the_folder_itself_is_no_harm(tmp_path: Path) -> None:
    run("git", "init", "-q", str(tmp_path / "a"))
    run("git", "-C", str(tmp_path / "a"), "config", "core.worktree", str(tmp_path / "a"))
    assert git(tmp_path / "a", "status", "--porcelain") == b""


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_repository_that_names_a_program_in_its_own_settings_is_refused(name: str, tmp_path: Path) -> None:
    repository = tmp_path / "a"
    run("git", "init", "-q", str(repository))
    ran = tmp_path / "ran"
    run("git", "-C", str(repository), "config", name, f"touch {ran}")
    with pytest.raises(UntrustedRepository, match="can start a program") as raised:
        git(repository, "status")
    assert name.lower() in str(raised.value).lower()
    assert f"git clone --no-local {repository}" in str(raised.value)
    assert not ran.exists()


def test_a_get_starts_no_program_of_a_remote(archive: Archive, mirror: MirrorOfTest, tmp_path: Path) -> None:
    seed(archive)
    mirror.sync()
    clone, ran = tmp_path / "clone", tmp_path / "ran"
    run("git", "clone", "-q", str(mirror.path / "000123"), str(clone))
    run("git", "-C", str(clone), "config", "remote.evil.annex-cost-command", f"touch {ran}; echo 1")
    run("git", "-C", str(clone), "config", "remote.evil.url", str(mirror.path / "000123"))
    done = run("dandi-mirror", "get", str(clone), "-i", mirror.server.api_url, code=None)
    assert done.returncode == 3
    assert "remote.evil.annex-cost-command" in done.stderr
    assert not ran.exists()


def test_what_syncs_and_clones_set_by_themselves_is_not_refused(
    archive: Archive, mirror: MirrorOfTest, tmp_path: Path
) -> None:
    seed(archive)
    mirror.sync()
    clone = tmp_path / "clone"
    run("git", "clone", "-q", str(mirror.path / "000123"), str(clone))
    run("git", "-C", str(clone), "annex", "init")
    for folder in (mirror.path / "000123", clone):
        found = find_repository(folder / "sub-0")
        assert found == Repository(folder, folder / ".git")
        assert programs_in(found) == []
        assert why_elsewhere(found) is None


# --- a mirror that another user owns ----------------------------------------------------------------------------


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that other users can enter."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def chown(folder: Path, user: int) -> None:
    for path in (folder, *folder.rglob("*")):
        os.chown(path, user, user, follow_symlinks=False)
    subprocess.run(["chmod", "-R", "go+rX", folder], check=True)


def as_reader(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python as another user, who may read what the tests' own user may: Python itself may be in root's home."""
    home.mkdir(exist_ok=True)
    os.chown(home, READER, READER)
    who = [f"--reuid={READER}", f"--regid={READER}", "--clear-groups", "--no-new-privs"]
    caps = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    environment = {"HOME": str(home), "PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"}
    environment["PYTHON_KEYRING_BACKEND"] = "keyring.backends.null.Keyring"
    return subprocess.run(
        ["setpriv", *who, *caps, sys.executable, *arguments],
        env=environment, cwd=home, capture_output=True, text=True,
    )  # fmt: skip


needs_root = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("setpriv"), reason="only root can give a file to another user, by setpriv"
)


@needs_root
def test_a_mirror_of_another_user_can_be_read_without_a_setting_of_git(
    archive: Archive, mirror: MirrorOfTest, public: Path
) -> None:
    seed(archive)
    mirror.sync()
    there = public / "mirror"
    shutil.copytree(mirror.path, there, symlinks=True)
    chown(there, OWNER)
    home = public / "home"
    program = ("-m", "dandi_mirror")

    listed = as_reader(home, *program, "ls", "000123", "-d", str(there))
    assert listed.returncode == 0, listed.stderr
    assert "sub-0" in listed.stdout
    status = as_reader(home, *program, "status", "--offline", "-d", str(there))
    assert "000123" in status.stdout
    assert "cat-file ended" not in listed.stderr + status.stderr
    assert not (home / ".gitconfig").exists()

    synced = as_reader(home, *program, "sync", "000123", "-d", str(there), "-i", mirror.server.api_url)
    assert synced.returncode != 0
    assert "unexpected" not in synced.stderr


@needs_root
def test_to_write_in_a_repository_of_another_user_one_command_is_named(public: Path) -> None:
    repository = public / "a"
    run("git", "init", "-q", str(repository))
    chown(repository, OWNER)
    lines = "import pathlib, sys; from dandi_mirror.repo.git.process import git; git(pathlib.Path(sys.argv[1]), 'gc')"
    done = as_reader(public / "home", "-c", lines, str(repository))
    assert f"{repository} belongs to user {OWNER}" in done.stderr
    assert "git config --global --add safe.directory '*'" in done.stderr
