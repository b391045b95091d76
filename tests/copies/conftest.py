"""The mirrors that the tests of copies look at and change."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from starlette.responses import Response

from dandi_mirror.embedded import Archive, serve
from tests.conftest import own_home
from tests.support.three_mirrors import ThreeMirrors, make_three
from tests.support.web_server import let_git_read, web_server


@pytest.fixture(scope="module")
def _made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ThreeMirrors]:
    archive, folder = Archive(instance_name="DANDI"), tmp_path_factory.mktemp("three")
    with pytest.MonkeyPatch.context() as patch, serve(archive) as server:
        for name, value in own_home(folder / "home").items():
            patch.setenv(name, value)
        yield make_three(archive, server, folder / "made")


@pytest.fixture
def http_mirror(three: ThreeMirrors) -> Iterator[tuple[str, list[str]]]:
    """The mirror oxford behind a plain web server: its URL, and the paths that were asked for."""
    let_git_read(three.oxford.path)
    with web_server(three.oxford.path) as (url, asked):
        yield url, asked


@pytest.fixture
def three(_made: ThreeMirrors, tmp_path: Path) -> ThreeMirrors:
    """Copies of the mirrors, for one test to change."""
    top = _made.here.path.parent
    shutil.copytree(top, tmp_path / "three", symlinks=True)
    mirrors = {
        name: replace(getattr(_made, name), path=tmp_path / "three" / name) for name in ("here", "oxford", "basel")
    }
    copied = replace(_made, **mirrors)
    copied.know(copied.here, {name: str(mirrors[name].path) for name in ("oxford", "basel")})
    return copied


@pytest.fixture
def away(_made: ThreeMirrors) -> Iterator[None]:
    """The archive has nothing any more."""
    _made.here.server.intercept = lambda request: Response(status_code=404)
    yield
    _made.here.server.intercept = None
