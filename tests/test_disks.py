"""Disks that lack what a mirror needs: file locks, symbolic links."""

from __future__ import annotations

import errno
import fcntl
import os

import pytest

from dandi_mirror.embedded import Archive
from dandi_mirror.model import Kind
from tests.conftest import MirrorOfTest, run
from tests.support.dandisets import seed


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
    (finding,) = [finding for finding in report.findings if finding.kind is Kind.WORKTREE]
    assert "adjusted/draft(unlocked)" in finding.reason
    assert f"git -C {folder} checkout draft" in finding.reason
    assert not (folder / "README").exists()
    assert mirror.git("show", "draft:README") == "read me"
    assert "up to date" not in mirror.cli("status", "000123", code=3).stdout

    run("git", "-C", str(folder), "checkout", "draft")
    dandiset.add_asset("README.2", archive.add_blob(b"more\n"))
    assert mirror.sync().exit_code == 0
    assert (folder / "README").read_text() == "read me\n"
