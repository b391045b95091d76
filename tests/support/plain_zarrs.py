"""A Zarr of two levels in a mirror, and whether what one reads of it is the truth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dandi_mirror.embedded import Archive, Zarr
from tests.conftest import MirrorOfTest
from tests.support.dandisets import seed
from tests.support.zarrs import a_zarr, files_of

np = pytest.importorskip("numpy")
zarr_python = pytest.importorskip("zarr")

PATH = "sub-0/x.ome.zarr"
FORMATS = pytest.mark.parametrize("zarr_format", [2, 3])


def synced(archive: Archive, mirror: MirrorOfTest, files: dict[str, bytes]) -> Zarr:
    made = a_zarr(seed(archive, 1), PATH, files)
    assert mirror.sync(zarr_repositories="none").exit_code == 0
    return made


def plain(folder: Path, zarr_format: int) -> dict[str, bytes]:
    """A Zarr of two levels without consolidated metadata."""
    root = zarr_python.open_group(str(folder), mode="w", zarr_format=zarr_format)
    for level, length in enumerate((30, 20)):
        array = root.create_array(str(level), shape=(length, length), chunks=(10, 10), dtype="int32")
        array[...] = 1 + np.arange(length**2, dtype="int32").reshape(length, length)
    return files_of(folder)


def truth(array: Any) -> bool:
    return bool((array[...] == 1 + np.arange(array.size, dtype="int32").reshape(array.shape)).all())
