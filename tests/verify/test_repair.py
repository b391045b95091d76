"""What ``verify --repair`` makes of each seeded corruption: a mirror in which nothing differs, with the same tags."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

import pytest

from dandi_mirror.embedded import Archive
from tests.conftest import MirrorOfTest
from tests.verify.campaign import REPAIRED, check_repaired, repaired_in_spite_of_kills
from tests.verify.corruptions import CORRUPTIONS, VERSION

ONE_OF_EACH_KIND = [
    "lose an object", "flip the pack", "lose the branch", "move a tag", "lead a link to another key",
    "add a foreign url", "flip content", "cut the index of git", "register another commit", "lose the superdataset",
    "spoil the index", "cut a manifest", "lose the pack of a zarr", "add a foreign url to a chunk",
    "change the gitlink of a zarr", "flip a chunk", "name another state in the modules",
]  # fmt: skip


@pytest.mark.parametrize("name", ONE_OF_EACH_KIND)
def test_a_corruption_is_repaired(name: str, healthy: MirrorOfTest, tmp_path: Path) -> None:
    check_repaired(name, 1, healthy, tmp_path / "mirror")


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 4))
@pytest.mark.parametrize("name", REPAIRED)
def test_every_corruption_is_repaired_but_those_that_a_person_decides_about(
    name: str, seed: int, healthy: MirrorOfTest, tmp_path: Path
) -> None:
    check_repaired(name, seed, healthy, tmp_path / "mirror")


def test_an_old_lock_that_git_left_behind_is_removed(healthy: MirrorOfTest, tmp_path: Path) -> None:
    shutil.copytree(healthy.path, tmp_path / "mirror", symlinks=True)
    mirror, lock = MirrorOfTest(tmp_path / "mirror", healthy.server), tmp_path / "mirror/000123/.git/index.lock"
    lock.write_bytes(b"")
    mirror.cli("verify", "000123", "--repair", code=7)
    assert lock.exists()
    os.utime(lock, (0, 0))
    mirror.cli("verify", "000123", "--repair")
    assert not lock.exists()


def test_a_dry_run_shows_the_steps_and_changes_nothing(healthy: MirrorOfTest, tmp_path: Path) -> None:
    shutil.copytree(healthy.path, tmp_path / "mirror", symlinks=True)
    mirror = MirrorOfTest(tmp_path / "mirror", healthy.server)
    CORRUPTIONS["lose a tag"](mirror.path / "000123", random.Random(1))
    refs = mirror.refs()
    shown = mirror.cli("verify", "000123", "--repair", "-n", code=7).stdout
    assert "000123  build 000123 again beside it, and take the damaged parts from there\n" in shown
    assert mirror.refs() == refs


def test_a_version_that_the_archive_has_rewritten_is_named_and_its_tag_stays(
    archive: Archive, mirror: MirrorOfTest
) -> None:
    made = archive.create_dandiset("000123")
    made.add_asset("a.nwb", archive.add_blob(b"a"))
    made.publish(VERSION, created="2024-01-01T00:00:00Z")
    mirror.cli("sync", "000123")
    tag = mirror.git("rev-parse", VERSION)
    made.versions[VERSION].given["name"] = "another name"
    done = mirror.cli("verify", "--repair", code=7)
    assert f"refs/tags/{VERSION}: the tag points to" in done.stdout
    assert f"dandi-mirror sync 000123 --accept-changed {VERSION}" in done.stdout
    assert mirror.git("rev-parse", VERSION) == tag


@pytest.mark.parametrize("name", ["lose the pack", "flip content"])
def test_a_repair_that_is_killed_is_completed_by_the_next(name: str, healthy: MirrorOfTest, tmp_path: Path) -> None:
    repaired_in_spite_of_kills(name, 1, healthy, tmp_path / "mirror")


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 5))
@pytest.mark.parametrize("name", REPAIRED)
def test_a_repair_may_be_killed_at_any_moment(name: str, seed: int, healthy: MirrorOfTest, tmp_path: Path) -> None:
    repaired_in_spite_of_kills(name, seed, healthy, tmp_path / "mirror")


def test_a_repair_does_not_follow_an_archive_that_suddenly_lists_nothing(
    archive: Archive, mirror: MirrorOfTest
) -> None:
    made = archive.create_dandiset("000123")
    made.add_asset("a.nwb", archive.add_blob(b"a"))
    made.publish(VERSION, created="2024-01-01T00:00:00Z")
    mirror.cli("sync", "000123")
    made.delete_asset("a.nwb")
    CORRUPTIONS["lose a tag"](mirror.path / "000123", random.Random(1))
    done = mirror.cli("verify", "000123", "--repair", code=3)
    assert "the last run was killed" not in done.stdout
    assert "the archive now lists none of 1 mirrored assets" in done.stderr
    assert mirror.asset_paths() == ["a.nwb"]
    assert mirror.git("tag") == VERSION
