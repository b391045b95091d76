"""A mirror or a clone from somebody else, with links where a repair sets things aside: nothing elsewhere is moved."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dandi_mirror.files.not_ours import NotOurs
from dandi_mirror.mirror.state.layout import Mirror
from dandi_mirror.mirror.verify.aside import finish_replacement, folders_aside, lost_dandisets, made_folder_aside
from dandi_mirror.mirror.verify.restore_repository import restore_objects
from dandi_mirror.mirror.verify.restore_zarrs import set_aside
from dandi_mirror.repo.git.dataset import Dataset
from dandi_mirror.repo.git.process import git
from tests.support.own_files import snapshot

ZARR = "6a2f0f40-0000-4000-8000-000000000000"
KEY = "MD5E-s1--d41d8cd98f00b204e9800998ecf8427e"

pytestmark = pytest.mark.quick


@pytest.fixture
def mirror(tmp_path: Path) -> Mirror:
    """A mirror with one dataset without content."""
    place = tmp_path / "mirror" / "000123"
    place.mkdir(parents=True)
    git(place, "init", "--quiet", "--initial-branch", "draft")
    git(place, "commit", "--quiet", "--allow-empty", "-m", "x")
    made = Mirror(tmp_path / "mirror")
    made.make_own()
    return made


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A repository of the user's own, with content that git-annex keeps and a submodule."""
    folder = tmp_path / "victim"
    for place in (folder / ".git" / "annex" / "objects" / "aa" / "bb" / KEY, folder / ".git" / "modules" / "m"):
        place.mkdir(parents=True)
        (place / KEY).write_bytes(b"x")
        (place / "HEAD").write_bytes(b"x")
    return folder


@pytest.mark.parametrize(
    "link",
    ["", "000123", "000123/.git", "000123/.git/annex", "000123/.git/annex/objects", "000123/.git/modules"],
)
def test_a_repair_takes_nothing_back_from_where_a_link_leads(link: str, mirror: Mirror, victim: Path) -> None:
    place = mirror.own.path / "damaged" / link
    place.parent.mkdir(parents=True, exist_ok=True)
    inside = link.removeprefix("000123").strip("/")
    place.symlink_to(victim / inside if link else victim.parent)
    before = snapshot(victim.parent)
    try:
        finish_replacement(mirror, "000123")
    except NotOurs as error:
        assert not link and "is a link" in str(error)
    assert snapshot(victim.parent) == before


def test_a_repair_takes_nothing_back_from_a_repository_that_a_note_names(mirror: Mirror, victim: Path) -> None:
    place = mirror.own.path / "damaged" / "000123"
    place.mkdir(parents=True)
    (place / ".git").write_text(f"gitdir: {victim}/.git\n")
    before = snapshot(victim)
    finish_replacement(mirror, "000123")
    assert snapshot(victim) == before


def test_nothing_is_set_aside_where_a_link_leads(mirror: Mirror, victim: Path) -> None:
    (mirror.own.path / "damaged").symlink_to(victim)
    place = mirror.path / "zarr" / "6a2" / "f0f" / ZARR
    place.mkdir(parents=True)
    before = snapshot(victim)
    asks = (
        lambda: made_folder_aside(mirror),
        lambda: folders_aside(mirror, "000123"),
        lambda: lost_dandisets(mirror),
        lambda: set_aside(mirror, f"zarr/6a2/f0f/{ZARR}"),
    )
    for ask in asks:
        with pytest.raises(NotOurs, match="is a link"):
            ask()
    assert snapshot(victim) == before and place.is_dir()


def test_damaged_objects_are_not_moved_to_where_a_link_leads(mirror: Mirror, victim: Path) -> None:
    dataset = mirror.dataset("000123")
    loose = dataset.git_dir / "objects" / "aa" / ("0" * 38)
    loose.parent.mkdir(exist_ok=True)
    loose.write_bytes(b"damaged")
    (dataset.git_dir / "dandi-mirror-damaged").symlink_to(victim)
    before = snapshot(victim)
    with pytest.raises(NotOurs, match="is a link"):
        restore_objects(dataset, None)
    assert snapshot(victim) == before and loose.exists()


def test_an_object_of_a_sibling_that_is_a_link_is_not_copied(mirror: Mirror, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    sibling = Dataset(tmp_path / "sibling")
    sibling.path.mkdir()
    git(sibling.path, "init", "--quiet")
    link = sibling.git_dir / "objects" / "aa" / ("1" * 38)
    link.parent.mkdir()
    link.symlink_to(tmp_path / "secret")
    restore_objects(mirror.dataset("000123"), sibling)
    assert not os.path.lexists(mirror.dataset("000123").git_dir / "objects" / "aa" / ("1" * 38))


def test_the_manifests_of_a_clone_are_neither_read_nor_written_where_a_link_leads(
    mirror: Mirror, tmp_path: Path
) -> None:
    clone = Mirror(mirror.path / "000123", alone="000123")
    (tmp_path / "victim").mkdir()
    (clone.path / ".git" / "dandi-mirror").symlink_to(tmp_path / "victim")
    for ask in (
        clone.manifests.has,
        clone.manifests.state,
        lambda zarr_id, checksum: clone.manifests.add(zarr_id, checksum, [], "s3"),
    ):
        with pytest.raises(NotOurs, match="is a link"):
            ask(ZARR, f"{'0' * 32}-0--0")
    assert snapshot(tmp_path / "victim") == {}
