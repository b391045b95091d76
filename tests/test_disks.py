"""Disks that lack what a mirror needs: file locks, symbolic links."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dandi_mirror.cli.main import cli
from dandi_mirror.embedded import Archive
from dandi_mirror.errors import DiskError
from dandi_mirror.mirror.state.layout import Mirror
from dandi_mirror.model import FindingKind
from tests.conftest import MirrorOfTest, run
from tests.support.dandisets import seed
from tests.support.running import sync


def test_a_disk_without_locks_is_named_in_plain_words_and_nothing_is_written(
    archive: Archive, mirror: MirrorOfTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    dandiset = seed(archive)
    mirror.sync()
    before = mirror.refs()
    dandiset.add_asset("README", archive.add_blob(b"read me\n"))

    def flock(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(fcntl, "flock", flock)
    report = mirror.sync()
    assert report.exit_code == 6
    assert "this disk has no file locks" in report.message
    assert mirror.refs() == before


def test_a_disk_without_symbolic_links_is_refused_before_anything_is_written(
    archive: Archive, mirror: MirrorOfTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    seed(archive)

    def symlink_to(self: Path, target: str, target_is_directory: bool = False) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(Path, "symlink_to", symlink_to)
    with pytest.raises(DiskError, match="this disk has no symbolic links, and a mirror needs them"):
        Mirror(mirror.path).check_disk()
    assert not mirror.path.exists()


def test_a_dry_run_and_a_second_work_tree_are_refused_there_in_the_same_words(
    archive: Archive, mirror: MirrorOfTest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seed(archive).publish(unchecked=True)
    mirror.sync()
    version = next(ref.removeprefix("refs/tags/") for ref in mirror.refs() if ref.startswith("refs/tags/"))

    def symlink_to(self: Path, target: str, target_is_directory: bool = False) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(Path, "symlink_to", symlink_to)
    dry = sync(tmp_path / "new", mirror.server.api_url, "000123", "-n")
    assert dry.code == 6 and "this disk has no symbolic links" in dry.message
    assert not (tmp_path / "new").exists()
    command = ["worktree", f"000123@{version}", str(tmp_path / "old"), "-d", str(mirror.path)]
    with pytest.raises(DiskError, match=r"this disk has no symbolic links.*dandi-mirror download"):
        cli.main(command, standalone_mode=False)
    assert not (tmp_path / "old").exists()


def test_a_disk_that_cannot_make_a_file_read_only_is_refused(
    mirror: MirrorOfTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "chmod", lambda self, mode: None)
    with pytest.raises(DiskError, match="this disk has no file permissions"):
        Mirror(mirror.path).check_disk()


def test_an_adjusted_branch_is_refused_by_name_until_the_branch_is_checked_out_again(
    archive: Archive, mirror: MirrorOfTest
) -> None:
    dandiset = seed(archive)
    mirror.sync()
    folder = mirror.path / "000123"
    run("git", "-C", str(folder), "annex", "adjust", "--unlock")
    dandiset.add_asset("README", archive.add_blob(b"read me\n"))

    report = mirror.sync()

    assert report.exit_code == 3
    (finding,) = [finding for finding in report.findings if finding.kind is FindingKind.WORKTREE]
    assert "adjusted/draft(unlocked)" in finding.reason
    assert f"git -C {folder} checkout draft" in finding.reason
    assert not (folder / "README").exists()
    assert mirror.git("show", "draft:README") == "read me"
    assert "up to date" not in mirror.cli("status", "000123", code=3).stdout

    run("git", "-C", str(folder), "checkout", "draft")
    dandiset.add_asset("README.2", archive.add_blob(b"more\n"))
    assert mirror.sync().exit_code == 0
    assert (folder / "README").read_text() == "read me\n"


# --- every program of a run meets the disk ------------------------------------------------------------------


Without = Callable[[str], dict[str, str]]
"""The environment in which a disk lacks some calls, for dandi-mirror and for git and git-annex under it."""


@pytest.fixture(scope="session")
def without(tmp_path_factory: pytest.TempPathFactory) -> Without:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if not compiler or not sys.platform.startswith("linux"):
        pytest.skip("there is no C compiler, or no LD_PRELOAD")
    library = tmp_path_factory.mktemp("disk") / "without.so"
    source = Path(__file__).parent / "support" / "disk_without.c"
    run(compiler, "-shared", "-fPIC", "-o", str(library), str(source), "-ldl")
    return lambda calls: {"LD_PRELOAD": str(library), "DISK_WITHOUT": calls}


def test_without_locks_a_sync_is_refused_and_get_and_download_work(
    archive: Archive, mirror: MirrorOfTest, without: Without, tmp_path: Path
) -> None:
    dandiset = seed(archive)
    mirror.sync()
    before = mirror.refs()
    dandiset.add_asset("README", archive.add_blob(b"read me\n"))
    assert "this disk has no file locks" in mirror.cli("sync", code=6, env=without("flock")).stderr
    assert mirror.refs() == before
    for command in (["get", "000123/sub-0/"], ["download", "000123/sub-1/", "-o", "out"]):
        run("dandi-mirror", *command, "-d", str(mirror.path), cwd=tmp_path, env=without("flock"))
    assert (tmp_path / "000123/sub-0/sub-0_ses-1_ecephys.nwb").read_bytes() == b"content 0"


def test_without_hard_links_everything_works(archive: Archive, mirror: MirrorOfTest, without: Without) -> None:
    seed(archive)
    mirror.cli("sync", "000123", "--get", "sub-0/*", env=without("hardlink"))
    assert mirror.cli("status", env=without("hardlink")).stdout.startswith("000123  up to date")
    assert (mirror.path / "000123/sub-0/sub-0_ses-1_ecephys.nwb").read_bytes() == b"content 0"


def test_without_links_a_sync_is_refused_and_a_clone_gets_content_in_plain_files(
    archive: Archive, mirror: MirrorOfTest, without: Without, tmp_path: Path
) -> None:
    seed(archive)
    mirror.sync()
    crippled = without("symlink,hardlink")
    other = MirrorOfTest(tmp_path / "other", mirror.server)
    assert "this disk has no symbolic links" in other.cli("sync", "000123", code=6, env=crippled).stderr
    assert not (other.path / "000123").exists()
    for _ in range(2):
        run("dandi-mirror", "get", "000123/sub-0/", "-d", str(mirror.path), cwd=tmp_path, env=crippled)
    file = tmp_path / "000123/sub-0/sub-0_ses-1_ecephys.nwb"
    assert file.read_bytes() == b"content 0" and not file.is_symlink()
    run("dandi-mirror", "download", "000123/sub-1/", "-d", str(mirror.path), "-o", "out", cwd=tmp_path, env=crippled)
