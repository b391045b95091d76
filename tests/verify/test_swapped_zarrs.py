"""The repositories of two Zarrs in each other's place: a sync touches neither, and a repair puts all back."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from tests.conftest import MirrorOfTest, run
from tests.verify.campaign import check_repaired, differences, zarr_refs
from tests.verify.zarr_corruptions import ZARR_CORRUPTIONS, repositories

MIXED = [
    "swap the repositories of two zarrs", "put the repository of another zarr in its place",
    "mix the repositories of two zarrs",
]  # fmt: skip


@pytest.mark.parametrize("name", MIXED)
def test_a_repair_parts_what_belongs_to_two_zarrs(name: str, healthy: MirrorOfTest, tmp_path: Path) -> None:
    check_repaired(name, 1, healthy, tmp_path / "mirror")


def test_a_sync_adds_nothing_to_the_repository_of_another_zarr_and_says_what_to_type(
    healthy: MirrorOfTest, tmp_path: Path
) -> None:
    mirror = _copy_of(healthy, tmp_path)
    ZARR_CORRUPTIONS["swap the repositories of two zarrs"](mirror.path / "000123", random.Random(1))
    before = zarr_refs(mirror.path)
    said = mirror.cli("sync", "000123", "--mode", "force", code=3)
    assert "is the repository of another Zarr" in said.stdout + said.stderr
    assert "dandi-mirror verify --repair" in said.stdout + said.stderr
    assert zarr_refs(mirror.path) == before


def test_content_that_the_mirror_holds_goes_back_to_its_zarr(healthy: MirrorOfTest, tmp_path: Path) -> None:
    mirror = _copy_of(healthy, tmp_path)
    mirror.cli("hold", "000123", "--max-size", "1G")
    before = _held(mirror)
    assert all(before.values())
    ZARR_CORRUPTIONS["swap the repositories of two zarrs"](mirror.path / "000123", random.Random(1))
    mirror.cli("verify", "000123", "--content", "1", "--repair")
    assert _held(mirror) == before
    for repository in repositories(mirror.path / "000123"):
        run("git", "-C", str(repository), "annex", "fsck", "--all", "--quiet")
    assert not any(differences(mirror).values())


def _copy_of(healthy: MirrorOfTest, tmp_path: Path) -> MirrorOfTest:
    shutil.copytree(healthy.path, tmp_path / "mirror", symlinks=True)
    return MirrorOfTest(tmp_path / "mirror", healthy.server)


def _held(mirror: MirrorOfTest) -> dict[str, tuple[str, set[str]]]:
    """For each Zarr git-annex's UUID of its repository, and the keys that are there."""
    found = {}
    for repository in repositories(mirror.path / "000123"):
        uuid = run("git", "-C", str(repository), "config", "annex.uuid").stdout.strip()
        keys = {path.name for path in (repository / "annex/objects").rglob("*") if path.is_file()}
        found[repository.name] = (uuid, keys)
    return found
