"""One world for all the attacks that a worker makes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .world import World, make_world


@pytest.fixture(scope="session")
def world() -> Iterator[World]:
    with make_world() as made:
        yield made
