"""A repair that is killed while it replaces a dataset, or the repository of a Zarr, is found out and completed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dandi_mirror.mirror.zarr.repository import repository_name
from tests.conftest import MirrorOfTest, run
from tests.support.damaging import loosen
from tests.verify.campaign import check_as_it_was

KILLED = """
import os, signal, sys
from pathlib import Path
left, rename = [int(sys.argv[1])], Path.rename

def counted(self, target):
    if ".dandi-mirror/damaged/" in f"{self} {target}" or f"{target}".endswith("/mirror/000123"):
        left[0] -= 1
        if left[0] < 0:
            os.kill(os.getpid(), signal.SIGKILL)
    return rename(self, target)

Path.rename = counted
sys.argv[1:] = sys.argv[2:]
from dandi_mirror.__main__ import main
sys.exit(main())
"""
"""Runs the program, and kills it before a rename by which something is replaced; argument 1: how many may happen."""


def repair_until(renames: int, mirror: MirrorOfTest) -> bool:
    """Repair, and be killed after so many steps; whether it was killed."""
    command = [sys.executable, "-c", KILLED, str(renames), "verify", "000123", "--content", "1", "--repair"]
    where = ["-d", str(mirror.path), "-i", mirror.server.api_url]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([*command, *where], capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode in {0, -signal.SIGKILL}, done.stdout + done.stderr
    return done.returncode != 0


STEPS = 7
"""The dataset, the new one, its content, and of two Zarrs the repository and the work tree."""


@pytest.mark.parametrize("renames", [1, 2, 4, *(pytest.param(n, marks=pytest.mark.slow) for n in (0, 3, 5, 6, STEPS))])
def test_a_kill_between_two_steps_of_replacing_a_dataset(renames: int, healthy: MirrorOfTest, tmp_path: Path) -> None:
    shutil.copytree(healthy.path, tmp_path / "mirror", symlinks=True)
    mirror = MirrorOfTest(tmp_path / "mirror", healthy.server)
    oid = mirror.git("rev-parse", "draft~1^{tree}")
    loosen(mirror.path / "000123")
    (mirror.path / "000123/.git/objects" / oid[:2] / oid[2:]).unlink()
    killed = repair_until(renames, mirror)
    assert killed is (renames < STEPS), "the number of steps has changed"
    found = mirror.cli("verify", "--content", "1", "--offline", code=7 if killed else 0).stdout
    if 0 < renames < STEPS:
        assert ".dandi-mirror/damaged/000123: a repair was cut off" in found
    mirror.cli("verify", "--content", "1", "--repair")
    mirror.cli("verify", "--content", "1")
    check_as_it_was(mirror, healthy)


@pytest.mark.parametrize("renames", [1, *(pytest.param(number, marks=pytest.mark.slow) for number in (0, 2))])
def test_a_kill_between_two_steps_of_replacing_the_repository_of_a_zarr(
    renames: int, healthy: MirrorOfTest, tmp_path: Path
) -> None:
    shutil.copytree(healthy.path, tmp_path / "mirror", symlinks=True)
    mirror = MirrorOfTest(tmp_path / "mirror", healthy.server)
    mirror.cli("hold", "--max-size", "1T")
    first, *others = sorted((mirror.path / "zarr").glob("*/*/*.git"))
    held = {file.name for file in (first / "annex/objects").rglob("*") if file.is_file()}
    assert held and others
    (first / "HEAD").unlink()
    killed = repair_until(renames, mirror)
    assert killed is (renames < 2), "the number of steps has changed"
    name = repository_name(first.name.removesuffix(".git"))
    if killed:
        found = mirror.cli("verify", "--content", "1", "--offline", code=7).stdout
        assert f"zarr  {name}: " in found
        assert "a repair was cut off before it moved content back" in found or renames == 0
    mirror.cli("verify", "--content", "1", "--repair")
    assert sorted(mirror.cli("verify", "--content", "1").stdout.splitlines()) == ["000123  ok", "000124  ok"]
    assert {file.name for file in (first / "annex/objects").rglob("*") if file.is_file()} == held
    run("git", "-C", str(first), "annex", "fsck", "--quiet", "--all")
