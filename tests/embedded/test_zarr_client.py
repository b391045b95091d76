"""The stock ``dandi`` client uploads Zarrs to the embedded archive, changes them, lists them and brings them back."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from dandi_mirror.embedded import Archive, Dandiset, Server, Zarr, serve
from tests.support.asking import OWNER
from tests.support.dandi_client import dandi, files
from tests.support.zarrs import checksum, files_of, made_by_zarr

PATHS = {2: "sub-1/sub-1_sample-1_SPIM.ome.zarr", 3: "sub-1/sub-1_sample-2_SPIM.ome.zarr"}


@dataclass
class Lab:
    """A folder with a Dandiset, and the archive to which its owner uploads it."""

    home: Path
    folder: Path
    server: Server
    dandiset: Dandiset

    def dandi(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        key = {f"{self.server.origin.removeprefix('http://')}_API_KEY": OWNER, "DANDI_DEVEL": "1"}
        done = dandi(self.home, *arguments, **key)
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    def upload(self) -> None:
        where = ["-i", self.server.api_url, "--validation", "skip", "--allow-any-path", "-e", "overwrite"]
        self.dandi("upload", *where, str(self.folder))

    def zarr(self, path: str) -> Zarr:
        asset = self.dandiset.draft.asset_at(path)
        assert asset and asset.zarr
        return asset.zarr


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    archive = Archive()
    archive.add_user("owner@nil.nil", OWNER)
    dandiset = archive.create_dandiset("000004", owners=("owner@nil.nil",))
    folder = tmp_path / "000004"
    folder.mkdir()
    (folder / "dandiset.yaml").write_text("identifier: '000004'\n")
    with serve(archive) as server:
        yield Lab(tmp_path, folder, server, dandiset)


@pytest.mark.parametrize("zarr_format", [pytest.param(2, marks=pytest.mark.slow), 3])
def test_what_the_client_uploads_is_there_with_its_checksum_and_comes_back(lab: Lab, zarr_format: int) -> None:
    path = PATHS[zarr_format]
    content = files_of(made_by_zarr(lab.folder / path, zarr_format))
    lab.upload()
    zarr = lab.zarr(path)
    assert zarr.record() == {
        "name": path,
        "dandiset": "000004",
        "zarr_id": zarr.zarr_id,
        "status": "Complete",
        "checksum": checksum(content),
        "file_count": len(content),
        "size": sum(map(len, content.values())),
    }
    asset = lab.dandiset.draft.asset_at(path)
    assert asset
    assert asset.metadata["digest"] == {"dandi:dandi-zarr-checksum": checksum(content)}
    told = [request.path for request in lab.server.requests if "authorization" in request.headers]
    assert told
    assert all(path.startswith("/api/") for path in told), "the key goes to the API only"
    url = f"{lab.server.origin}/dandiset/000004/draft"
    listed = json.loads(lab.dandi("ls", "-f", "json", "-r", url).stdout)
    assert [(entry["path"], entry["size"]) for entry in listed[1:]] == [(path, zarr.size)]
    back = lab.home / "back"
    back.mkdir()
    lab.dandi("download", "-o", str(back), url)
    assert files(back / "000004" / path) == content


def test_a_changed_folder_changes_the_same_zarr_and_its_old_state_can_still_be_read(lab: Lab) -> None:
    path = PATHS[2]
    folder = made_by_zarr(lab.folder / path, 2)
    lab.upload()
    zarr, before = lab.zarr(path), files_of(folder)
    old = {name: zarr.files.versions(name)[0] for name in before}
    (folder / "0" / "0.0").write_bytes(b"other bytes")
    shutil.rmtree(folder / "1")
    lab.server.requests.clear()
    lab.upload()
    after = files_of(folder)
    assert lab.zarr(path) is zarr
    assert zarr.checksum == checksum(after)
    assert {name: zarr.files[name] for name in zarr.files}.keys() == after.keys()
    sent = [r.path for r in lab.server.requests if r.method == "PUT" and "/zarr/" in r.path]
    assert [name.rpartition(zarr.zarr_id)[2] for name in sent] == ["/0/0.0"], "only what changed is sent"
    for name in ("0/0.0", "1/.zarray"):
        assert old[name] in zarr.files.versions(name)


def test_the_client_uploads_an_nwb_zarr_as_one_asset(lab: Lab) -> None:
    """As hdmf-zarr writes one: a group of type NWBFile, with links and specifications beside the arrays."""
    path = "sub-1/sub-1_ses-1_ecephys.nwb.zarr"
    folder = made_by_zarr(lab.folder / path, 2)
    for name in (".zattrs", ".zmetadata"):
        record = json.loads((folder / name).read_text())
        attributes = record["metadata"][".zattrs"] if name == ".zmetadata" else record
        attributes |= {"neurodata_type": "NWBFile", "namespace": "core", "nwb_version": "2.8.0", ".specloc": "spec"}
        (folder / name).write_text(json.dumps(record))
    lab.upload()
    assert [asset.path for asset in lab.dandiset.draft] == [path]
    assert lab.zarr(path).checksum == checksum(files_of(folder))
