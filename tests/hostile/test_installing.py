"""What a clone of somebody's mirror says about where its members and Zarrs come from, and what is made of it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from dandi_mirror.embedded import Archive
from dandi_mirror.errors import PartError
from dandi_mirror.mirror.fetch.zarr_install import WantedZarr, install_zarr
from dandi_mirror.mirror.zarr.gitmodules import ZarrModule
from dandi_mirror.repo.annex.repository import AnnexRepository
from dandi_mirror.repo.git.git_folder import UntrustedRepository
from tests.conftest import MirrorOfTest, run
from tests.hostile.repositories.listening import Listener, listening
from tests.support.dandisets import seed
from tests.support.own_files import snapshot
from tests.support.zarrs import a_zarr

ZARR = "sub-0/x.ome.zarr"


@pytest.fixture
def listener() -> Iterator[Listener]:
    with listening() as made:
        yield made


@pytest.fixture
def clone(archive: Archive, mirror: MirrorOfTest, tmp_path: Path) -> Path:
    """A clone of a mirror, in which no member is installed."""
    seed(archive)
    mirror.sync()
    run("git", "clone", "-q", str(mirror.path), str(tmp_path / "superclone"))
    return tmp_path / "superclone"


@pytest.mark.parametrize("way", ["a candidate", "a module"])
def test_a_member_is_installed_from_no_address_that_the_files_of_a_clone_name(
    way: str, clone: Path, mirror: MirrorOfTest, listener: Listener
) -> None:
    if way == "a candidate":
        setting = f'[datalad "get"]\n\tsubdataset-source-candidate-000evil = {listener.origin}/x\n'
        with (clone / ".datalad" / "config").open("a") as file:
            file.write(setting)
    else:
        modules = clone / ".gitmodules"
        modules.write_text(modules.read_text().replace("./000123", f"{listener.origin}/x"))
    run("git", "-C", str(clone), "commit", "-q", "-a", "-m", "mine")
    said = run("dandi-mirror", "get", "000123", "-i", mirror.server.api_url, cwd=clone, code=3).stderr
    assert listener.heard == [] and not (clone / "000123" / ".git").exists()
    named = (
        "datalad.get.subdataset-source-candidate-000evil"
        if way == "a candidate"
        else f"git clone -- {listener.origin}/x"
    )
    assert named in said


def test_a_member_is_installed_from_beside_the_clones_origin(clone: Path, mirror: MirrorOfTest) -> None:
    run("dandi-mirror", "get", "000123", "-i", mirror.server.api_url, cwd=clone)
    assert (clone / "000123" / "dandiset.yaml").exists()


@pytest.fixture
def wanted(archive: Archive, mirror: MirrorOfTest, tmp_path: Path) -> tuple[AnnexRepository, WantedZarr]:
    """A clone of a dataset, and the Zarr in it that somebody wants."""
    zarr = a_zarr(seed(archive), ZARR)
    mirror.sync()
    made = mirror.git_clone(tmp_path / "clone")
    commit = run("git", "-C", str(made), "rev-parse", f"HEAD:{ZARR}").stdout.strip()
    return AnnexRepository(made), WantedZarr(ZarrModule(ZARR, str(zarr.zarr_id), str(zarr.checksum)), commit)


def test_a_zarrs_repository_that_came_with_the_git_folder_starts_no_program(
    wanted: tuple[AnnexRepository, WantedZarr], mirror: MirrorOfTest, tmp_path: Path
) -> None:
    clone, zarr = wanted
    kept, ran = clone.git_dir / "modules" / ZARR, tmp_path / "ran"
    run("git", "init", "-q", "--bare", str(kept))
    run("git", "-C", str(kept), "config", "filter.evil.smudge", f"touch {ran}")
    (kept / "info" / "attributes").write_text("* filter=evil\n")
    with pytest.raises(UntrustedRepository, match=r"filter\.evil\.smudge"):
        install_zarr(clone, zarr, "000123", mirror.path, frozenset())
    assert not ran.exists()


@pytest.mark.parametrize("place", ["sub-0", ".git/modules", ".git/modules/sub-0"])
def test_a_zarr_is_not_installed_through_a_link(
    place: str, wanted: tuple[AnnexRepository, WantedZarr], mirror: MirrorOfTest, tmp_path: Path
) -> None:
    clone, zarr = wanted
    victim = tmp_path / "victim"
    victim.mkdir()
    before = snapshot(victim)
    link = clone.path / place
    link.parent.mkdir(exist_ok=True)
    shutil.rmtree(link, ignore_errors=True)
    link.symlink_to(victim)
    with pytest.raises(PartError, match=r"leads out of|is a link, so git would write"):
        install_zarr(clone, zarr, "000123", mirror.path, frozenset())
    assert snapshot(victim) == before


def test_a_setting_of_a_clone_starts_no_program_when_a_zarr_is_installed(
    wanted: tuple[AnnexRepository, WantedZarr], mirror: MirrorOfTest, tmp_path: Path
) -> None:
    clone, zarr = wanted
    ran = tmp_path / "ran"
    run("git", "-C", str(clone.path), "config", f"submodule.{ZARR}.update", f"!touch {ran}")
    with pytest.raises(UntrustedRepository, match=r"submodule\.sub-0/x\.ome\.zarr\.update"):
        install_zarr(clone, zarr, "000123", mirror.path, frozenset())
    assert not ran.exists()


def test_a_reference_file_is_not_written_through_a_link(
    wanted: tuple[AnnexRepository, WantedZarr], mirror: MirrorOfTest, tmp_path: Path
) -> None:
    clone, secret = wanted[0], tmp_path / "secret"
    secret.write_text("mine")
    for name in (".ref.json.new", "ref.json"):
        (clone.path / name).symlink_to(secret)
    run("dandi-mirror", "zarr", "ref", ZARR, "-o", "ref.json", "-d", str(mirror.path), cwd=clone.path,
        env={"DANDI_INSTANCE": mirror.server.api_url})  # fmt: skip
    assert secret.read_text() == "mine" and (clone.path / "ref.json").is_file()
