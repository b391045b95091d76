"""A mirror of four Dandisets."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dandi_mirror.embedded import Archive
from tests.conftest import MirrorOfTest
from tests.support.fleet import IDS, STALLED, fill


@pytest.fixture
def many(archive: Archive, mirror: MirrorOfTest) -> Iterator[MirrorOfTest]:
    """Four Dandisets in the archive; the mirror is empty."""
    fill(archive, IDS)
    STALLED.clear()
    yield mirror
    STALLED.set()
