"""``get`` killed at any moment: no corrupt object, the next run completes it, only what was under way comes twice.

Sixty kills: ``python -m pytest -m slow tests/crash/test_get.py``.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest

from dandi_mirror.archive.content.multipart import PART
from dandi_mirror.embedded import Archive, Request
from tests.conftest import MirrorOfTest, run
from tests.crash import mounts
from tests.support.moments import reaches

FILES, SIZE, LARGE = 150, 20_000, 100 << 20
JOBS, PARTS = 4, LARGE // PART + 1


@pytest.mark.parametrize("kills", [4, pytest.param(60, marks=pytest.mark.slow)])
def test_a_get_that_is_killed_again_and_again_completes(
    archive: Archive, mirror: MirrorOfTest, tmp_path: Path, kills: int
) -> None:
    pick = random.Random(kills)
    dandiset = archive.create_dandiset("000123")
    for number in range(FILES):
        dandiset.add_asset(f"sub-{number}/sub-{number}.nwb", archive.add_blob(b"%d" % number * SIZE))
    dandiset.add_asset("sub-large/sub-large.nwb", archive.add_blob(pick.randbytes(1 << 20) * (LARGE >> 20)))
    assert mirror.sync().exit_code == 0
    clone, struck, tried, takes = tmp_path / "clone", 0, 0, 3.0
    while struck < kills:
        _fresh(mirror, clone)
        mirror.server.requests.clear()
        before = struck
        while struck < kills:
            assert tried < 3 * kills + 20, f"{struck} of {tried} kills struck; {kills} were wanted"
            tried += 1
            child = subprocess.Popen(_command(mirror), cwd=clone, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            if reaches(child, pick.uniform(0.1, 1.0) * takes):
                child.send_signal(signal.SIGKILL)
            if child.wait() == 0:
                takes *= 0.7
                break
            assert child.returncode == -signal.SIGKILL
            struck += 1
            _check_objects(clone)
        assert subprocess.run(_command(mirror), cwd=clone, check=False).returncode == 0
        _check_complete(clone)
        # what a kill may cost: what each connection was at
        asked = [request for request in mirror.server.requests if "/blobs/" in request.path]
        assert FILES + PARTS <= len(asked) <= FILES + PARTS + JOBS * (struck - before)


def _command(mirror: MirrorOfTest) -> list[str]:
    return [sys.executable, "-m", "dandi_mirror", "get", ".", "-J", str(JOBS), "-i", mirror.server.api_url]


def _fresh(mirror: MirrorOfTest, clone: Path) -> None:
    if clone.exists():
        run("chmod", "-R", "u+w", str(clone))
        run("rm", "-rf", str(clone))
    mirror.git_clone(clone)
    run("git", "annex", "init", "-q", cwd=clone)


def _objects(clone: Path) -> list[Path]:
    return [path for path in (clone / ".git" / "annex" / "objects").rglob("SHA256E-*") if path.is_file()]


def _check_objects(clone: Path) -> None:
    """Whatever is there is whole."""
    for path in _objects(clone):
        assert sha256(path.read_bytes()).hexdigest() == path.name.partition("--")[2][:64]


def _check_complete(clone: Path) -> None:
    assert len(_objects(clone)) == FILES + 1
    assert run("git", "annex", "find", "--not", "--in=here", cwd=clone).stdout == ""
    run("git", "annex", "fsck", "--quiet", "--fast", cwd=clone)
    assert run("git", "status", "--porcelain", cwd=clone).stdout == ""
    assert list((clone / ".git" / "annex" / "dandi-mirror").iterdir()) == []


def test_a_disk_that_fills_while_content_comes_keeps_what_is_complete(
    archive: Archive, mirror: MirrorOfTest, tmp_path: Path
) -> None:
    if why := mounts.why_not("tmpfs"):
        pytest.skip(why)
    size = 300_000
    _fill(archive, mirror, 40, size)
    (disk := tmp_path / "disk").mkdir()
    with mounts.tmpfs(disk, 64 << 20):
        clone, filler = disk / "clone", disk / "filler"
        _fresh(mirror, clone)
        mirror.server.requests.clear()

        def fill(request: Request) -> None:
            # several ask at a time: the twentieth may come with the next
            if "/blobs/" in request.path and len(_asked(mirror)) >= 20 and not filler.exists():
                free = os.statvfs(disk)
                filler.write_bytes(bytes(max(0, free.f_bavail * free.f_frsize - 5 * size)))

        mirror.server.intercept = fill
        done = subprocess.run(_command(mirror), cwd=clone, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr.count("\n")) == (6, 1), done.stderr
        assert "No space left on device" in done.stderr
        mirror.server.intercept = None
        _check_objects(clone)
        kept = len(_objects(clone))
        assert kept >= 15
        filler.unlink()
        assert subprocess.run(_command(mirror), cwd=clone, check=False).returncode == 0
        assert len(_asked(mirror)) <= 40 + JOBS, "only what was under way came twice"
        assert len(_objects(clone)) == 40
        assert "failed" not in run("git", "annex", "fsck", "--fast", cwd=clone).stdout
        missing = run("git", "annex", "find", "--not", "--in=here", cwd=clone).stdout
        assert missing == ""


def test_what_does_not_fit_is_refused_before_anything_is_asked_for(
    archive: Archive, mirror: MirrorOfTest, tmp_path: Path
) -> None:
    if why := mounts.why_not("tmpfs"):
        pytest.skip(why)
    _fill(archive, mirror, 4, 3_000_000)
    (disk := tmp_path / "disk").mkdir()
    with mounts.tmpfs(disk, 10 << 20):
        _fresh(mirror, disk / "clone")
        mirror.server.requests.clear()
        done = subprocess.run(_command(mirror), cwd=disk / "clone", capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr.count("\n")) == (6, 1), done.stderr
        assert "the download needs 12,000,000 bytes" in done.stderr and "set --max-size" in done.stderr
        assert _asked(mirror) == [] and _objects(disk / "clone") == []
        fits = [*_command(mirror), "--max-size", "7M"]
        assert subprocess.run(fits, cwd=disk / "clone", check=False).returncode == 0
        assert len(_objects(disk / "clone")) == 2


def _fill(archive: Archive, mirror: MirrorOfTest, files: int, size: int) -> None:
    """Mirror a Dandiset of so many files, each of its own content."""
    dandiset = archive.create_dandiset("000123")
    for number in range(files):
        dandiset.add_asset(f"sub-{number}/sub-{number}.nwb", archive.add_blob(b"%3d" % number * (size // 3)))
    assert mirror.sync().exit_code == 0


def _asked(mirror: MirrorOfTest) -> list[str]:
    return [request.path for request in mirror.server.requests if "/blobs/" in request.path]
