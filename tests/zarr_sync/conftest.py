"""A Dandiset with a Zarr."""

from __future__ import annotations

import pytest

from dandi_mirror.embedded import Archive, Dandiset, Zarr
from tests.support.dandisets import seed
from tests.support.zarr_sync import FILES, PATH
from tests.support.zarrs import a_zarr


@pytest.fixture
def dandiset(archive: Archive) -> Dandiset:
    return seed(archive, FILES)


@pytest.fixture
def zarr(dandiset: Dandiset) -> Zarr:
    return a_zarr(dandiset, PATH)
