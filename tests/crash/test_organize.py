"""``organize -f move`` killed before its calls that change the disk: no file is ever lost, and another run ends it.

Every call of two files: ``python -m pytest -m slow tests/crash/test_organize.py``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from itertools import count
from pathlib import Path

import pytest

from tests.conftest import run
from tests.support.working import Working, clone
from tests.support.zarrs import files_of

__all__ = ["clone"]

CONTENTS = {"sub-m1/sub-m1_ses-s1.nwb": b"one" * 5000, "sub-m1/sub-m1_ses-s2.nwb": b"two" * 5000}
_PROGRAM = """
import sys
from pathlib import Path
from dandi_mirror.repo.annex.repository import AnnexRepository
from dandi_mirror.upload.organize.naming import OrganizeStep
from dandi_mirror.upload.organize.organize import carry_out_steps

clone = AnnexRepository(Path(sys.argv[1]))
clone.read_config()
steps = [OrganizeStep(Path(sys.argv[2], target.rpartition("/")[2]), target, is_zarr=target.endswith(".zarr"))
         for target in sys.argv[3:]]
there = [step for step in steps if step.source.exists()]
assert not [told for told in carry_out_steps(clone, None, there, "move") if told.exit_code]
"""


@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
@pytest.mark.parametrize(
    ("calls", "least"),
    [("unlink", 3), pytest.param("link,unlink,mkdir,rmdir,fsync,syncfs,write", 6, marks=pytest.mark.slow)],
)
def test_a_file_is_whole_at_one_of_its_places_whenever_a_move_is_killed(
    clone: Working, tmp_path: Path, calls: str, least: int
) -> None:
    for when in count(1):
        fresh = tmp_path / f"clone-{when}"
        shutil.copytree(clone.path, fresh, symlinks=True)
        lab = tmp_path / f"lab-{when}"
        lab.mkdir()
        for target, content in CONTENTS.items():
            (lab / target.rpartition("/")[2]).write_bytes(content)
        killed = _run(fresh, lab, f"inject={calls}:signal=SIGKILL:when={when}")
        for target, content in CONTENTS.items():
            places = [lab / target.rpartition("/")[2], fresh / target]
            assert any(place.is_file() and place.read_bytes() == content for place in places), f"call {when}"
        if not killed:
            assert when > least, "there were calls to be killed at"
            break
        assert not _run(fresh, lab)
        assert not list(lab.iterdir()), "the sources are gone"
        for target, content in CONTENTS.items():
            assert (fresh / target).is_symlink() and (fresh / target).read_bytes() == content
        shown = run("git", "-C", str(fresh), "status", "--porcelain", "--untracked-files=all").stdout.splitlines()
        assert shown == [f"A  {target}" for target in CONTENTS], f"call {when}"
        assert not (fresh / ".git" / "dandi-mirror" / "organize").exists()


ZARR = "sub-m1/sub-m1_ses-s1.nwb.zarr"
ENTRIES = {".zgroup": b"{}", "a/0": b"0" * 5000, "a/1": b"1"}


@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
@pytest.mark.parametrize("placed", [False, True], ids=["renamed", "deleted after a copy"])
def test_a_zarr_is_whole_at_one_of_its_places_and_nowhere_in_part_whenever_a_move_is_killed(
    clone: Working, tmp_path: Path, placed: bool
) -> None:
    calls = "rename,renameat,renameat2,unlink,unlinkat,rmdir"
    for when in count(1):
        fresh, lab = tmp_path / f"clone-{when}", tmp_path / f"lab-{when}"
        shutil.copytree(clone.path, fresh, symlinks=True)
        places = [lab / ZARR.rpartition("/")[2], fresh / ZARR]
        for place in places[: 1 + placed]:
            _write(place)
        killed = _run(fresh, lab, f"inject={calls}:signal=SIGKILL:when={when}", ZARR)
        assert any(place.exists() for place in places), f"call {when}"
        assert all(files_of(place) == ENTRIES for place in places if place.exists()), f"call {when}"
        if not killed:
            assert when > 1, "there were calls to be killed at"
            break
        assert not _run(fresh, lab, "", ZARR)
        assert files_of(fresh / ZARR) == ENTRIES and not places[0].exists()


def _write(folder: Path) -> None:
    for path, content in ENTRIES.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)


def _run(clone: Path, lab: Path, inject: str = "", *targets: str) -> bool:
    """Move the files; whether that was killed.  Returns when git-annex has ended, too."""
    strace = ["strace", "-qq", "-o", "/dev/null", "-e", inject] if inject else []
    command = [*strace, sys.executable, "-c", _PROGRAM, str(clone), str(lab), *(targets or CONTENTS)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
    _, errors = child.communicate(timeout=60)
    assert child.returncode in {0, -9, 137}, errors.decode()
    for _ in range(500):
        try:
            os.killpg(child.pid, 0)
        except ProcessLookupError:
            return child.returncode != 0
        time.sleep(0.02)
    raise AssertionError("git-annex did not end")
