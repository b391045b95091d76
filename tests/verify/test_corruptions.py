"""Each seeded corruption of a mirror is found and named, and nothing is named in the dataset beside it."""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path

import pytest

from dandi_mirror.archive.api.client import ArchiveClient
from dandi_mirror.archive.http.session import Session
from dandi_mirror.mirror.state.layout import Mirror
from dandi_mirror.mirror.state.options import Options
from dandi_mirror.mirror.verify.dataset import Checks, DatasetToVerify, verify_dataset
from dandi_mirror.repo.git.dataset import Dataset, Tree
from tests.conftest import MirrorOfTest
from tests.verify.campaign import check_named, corrupted, differences
from tests.verify.corruptions import CORRUPTIONS

SOME = list(CORRUPTIONS)[::4]
"""Those of the suite; the long form takes all."""
SEEDS = (1, 2, 3)


def test_there_are_more_than_a_hundred_kinds() -> None:
    assert len(CORRUPTIONS) >= 105


def test_the_mirror_that_is_damaged_below_is_healthy(healthy: MirrorOfTest, tmp_path: Path) -> None:
    shutil.copytree(healthy.path, tmp_path / "mirror", symlinks=True)
    found = differences(MirrorOfTest(tmp_path / "mirror", healthy.server))
    assert found == {"000123": [], "000124": [], "superdataset": []}


@pytest.mark.parametrize("name", SOME)
def test_a_corruption_is_named(name: str, healthy: MirrorOfTest, tmp_path: Path) -> None:
    check_named(name, 1, healthy, tmp_path / "mirror")


def test_a_difference_says_what_to_type_for_this_dandiset(healthy: MirrorOfTest, tmp_path: Path) -> None:
    mirror = corrupted("add a foreign url", 1, healthy, tmp_path / "mirror")
    (found,) = differences(mirror)["000123"]
    assert found["remedy"] == "dandi-mirror verify 000123 --repair"
    shown = mirror.cli("verify", "000123", "000124", "--offline", code=7).stdout
    assert (
        f"      dandi-mirror verify 000123 --repair -d {mirror.path}\n" in shown
        and "verify 000124 --repair" not in shown
    )


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_corruption_is_named_wherever_it_strikes(name: str, seed: int, healthy: MirrorOfTest, tmp_path: Path) -> None:
    check_named(name, seed, healthy, tmp_path / "mirror")


def test_many_tags_that_no_sync_made_do_not_keep_verify_busy(
    healthy: MirrorOfTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of them counts as a difference; what it leads to is not read."""
    mirror = MirrorOfTest(tmp_path / "mirror", healthy.server)
    shutil.copytree(healthy.path, mirror.path, symlinks=True)
    for number in range(20):
        mirror.git("tag", f"0.299901.{number:04d}", "draft")
    read: list[str] = []
    tree = Dataset.tree

    def counted(dataset: Dataset, commit: str, *folders: str) -> Tree:
        read.append(commit)
        return tree(dataset, commit, *folders)

    monkeypatch.setattr(Dataset, "tree", counted)
    with closing(Session(mirror.server.api_url)) as session:
        chosen = DatasetToVerify(Mirror(mirror.path), "000123", ArchiveClient(session).instance)
    found = [*verify_dataset(chosen, Checks(Options(mode="verify"), archive=False), None, None)]
    assert sum("the tag is not annotated" in one.what for one in found) == 20
    draft = mirror.refs()["refs/heads/draft"]
    assert sum(commit.startswith(draft) for commit in read) < 5, "once for the draft, and not for each tag"
