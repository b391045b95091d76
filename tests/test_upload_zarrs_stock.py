"""An upload of a Zarr ends as one by the stock client, with the same checksum and the same record."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from dandi_mirror.embedded import Archive, Dandiset
from tests.support.credentials import TOKEN
from tests.support.dandi_client import dandi
from tests.support.uploading import Person, me, mine, token
from tests.support.zarr_folders import sent_entries, write_ome
from tests.support.zarrs import checksum
from tests.support.zarrs import files_of as chunks

__all__ = ["me", "mine", "token"]

IMAGE = "sub-m1/sub-m1_image.ome.zarr"
OF_ITS_OWN = {"id", "identifier", "contentUrl", "dateModified", "path"}
"""Fields of a record that differ between two uploads of the same folder by the same client."""


def _stock_upload(me: Person, folder: Path, dandiset: str, *more: str) -> None:
    """``dandi upload`` of all that is in a folder."""
    (folder / "dandiset.yaml").write_text(f"identifier: '{dandiset}'\n")
    key = {f"{urlsplit(me.server.api_url).netloc}_API_KEY": TOKEN, "DANDI_DEVEL": "1"}
    done = dandi(folder, "upload", "-i", me.server.api_url, "--validation", "skip", "--existing", "refresh", *more,
                 str(folder), **key)  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]


def _record(dandiset: Dandiset, path: str) -> dict[str, Any]:
    asset = dandiset.draft.asset_at(path)
    assert asset
    record = {name: value for name, value in asset.metadata.items() if name not in OF_ITS_OWN}
    for activity in record.get("wasGeneratedBy", []):
        activity.pop("id", None)
        activity.pop("startDate", None)
        activity.pop("endDate", None)
    return record


@pytest.mark.parametrize(
    ("bids", "form"),
    [
        pytest.param(False, 3, id="alone-3"),
        pytest.param(True, 2, id="in BIDS-2"),
        pytest.param(False, 2, id="alone-2", marks=pytest.mark.slow),
        pytest.param(True, 3, id="in BIDS-3", marks=pytest.mark.slow),
    ],
)
def test_the_stock_client_ends_in_the_same_checksum_and_record(
    me: Person, mine: Dandiset, archive: Archive, tmp_path: Path, form: int, bids: bool
) -> None:
    path = "sub-01/micr/sub-01_sample-A_SPIM.ome.zarr" if bids else IMAGE
    write_ome(me.folder / path, form)
    me.write(f"{path}/.DS_Store", b"a leftover")
    if bids:
        me.write("dataset_description.json", b'{"Name": "a study", "BIDSVersion": "1.9.0"}')
    other = archive.create_dandiset("000124", owners=("me@example.org",))
    stock = tmp_path / "stock"
    shutil.copytree(me.folder / path, stock / path)  # with the times of folders
    if bids:
        (stock / "dataset_description.json").write_text('{"Name": "a study", "BIDSVersion": "1.9.0"}')
    _stock_upload(me, stock, "000124")
    assert me.upload(include=()).failures == {}
    theirs, ours = _record(other, path), _record(mine, path)
    assert ours == theirs
    assert ours["digest"]["dandi:dandi-zarr-checksum"] == checksum(chunks(me.folder / path))


def test_what_the_stock_client_has_sent_is_not_sent_again_and_the_reverse(
    me: Person, mine: Dandiset, tmp_path: Path
) -> None:
    folder = write_ome(me.folder / IMAGE)
    shutil.copytree(folder, (stock := tmp_path / "stock") / IMAGE)
    _stock_upload(me, stock, "000123")
    me.server.requests.clear()
    assert me.upload().planned.plan.changes == []
    assert me.writes() == []
    (folder / "0" / "0.0").write_bytes(b"ours")
    me.upload()
    shutil.copytree(folder, stock / IMAGE, dirs_exist_ok=True)
    me.server.requests.clear()
    _stock_upload(me, stock, "000123")
    assert sent_entries(me) == [], "the stock client finds each chunk"
