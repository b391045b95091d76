"""A mirror of a version with odd names."""

from __future__ import annotations

import pytest

from dandi_mirror.embedded import Archive
from tests.conftest import MirrorOfTest
from tests.support.dandisets import participant, seed
from tests.support.exporting import ODD, PERSON, TITLE, V1


@pytest.fixture
def published(archive: Archive, mirror: MirrorOfTest) -> MirrorOfTest:
    """A mirror of a version with an odd path, a text file that git keeps, and two files of the same bytes."""
    dandiset = seed(archive, 2)
    dandiset.add_asset(ODD, archive.add_blob(b"odd"), metadata=participant("u"))
    dandiset.add_asset("again.nwb", archive.add_blob(b"content 1"))
    dandiset.add_asset("README.md", archive.add_blob(b"# Read me\n"))
    dandiset.draft.given |= {
        "name": TITLE,
        "contributor": [PERSON],
        "license": ["spdx:CC-BY-4.0"],
        "keywords": ["mouse"],
    }
    dandiset.publish(V1)
    assert mirror.sync().exit_code == 0
    mirror.server.requests.clear()
    return mirror
