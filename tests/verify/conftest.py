"""The mirror that the tests of ``verify`` damage."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import MirrorOfTest, only_asked
from tests.verify.campaign import fill


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MirrorOfTest]:
    """The mirror of the campaign."""
    with only_asked(tmp_path_factory.mktemp("healthy"), fill) as mirror:
        yield mirror
