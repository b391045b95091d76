"""Programs that know DANDI, NWB or Zarr, each as its users run it, on a served mirror; the archive is not asked."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from dandi_mirror.embedded import Archive
from tests.conftest import MirrorOfTest, run
from tests.support.dandi_client import dandi, files
from tests.support.nwb import write_nwb
from tests.support.serving_mirrors import asset_ids, get, served
from tests.support.zarrs import a_zarr, files_of, made_by_zarr

NWB, IMAGE = "sub-m1/sub-m1_ses-s1_ecephys.nwb", "sub-m1/sub-m1_image.zarr"
V1 = "0.240101.0000"


@pytest.fixture
def address(archive: Archive, mirror: MirrorOfTest, tmp_path: Path) -> Iterator[str]:
    """The API of a served mirror whose cache has all content; nothing more can come from the archive."""
    dandiset = archive.create_dandiset("000123", name="A test")
    dandiset.add_asset(NWB, archive.add_blob(write_nwb(tmp_path / "made.nwb").read_bytes()))
    zarr = a_zarr(dandiset, IMAGE, files_of(made_by_zarr(tmp_path / "made.zarr", 2)))
    dandiset.publish(V1)
    mirror.cli("sync", "000123")
    with served(mirror) as filling:
        copied = dandi(tmp_path, "download", "-o", str(tmp_path), f"{filling}/dandisets/000123/versions/draft/")
        assert copied.returncode == 0, copied.stdout + copied.stderr
    assert files(tmp_path / "000123")[NWB] == (tmp_path / "made.nwb").read_bytes()
    mirror.server.requests.clear()
    with served(mirror, "--offline") as address:
        assert get(address, "/zarr/")["results"][0]["zarr_id"] == zarr.zarr_id  # type: ignore[index]
        yield address
    assert mirror.server.requests == []


def test_dandi_lists_and_downloads(address: str, tmp_path: Path) -> None:
    listed = dandi(tmp_path, "ls", "-f", "json", f"{address}/dandisets/000123/versions/{V1}/assets/?path=sub-m1/")
    assert listed.returncode == 0, listed.stderr
    assert NWB in listed.stdout and IMAGE in listed.stdout
    whole = dandi(tmp_path, "ls", f"{address}/dandisets/000123/versions/{V1}/")
    assert whole.returncode == 0 and "A test" in whole.stdout, whole.stdout + whole.stderr
    (there := tmp_path / "there").mkdir()
    done = dandi(tmp_path, "download", "-o", str(there), f"{address}/dandisets/000123/versions/{V1}/")
    assert done.returncode == 0, done.stdout + done.stderr
    found = files(there / "000123")
    assert found[NWB] == (tmp_path / "made.nwb").read_bytes()
    made = files_of(tmp_path / "made.zarr")
    assert {path.removeprefix(f"{IMAGE}/"): found[path] for path in found if path.startswith(IMAGE)} == made


def test_dandifs_opens_files_and_goes_into_zarrs(address: str, tmp_path: Path) -> None:
    dandifs = pytest.importorskip("dandifs")
    system = dandifs.DandiFileSystem("000123", "draft", instance=address, use_keyring=False)
    names = [str(name).rpartition("/")[2] for name in system.ls("sub-m1", detail=False)]
    assert sorted(names) == sorted([NWB.rpartition("/")[2], IMAGE.rpartition("/")[2]])
    with system.open(NWB, "rb") as file:
        assert file.read() == (tmp_path / "made.nwb").read_bytes()
        file.seek(1000)
        assert file.read(16) == (tmp_path / "made.nwb").read_bytes()[1000:1016]
    assert system.cat_file(f"{IMAGE}/0/.zarray") == (tmp_path / "made.zarr" / "0" / ".zarray").read_bytes()


def test_pynwb_reads_over_remfile_and_over_fsspec(address: str) -> None:
    remfile = pytest.importorskip("remfile")
    import fsspec
    import h5py
    import pynwb

    url = f"{address}/assets/{asset_ids(address)[NWB]}/download/"
    for opened in (remfile.File(url), fsspec.filesystem("http").open(url, "rb")):
        with h5py.File(opened, "r") as file, pynwb.NWBHDF5IO(file=file, load_namespaces=True) as reader:
            assert reader.read().acquisition["voltage"].data[7] == 7.0


def test_zarr_opens_by_the_api_and_by_webdav(address: str) -> None:
    import zarr

    (entry,) = get(address, "/zarr/")["results"]  # type: ignore[index]
    dav = f"{address.removesuffix('/api')}/dav/000123/{V1}/{IMAGE}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for place in (f"{address}/zarr/{entry['zarr_id']}/content", dav):
            group = zarr.open_group(place, mode="r", zarr_format=2)
            array = group["0"]
            assert array[0, 0] == 1 and array[29, 19] == 600


def test_another_mirror_is_made_of_it(address: str, mirror: MirrorOfTest, tmp_path: Path) -> None:
    hosts = {"DANDI_MIRROR_CONTENT_HOSTS": mirror.server.origin.partition("//")[2]}  # where the bucket of the test is
    run(
        "dandi-mirror", "sync", "000123", "-d", str(tmp_path / "second"), "-i", address, env=hosts, code=3
    )  # "url": of the Zarr
    second = MirrorOfTest(tmp_path / "second", mirror.server)
    assert second.refs()[f"refs/tags/{V1}"] == mirror.refs()[f"refs/tags/{V1}"]
    assert second.git("rev-parse", "draft^{tree}") == mirror.git("rev-parse", "draft^{tree}")
    key = mirror.keys()[NWB]
    assert {url for url in second.urls(key) if "/api/" not in url} == {
        url for url in mirror.urls(key) if "/api/" not in url
    }
