"""A mirror of several versions, that tests ask or change."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dandi_mirror.embedded import Archive
from tests.conftest import MirrorOfTest, only_asked
from tests.support.two_versions import filled


@pytest.fixture
def made(archive: Archive, mirror: MirrorOfTest) -> MirrorOfTest:
    """A mirror that a test may change."""
    return filled(archive, mirror)


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MirrorOfTest]:
    """A mirror that is only asked."""
    with only_asked(tmp_path_factory.mktemp("asked"), filled) as mirror:
        yield mirror
