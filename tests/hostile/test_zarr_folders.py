"""A mirror from somebody else in which the folder of a Zarr leads elsewhere: nothing there is read or changed."""

from __future__ import annotations

import shutil
import stat
from pathlib import Path

import pytest

from dandi_mirror.embedded import Archive
from dandi_mirror.mirror.state.layout import Mirror
from dandi_mirror.mirror.sync.permissions import set_zarr_permissions
from dandi_mirror.mirror.verify.zarr_content import content_folders
from dandi_mirror.mirror.zarr.gitmodules import ZarrModule
from dandi_mirror.mirror.zarr.repository import ZarrRepositories, repository_path
from tests.conftest import MirrorOfTest, run
from tests.support.own_files import snapshot
from tests.support.zarrs import a_zarr

ZARR = "6a2f0f40-0000-4000-8000-000000000000"


@pytest.fixture
def private(tmp_path: Path) -> Path:
    """A folder of the user's that no other user may read."""
    folder = tmp_path / "private"
    (folder / "annex").mkdir(parents=True)
    folder.chmod(0o700)
    return folder


@pytest.mark.parametrize("above", [0, 1, 2, 3])
@pytest.mark.parametrize("closed", [True, False])
def test_permissions_are_not_changed_behind_a_link(above: int, closed: bool, private: Path, tmp_path: Path) -> None:
    """The end of an embargo would have opened the folder to every user of the machine."""
    mirror = tmp_path / "mirror"
    place = repository_path(mirror, ZARR).path
    link = [place, *place.parents][above]
    link.parent.mkdir(parents=True)
    link.symlink_to(private)
    inside = private / place.relative_to(link)
    inside.mkdir(parents=True, exist_ok=True)
    inside.chmod(0o755 if closed else 0o700)
    set_zarr_permissions(mirror, ZARR, closed=closed)
    assert stat.S_IMODE(inside.stat().st_mode) == (0o755 if closed else 0o700)


def test_a_repository_that_is_a_link_holds_no_content_of_the_mirror(private: Path, tmp_path: Path) -> None:
    place = repository_path(tmp_path / "mirror", ZARR).path
    place.parent.mkdir(parents=True)
    place.symlink_to(private)
    mirror = Mirror(tmp_path / "mirror")
    assert not ZarrRepositories(mirror.path).exists(ZARR)
    zarr = ZarrModule("x.zarr", ZARR, "0" * 32 + "-1--1")
    assert private not in {folder.resolve() for folder in content_folders(mirror, mirror.dataset("000123"), [zarr])}


def test_verify_names_a_repository_that_is_a_link_and_repair_leaves_the_other_one_alone(
    archive: Archive, mirror: MirrorOfTest, tmp_path: Path
) -> None:
    zarr = a_zarr(archive.create_dandiset("000123"), "sub-1/x.ome.zarr")
    mirror.cli("sync", "000123")
    place = repository_path(mirror.path, zarr.zarr_id).path
    other = tmp_path / "other"
    place.rename(other)
    shutil.rmtree(other / "refs" / "tags")
    place.symlink_to(other)
    for more in ([], ["--content", "1"]):
        found = mirror.cli("verify", *more, code=7).stdout
        assert "a link, a file or another user's folder stands in the place of the repository" in found
        assert "tags" not in found, "nothing of the other one is read"
    before = snapshot(other)
    mirror.cli("verify", "--repair")
    assert not place.is_symlink() and snapshot(other) == before
    mirror.cli("verify")


def test_a_get_touches_no_repository_to_which_a_link_in_place_of_a_zarr_leads(
    archive: Archive, mirror: MirrorOfTest, tmp_path: Path
) -> None:
    a_zarr(archive.create_dandiset("000123"), "sub-1/x.ome.zarr")
    mirror.cli("sync", "000123")
    other = tmp_path / "other"
    run("git", "init", "-q", str(other))
    run("git", "-C", str(other), "commit", "-q", "--allow-empty", "-m", "mine")
    place = mirror.path / "000123" / "sub-1" / "x.ome.zarr"
    place.rmdir()
    place.symlink_to(other)
    before = snapshot(other)
    done = run("dandi-mirror", "get", "000123", "sub-1/x.ome.zarr", cwd=mirror.path, code=None)
    assert done.returncode == 3 and "through a link; remove the link" in done.stderr
    mirror.cli("ls", "000123/sub-1/x.ome.zarr")
    assert snapshot(other) == before


def test_a_link_in_a_dataset_is_no_way_to_another_mirror_or_clone(
    archive: Archive, mirror: MirrorOfTest, tmp_path: Path
) -> None:
    """Somebody else has put the link there; the person named a path of the Dandiset, not the other mirror."""
    a_zarr(archive.create_dandiset("000123"), "sub-1/x.ome.zarr")
    archive.create_dandiset("000456").add_asset("sub-7/secret.nwb", archive.add_blob(b"secret"))
    mirror.cli("sync", "000123")
    other = MirrorOfTest(tmp_path / "other", mirror.server)
    other.cli("sync", "000456")
    place = mirror.path / "000123" / "sub-1" / "x.ome.zarr"
    place.rmdir()
    for leads in (other.path, other.path / "000456"):
        place.symlink_to(leads)
        for folder, name in ((mirror.path, "000123/sub-1/x.ome.zarr"), (mirror.path / "000123", "sub-1/x.ome.zarr")):
            for command in (["ls", name], ["ls", f"{name}/"], ["zarr", "ref", name], ["get", "-n", name]):
                done = run("dandi-mirror", *command, cwd=folder, code=None)
                assert "000456" not in done.stdout + done.stderr and "secret" not in done.stdout + done.stderr, command
        place.unlink()
