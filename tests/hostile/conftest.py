"""A server to which nothing may go."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dandi_mirror.embedded import Archive, Server
from dandi_mirror.embedded import serve as serve_archive


@pytest.fixture
def other() -> Iterator[Server]:
    """Another server, which nobody named."""
    with serve_archive(Archive()) as server:
        yield server
