"""A mirror with two Dandisets and a sibling."""

from __future__ import annotations

from pathlib import Path

import pytest

from dandi_mirror.embedded import Archive
from tests.conftest import MirrorOfTest
from tests.support.published import seed
from tests.support.pushing import Published


@pytest.fixture
def two(archive: Archive, mirror: MirrorOfTest, tmp_path: Path) -> Published:
    dandisets = {dandiset: seed(archive, dandiset) for dandiset in ("000027", "000123")}
    for dandiset in dandisets:
        assert mirror.sync(dandiset).exit_code == 0
    mirror.server.requests.clear()
    return Published(mirror, dandisets, tmp_path / "backup")
