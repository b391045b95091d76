"""Zarrs of any size and number: listed like any other, and nothing is kept for each file."""

from __future__ import annotations

import time

import pytest
import requests

from dandi_mirror.embedded import Archive, Dandiset, Server, generated_zarr, generated_zarrs
from dandi_mirror.embedded.bucket.contents import etag_of
from tests.support.asking import get
from tests.support.s3_lists import page, shown, versions
from tests.support.zarrs import change, checksum


@pytest.mark.parametrize("entries", [0, 1, 3, 5, 100, 1500])
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_generated_zarr_is_as_any_other(server: Server, dandiset: Dandiset, entries: int, zarr_format: int) -> None:
    zarr = generated_zarr(dandiset, "x.ome.zarr", entries, zarr_format=zarr_format, readable=True, chunk_size=50)
    found = list(versions(server.archive.s3_url, prefix=zarr.key))
    assert [entry["Key"].removeprefix(zarr.key) for entry in found] == list(zarr.files)
    assert len(found) == len(zarr.files) == entries
    assert sorted({entry["Key"] for entry in found}) == [entry["Key"] for entry in found]
    assert zarr.checksum == checksum(zarr.files)
    assert zarr.record()["file_count"] == entries
    for entry in found[:: 1 + entries // 20]:
        content = requests.get(f"{server.archive.s3_url}/{entry['Key']}").content
        assert (entry["ETag"], entry["Size"]) == (f'"{etag_of(content)}"', str(len(content)))


def test_a_generated_zarr_can_be_changed(server: Server, dandiset: Dandiset) -> None:
    zarr = generated_zarr(dandiset, "x.ome.zarr", 100, readable=True)
    state, some = zarr.checksum, list(zarr.files)[40:43]
    change(zarr, {some[0]: b"new", some[1]: None, "zz": b"more"})
    assert (zarr.checksum, zarr.checksum != state) == (checksum(zarr.files), True)
    assert len(zarr.files) == 100
    assert len(list(versions(server.archive.s3_url, prefix=zarr.key, **{"max-keys": 7}))) == 103
    answer = get(server, f"/zarr/{zarr.zarr_id}/files/?after={some[0]}&limit=1").json()
    assert answer["results"][0]["Key"] == some[2]


def test_two_archives_may_hold_one_state_under_other_versions(dandiset: Dandiset) -> None:
    other = Archive().create_dandiset(dandiset.identifier)
    made = [generated_zarr(held, "x.zarr", 30, versions=str(n)) for n, held in enumerate((dandiset, other))]
    assert made[0].record() == made[1].record()
    path = next(iter(made[0].files))
    assert made[0].files.versions(path)[0].version_id != made[1].files.versions(path)[0].version_id


def test_thousands_of_zarrs_and_a_million_files_are_there_at_once(server: Server, dandiset: Dandiset) -> None:
    began = time.process_time()
    generated_zarrs(dandiset, 2000, 147, zarr_format=3, chunk_size=232_000_000)
    large = generated_zarr(dandiset, "large.ome.zarr", 1_305_320)
    answer = page(server.archive.s3_url, versions="", prefix=large.key, **{"key-marker": f"{large.key}0/0/0/77/5/12"})
    assert len(shown(answer)) == 1000
    assert len(large.files) == 1_305_320
    # a second is what it takes; a minute is far above, and far below what keeping each file would take
    assert time.process_time() - began < 60
    assert requests.get(f"{server.archive.s3_url}/{shown(answer)[0]['Key']}").status_code == 404, "it has no bytes"
