"""Settings of a repository that somebody else made or owns: git neither writes elsewhere nor starts their programs."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from dandi_mirror.embedded import Archive
from dandi_mirror.repo.git.git_folder import (
    Repository,
    UntrustedRepository,
    find_repository,
    why_elsewhere,
)
from dandi_mirror.repo.git.process import git
from dandi_mirror.repo.git.trust import programs_in
from tests.conftest import GIT_CONFIG, MirrorOfTest, run
from tests.support.dandisets import seed
from tests.support.own_files import snapshot
from tests.support.users import OWNER, READER, as_user, give, needs_root

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
    "gpg.ssh.defaultKeyCommand", "hook.evil.command", "submodule.sub-1/x.zarr.update",
    "annex.freezecontent-command", "annex.web-options", "include.path", "includeIf.gitdir:/.path",
)  # fmt: skip


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


def test_a_sync_with_nothing_to_do_looks_at_the_settings_all_the_same(
    archive: Archive, mirror: MirrorOfTest, tmp_path: Path
) -> None:
    seed(archive)
    mirror.sync()
    assert mirror.sync().status == "notneeded"
    run("git", "-C", str(mirror.path / "000123"), "config", "core.worktree", str(tmp_path))
    report = mirror.sync()
    assert (report.exit_code, "sets core.worktree" in report.message) == (3, True)
    assert "up to date" not in mirror.cli("status", code=3).stdout


def test_a_work_tree_that_stands_in_the_settings_of_a_work_tree_is_refused_too(tmp_path: Path) -> None:
    run("git", "init", "-q", str(tmp_path / "a"))
    run("git", "-C", str(tmp_path / "a"), "config", "extensions.worktreeConfig", "true")
    (tmp_path / "a" / ".git" / "config.worktree").write_text(f"[core]\n\tworktree = {tmp_path}\n")
    with pytest.raises(UntrustedRepository, match=r"config\.worktree sets core\.worktree"):
        git(tmp_path / "a", "status")


def test_validate_reads_no_file_to_which_a_link_of_a_clone_leads(mirror: MirrorOfTest, tmp_path: Path) -> None:
    seed(mirror.server.archive)
    mirror.sync()
    clone = mirror.git_clone(tmp_path / "clone")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "x.nwb").write_text("mine")
    (clone / "x.nwb").symlink_to(tmp_path / "elsewhere" / "x.nwb")
    (clone / "sub-7").symlink_to(tmp_path / "elsewhere")
    done = run("dandi-mirror", "validate", "--all", ".", cwd=clone, code=3)
    assert "it is a link out of the clone, or below one, and is not read" in done.stdout
    assert "x.nwb" in done.stdout and "HDF5" not in done.stdout.upper()


def test_a_work_tree_that_git_itself_has_linked_is_no_harm(tmp_path: Path) -> None:
    run("git", "init", "-q", str(tmp_path / "a"))
    run("git", "-C", str(tmp_path / "a"), "commit", "-q", "--allow-empty", "-m", "x")
    run("git", "-C", str(tmp_path / "a"), "worktree", "add", "-q", str(tmp_path / "b"))
    assert git(tmp_path / "b", "status", "--porcelain") == b""


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


@pytest.mark.quick
@pytest.mark.parametrize("name", ["post-update-annex", "pre-commit-annex", "freezecontent-annex", "http-headers-annex"])
def test_a_hook_that_git_annex_would_start_is_refused(name: str, tmp_path: Path) -> None:
    run("git", "init", "-q", str(tmp_path / "a"))
    run("git", "-C", str(tmp_path / "a"), "annex", "init", "-q")
    hook = tmp_path / "a" / ".git" / "hooks" / name
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    hook.chmod(0o755)
    (tmp_path / "a" / "file").write_text("x")
    with pytest.raises(UntrustedRepository, match=f"{name} is a program that git-annex would start") as refused:
        git(tmp_path / "a", "annex", "add", "file")
    assert not (tmp_path / "ran").exists()
    run(*str(refused.value).rpartition("move it away: ")[2].split())
    git(tmp_path / "a", "annex", "add", "file")
    assert not (tmp_path / "ran").exists()


@pytest.mark.quick
def test_a_setting_for_the_encoding_of_what_git_says_changes_nothing(tmp_path: Path) -> None:
    run("git", "init", "-q", str(tmp_path / "a"))
    run("git", "-C", str(tmp_path / "a"), "commit", "-q", "--allow-empty", "-m", "x")
    before = git(tmp_path / "a", "log", "--format=%ct")
    run("git", "-C", str(tmp_path / "a"), "config", "i18n.logOutputEncoding", "UTF-16")
    assert git(tmp_path / "a", "log", "--format=%ct") == before


@pytest.mark.quick
@pytest.mark.parametrize(
    "name", ["core.excludesFile", "core.attributesFile", "diff.orderFile", "mailmap.file", "fsck.skipList",
             "commit.template", "blame.ignoreRevsFile", "http.cookieFile"],
)  # fmt: skip
def test_a_setting_that_names_a_pipe_is_refused_before_git_waits_for_it(name: str, tmp_path: Path) -> None:
    run("git", "init", "-q", str(tmp_path / "a"))
    (tmp_path / "file").write_text("")
    run("git", "-C", str(tmp_path / "a"), "config", name, str(tmp_path / "file"))
    git(tmp_path / "a", "status")
    os.mkfifo(tmp_path / "pipe")
    for value in (str(tmp_path / "pipe"), "../pipe", "/dev/zero"):
        run("git", "-C", str(tmp_path / "a"), "config", name, value)
        with pytest.raises(UntrustedRepository, match=f"set {name.lower()} to a pipe or a device"):
            git(tmp_path / "a", "status")


def test_settings_that_are_too_long_to_search_are_refused(tmp_path: Path) -> None:
    repository, ran = tmp_path / "a", tmp_path / "ran"
    run("git", "init", "-q", str(repository))
    with (repository / ".git" / "config").open("a") as settings:
        settings.write("# nothing\n" * (5 << 20 >> 3) + f"[core]\n\tsshCommand = touch {ran}\n")
    with pytest.raises(UntrustedRepository, match="is larger than 4 MiB"):
        git(repository, "status")
    assert not ran.exists()


def test_a_get_starts_no_program_of_a_remote(archive: Archive, mirror: MirrorOfTest, tmp_path: Path) -> None:
    seed(archive)
    mirror.sync()
    clone, ran = tmp_path / "clone", tmp_path / "ran"
    mirror.git_clone(clone)
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
    clone = mirror.git_clone(tmp_path / "clone")
    run("git", "-C", str(clone), "annex", "init")
    for folder in (mirror.path / "000123", clone):
        found = find_repository(folder / "sub-0")
        assert found == Repository(folder, folder / ".git")
        assert programs_in(found) == []
        assert why_elsewhere(found) is None


# --- a mirror that another user owns ----------------------------------------------------------------------------


@needs_root
def test_a_mirror_of_another_user_can_be_read_without_a_setting_of_git(
    archive: Archive, mirror: MirrorOfTest, public: Path
) -> None:
    seed(archive)
    mirror.sync()
    there = public / "mirror"
    shutil.copytree(mirror.path, there, symlinks=True)
    give(there, OWNER)
    home = public / "home"
    program = (sys.executable, "-m", "dandi_mirror")

    listed = as_user(READER, home, *program, "ls", "000123", "-d", str(there))
    assert listed.returncode == 0, listed.stderr
    assert "sub-0" in listed.stdout
    status = as_user(READER, home, *program, "status", "--offline", "-d", str(there))
    assert "000123" in status.stdout
    assert "cat-file ended" not in listed.stderr + status.stderr
    assert (home / ".gitconfig").read_text() == GIT_CONFIG

    synced = as_user(READER, home, *program, "sync", "000123", "-d", str(there), "-i", mirror.server.api_url)
    assert synced.returncode != 0
    assert "unexpected" not in synced.stderr


@needs_root
def test_to_write_in_a_repository_of_another_user_one_command_is_named(public: Path) -> None:
    repository = public / "a"
    run("git", "init", "-q", str(repository))
    give(repository, OWNER)
    lines = "import pathlib, sys; from dandi_mirror.repo.git.process import git; git(pathlib.Path(sys.argv[1]), 'gc')"
    done = as_user(READER, public / "home", sys.executable, "-c", lines, str(repository))
    assert f"{repository} belongs to user {OWNER}" in done.stderr
    assert "git config --global --add safe.directory '*'" in done.stderr
