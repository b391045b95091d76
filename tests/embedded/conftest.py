"""An archive with three users and one Dandiset, served."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dandi_mirror.embedded import Archive, Dandiset, Server, serve
from tests.support.asking import ADMIN, OTHER, OWNER, Clock


@pytest.fixture
def archive() -> Archive:
    archive = Archive(clock=Clock())
    archive.add_user("owner@nil.nil", OWNER)
    archive.add_user("other@nil.nil", OTHER)
    archive.add_user("admin@nil.nil", ADMIN, admin=True)
    return archive


@pytest.fixture
def dandiset(archive: Archive) -> Dandiset:
    return archive.create_dandiset("000004", name="A test", owners=("owner@nil.nil",))


@pytest.fixture
def server(archive: Archive) -> Iterator[Server]:
    with serve(archive) as served:
        yield served
