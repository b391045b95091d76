"""``get`` of a Zarr killed at any moment: no array opens that is not whole, and the next run completes.

Sixty kills of either format: ``python -m pytest -m slow tests/crash/test_get_zarrs.py``.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from hashlib import md5
from pathlib import Path
from typing import Any

import pytest

from dandi_mirror.embedded import Archive
from tests.conftest import MirrorOfTest, run
from tests.support.moments import reaches
from tests.support.plain_zarrs import PATH, synced, truth
from tests.support.zarrs import files_of

np = pytest.importorskip("numpy")
zarr_python = pytest.importorskip("zarr")

LEVELS = {"0": 12, "1": 8}
"""Arrays, and their chunks in each direction."""
CONNECTIONS = 4


def made(folder: Path, zarr_format: int) -> dict[str, bytes]:
    root = zarr_python.open_group(str(folder), mode="w", zarr_format=zarr_format)
    for level, chunks in LEVELS.items():
        array = root.create_array(level, shape=(4 * chunks, 4 * chunks), chunks=(4, 4), dtype="int32")
        array[...] = 1 + np.arange(array.size, dtype="int32").reshape(array.shape)
    return files_of(folder)


@pytest.mark.parametrize(
    ("zarr_format", "kills"),
    [(2, 3), *(pytest.param(*case, marks=pytest.mark.slow) for case in ((3, 3), (2, 60), (3, 60)))],
)
def test_a_get_of_a_zarr_that_is_killed_again_and_again_lets_no_array_open_that_is_not_whole(
    archive: Archive, mirror: MirrorOfTest, tmp_path: Path, zarr_format: int, kills: int
) -> None:
    files = made(tmp_path / "made", zarr_format)
    synced(archive, mirror, files)
    pick, clone, struck, tried, takes, opened = random.Random(kills), tmp_path / "clone", 0, 0, 2.0, 0
    while struck < kills:
        fresh(mirror, clone)
        while struck < kills:
            assert tried < 3 * kills + 20, f"{struck} of {tried} kills struck; {kills} were wanted"
            tried += 1
            child = begun(mirror, clone)
            if reaches(child, pick.uniform(0.1, 1.0) * takes):
                os.killpg(child.pid, signal.SIGKILL)
            if child.wait() == 0:
                takes *= 0.8
                break
            assert child.returncode == -signal.SIGKILL
            struck += 1
            opened += check(clone / PATH)
        done = subprocess.run(command(mirror), cwd=clone, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert check(clone / PATH) == 2 * len(LEVELS)
        assert {path: (clone / PATH / path).read_bytes() for path in files} == files
        assert run("git", "status", "--porcelain", cwd=clone).stdout == ""
        run("git", "annex", "fsck", "--quiet", "--fast", cwd=clone / PATH)
    assert opened < 2 * len(LEVELS) * kills, "some of the kills came before the arrays were whole"


def command(mirror: MirrorOfTest) -> list[str]:
    return [sys.executable, "-m", "dandi_mirror", "get", PATH, "-J", str(CONNECTIONS), "-i", mirror.server.api_url]


def begun(mirror: MirrorOfTest, clone: Path) -> subprocess.Popen[bytes]:
    """A get in a process group of its own, so that what it starts is killed with it."""
    return subprocess.Popen(
        command(mirror), cwd=clone, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )


def fresh(mirror: MirrorOfTest, clone: Path) -> None:
    if clone.exists():
        run("chmod", "-R", "u+w", str(clone))
        run("rm", "-rf", str(clone))
    mirror.git_clone(clone)


def check(folder: Path) -> int:
    """Whatever opens is the truth, and whatever is present is whole; how many ways to an array open."""
    for path in folder.rglob("*"):
        if path.is_symlink() and path.is_file():
            assert md5(path.read_bytes()).hexdigest() in path.readlink().name
    return sum(map(truth, ways(folder)))


def ways(folder: Path) -> list[Any]:
    """The arrays that open, directly and by their group; each must be the truth."""
    found: list[Any] = []
    for level in LEVELS:
        for above in ("", level):
            try:
                opened = zarr_python.open(str(folder / above), mode="r")
                found.append(opened if above else opened[level])
            except (KeyError, OSError, ValueError):
                continue
    assert all(map(truth, found))
    return found
