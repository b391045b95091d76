"""A Dandiset under embargo, its token and its mirror."""

from __future__ import annotations

import pytest

from dandi_mirror.archive.instances import token_variable
from dandi_mirror.embedded import Archive, Dandiset, Server
from tests.conftest import MirrorOfTest
from tests.support.credentials import TOKEN
from tests.support.dandisets import seed_owned


@pytest.fixture
def closed(archive: Archive) -> Dandiset:
    dandiset = seed_owned(archive)
    dandiset.add_asset("README", archive.add_blob(b"not for all\n"))
    dandiset.set_embargo("EMBARGOED")
    return dandiset


@pytest.fixture
def token(server: Server) -> dict[str, str]:
    return {token_variable(server.api_url): TOKEN}


@pytest.fixture
def made(closed: Dandiset, mirror: MirrorOfTest, token: dict[str, str]) -> MirrorOfTest:
    mirror.cli("sync", "000123", "--embargoed", env=token)
    mirror.server.requests.clear()
    return mirror
