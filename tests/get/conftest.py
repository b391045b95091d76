"""A mirror whose content is got."""

from __future__ import annotations

import pytest

from dandi_mirror.embedded import Archive
from tests.conftest import MirrorOfTest
from tests.support.get_clones import SIZE, subject


@pytest.fixture
def synced(archive: Archive, mirror: MirrorOfTest) -> MirrorOfTest:
    """Five recordings of a kilobyte, two of them of the same bytes; a version of three of them; a text file."""
    dandiset = archive.create_dandiset("000123", name="A test")
    human, mouse = "Homo sapiens - Human", "Mus musculus - House mouse"
    for name, facts in {
        "sub-a/sub-a_ses-1.nwb": subject("a", human, "Female"),
        "sub-a/sub-a_ses-2.nwb": subject("a", human, "Female"),
        "sub-b/sub-b.nwb": subject("b", human, "Male"),
    }.items():
        dandiset.add_asset(name, archive.add_blob(name.encode() * SIZE), facts)
    dandiset.publish()
    dandiset.add_asset("sub-c/sub-c_ses-1.nwb", archive.add_blob(b"c" * SIZE), subject("c", mouse, "Female"))
    dandiset.add_asset("again/sub-c_ses-1.nwb", archive.add_blob(b"c" * SIZE), subject("c", mouse, "Female"))
    dandiset.add_asset("README.md", archive.add_blob(b"Read me\n"))
    assert mirror.sync().exit_code == 0
    mirror.server.requests.clear()
    return mirror
