"""An archive to upload to, on its own bucket; jobs wait until a test settles them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dandi_mirror.embedded import Archive, Dandiset, Server, serve
from tests.support.sending import Desk, own_archive


@pytest.fixture
def archive() -> Archive:
    return own_archive()


@pytest.fixture
def dandiset(archive: Archive) -> Dandiset:
    return archive.dandisets["000123"]


@pytest.fixture
def server(archive: Archive) -> Iterator[Server]:
    with serve(archive) as served:
        yield served


@pytest.fixture
def desk(server: Server, tmp_path: Path) -> Iterator[Desk]:
    with Desk(server.api_url, tmp_path) as made:
        yield made
