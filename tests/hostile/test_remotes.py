"""Remotes that stand in a repository's own settings are asked nothing by commands that need no remote."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from dandi_mirror.embedded import Archive
from dandi_mirror.repo.git.process import PartialCloneError, git
from tests.conftest import MirrorOfTest, run
from tests.hostile.repositories.listening import Listener, listening
from tests.support.dandisets import seed


@pytest.fixture
def listener() -> Iterator[Listener]:
    with listening() as made:
        yield made


def remote(repository: Path, name: str, url: str) -> None:
    """A remote that the settings of a repository name; its owner lets git-annex ask this machine."""
    for setting, value in ((f"remote.{name}.url", url), ("annex.security.allowed-ip-addresses", "all")):
        run("git", "-C", str(repository), "config", setting, value)


def blob_lost_by(repository: Path, origin: str) -> str:
    """The id of a blob that a partial clone of ``origin`` lacks."""
    run("git", "init", "-q", str(repository))
    (repository / "a").write_text("x\n")
    run("git", "-C", str(repository), "add", "a")
    run("git", "-C", str(repository), "commit", "-q", "-m", "x")
    blob = run("git", "-C", str(repository), "rev-parse", "HEAD:a").stdout.strip()
    (repository / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    for name, value in {
        "core.repositoryformatversion": "1", "extensions.partialClone": "origin", "remote.origin.promisor": "true",
        "remote.origin.url": origin,
    }.items():  # fmt: skip
        run("git", "-C", str(repository), "config", name, value)
    return blob


@pytest.mark.quick
@pytest.mark.parametrize("transport", ["http", "file", "ssh"])
def test_what_a_partial_clone_lacks_is_asked_of_nobody(
    transport: str, listener: Listener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran, other = tmp_path / "ran", tmp_path / "other"
    monkeypatch.setenv("GIT_SSH_COMMAND", f"touch {ran};")
    run("git", "init", "-q", "--bare", str(other))
    urls = {"http": f"{listener.origin}/promised", "file": f"file://{other}", "ssh": "ssh://evil.example/x"}
    blob = blob_lost_by(tmp_path / "a", urls[transport])
    with pytest.raises(PartialCloneError, match=r"this is a partial clone.*fetch --refetch --no-filter"):
        git(tmp_path / "a", "cat-file", "blob", blob)
    assert (listener.heard, ran.exists()) == ([], False)


def test_a_command_says_that_a_clone_is_partial_and_its_remedy_works(
    archive: Archive, mirror: MirrorOfTest, tmp_path: Path
) -> None:
    dandiset = seed(archive)
    version = dandiset.publish().version
    dandiset.add_asset("README", archive.add_blob(b"read me\n"))
    mirror.sync()
    source, clone = mirror.path / "000123", tmp_path / "clone"
    run("git", "-C", str(source), "config", "uploadpack.allowFilter", "true")
    run("git", "clone", "-q", "--filter=blob:none", f"file://{source}", str(clone))
    run("git", "-C", str(source), "config", "--unset", "uploadpack.allowFilter")
    said = run("dandi-mirror", "ls", f"000123@{version}", "-d", str(clone), code=3).stderr
    assert f"{clone}: this is a partial clone, and git would ask its remote (file)" in said
    remedy = said.partition("its history: ")[2].strip()
    subprocess.run(remedy, shell=True, check=True, capture_output=True)
    assert "sub-0" in run("dandi-mirror", "ls", f"000123@{version}", "-d", str(clone)).stdout


@pytest.mark.quick
@pytest.mark.parametrize("name", ["evil", "ev=il", "e.vil"])
def test_git_annex_asks_no_remote_for_what_it_knows_by_itself(name: str, listener: Listener, tmp_path: Path) -> None:
    repository = tmp_path / "a"
    run("git", "init", "-q", str(repository))
    run("git", "-C", str(repository), "annex", "init", "-q")
    remote(repository, name, f"{listener.origin}/asked")
    git(repository, "annex", "find", "--in=here")
    git(repository, "annex", "init", "--quiet")
    assert listener.heard == []


def test_a_worktree_asks_no_remote_that_the_settings_of_a_dataset_name(
    archive: Archive, mirror: MirrorOfTest, listener: Listener, tmp_path: Path
) -> None:
    seed(archive)
    mirror.sync()
    remote(mirror.path / "000123", "evil", f"{listener.origin}/asked")
    run("dandi-mirror", "worktree", "000123@draft", str(tmp_path / "version"), "-d", str(mirror.path))
    assert (tmp_path / "version" / "dandiset.yaml").exists()
    assert listener.heard == []


def test_the_first_get_in_a_clone_of_a_folder_on_this_disk_learns_what_git_annex_calls_it(
    archive: Archive, mirror: MirrorOfTest, tmp_path: Path
) -> None:
    seed(archive)
    mirror.sync()
    clone = tmp_path / "clone"
    run("git", "clone", "-q", str(mirror.path / "000123"), str(clone))
    git(clone, "annex", "init", "--quiet")
    there = run("git", "-C", str(mirror.path / "000123"), "config", "annex.uuid").stdout
    assert run("git", "-C", str(clone), "config", "remote.origin.annex-uuid").stdout == there
