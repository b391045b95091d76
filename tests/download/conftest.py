"""A published version of four files."""

from __future__ import annotations

import pytest

from dandi_mirror.embedded import Archive
from tests.conftest import MirrorOfTest
from tests.support.download_plain import FILES, TAG, TIME


@pytest.fixture
def version(archive: Archive, mirror: MirrorOfTest) -> MirrorOfTest:
    """A published version: two files of the same content, one of another, and a text."""
    dandiset = archive.create_dandiset("000123", name="A test")
    for path, content in FILES.items():
        dandiset.add_asset(path, archive.add_blob(content), metadata={"blobDateModified": TIME})
    dandiset.publish(TAG, created="2024-01-01T00:00:00Z")
    return mirror
