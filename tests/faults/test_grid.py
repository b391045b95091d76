"""Every fault at every kind of request: each ends as the table in ``docs/faults.md`` says."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from math import inf
from pathlib import Path

import pytest

from dandi_mirror.archive.http.retry import RetryPolicy
from dandi_mirror.embedded import Archive, Dandiset, Server, serve
from tests.conftest import MirrorOfTest, own_home
from tests.support import kinds
from tests.support.proxy import Exchange, Fault, Proxy, proxy_of
from tests.support.running import PAGE, QUICK, STEADY, Ran, impatient, sync

BEFORE, HIT, AFTER = "000001", "000002", "000003"
"""The Dandiset that meets the fault, and those that stand beside it."""
_OF_HIT = f"/api/dandisets/{HIT}/versions/"
TARGETS: Mapping[str, Callable[[Exchange], bool]] = {
    "info": lambda asked: asked.path == "/api/info/",
    "Dandisets": lambda asked: asked.path == "/api/dandisets/",
    "versions": lambda asked: asked.path == _OF_HIT,
    "record": lambda asked: re.fullmatch(rf"{_OF_HIT}[^/]+/", asked.path) is not None,
    "page 1": lambda asked: _is_page(asked, 1),
    "page k": lambda asked: _is_page(asked, 2),
    "text file": lambda asked: "/blobs/" in asked.path and asked.path in texts_of_hit,
}
"""The columns of the table: which request meets the fault."""
WHOLE_RUN, TEXT, AWAY = {"info", "Dandisets"}, "text file", "connection refused"
texts_of_hit: set[str] = set()


def _is_page(asked: Exchange, number: int) -> bool:
    is_list = asked.path.startswith(_OF_HIT) and asked.path.endswith("/assets/")
    return is_list and asked.query.get("page") == str(number)


@dataclass(frozen=True, slots=True)
class Row:
    """What the table says of a fault."""

    codes: Mapping[str, tuple[int, int]]
    """Target → exit codes when the fault stays, and when it comes once."""
    says: str
    """What is said when it stays."""
    of_text: str
    """What is said of a text file."""


def _read_table() -> dict[str, Row]:
    page = (Path(__file__).parents[2] / "docs" / "faults.md").read_text()
    lines = [line.strip("|").split("|") for line in page.splitlines() if line.startswith("|")]
    table = [[cell.strip() for cell in cells] for cells in lines if len(cells) == len(TARGETS) + 3]
    assert table[0][1:-2] == list(TARGETS), "a column for each target"
    return {row[0]: _row(row) for row in table[2:]}


def _row(cells: list[str]) -> Row:
    pairs = [tuple(map(int, cell.split(", "))) for cell in cells[1:-2]]
    codes = {target: (pair[0], pair[1]) for target, pair in zip(TARGETS, pairs, strict=True)}
    return Row(codes, cells[-2].strip("`"), cells[-1].strip("`"))


TABLE = _read_table()


@dataclass(frozen=True, slots=True)
class World:
    """Three Dandisets, their mirror, and the proxy that it asks."""

    archive: Archive
    proxy: Proxy
    elsewhere: Server
    mirror: MirrorOfTest

    def move_on(self) -> None:
        """Change all three: a recording, a text file, a version (the oldest goes)."""
        self.elsewhere.requests.clear()
        for dandiset in self.archive.dandisets.values():
            for version in dandiset.published[:-1]:
                dandiset.delete_version(version.version)
            add_blob, now = self.archive.add_blob, len(self.archive.assets)
            dandiset.replace_asset("sub-1/sub-1.nwb", add_blob(b"recorded %d" % now))
            dandiset.replace_asset("README.md", text := add_blob(b"Read me: %d\n" % now))
            # by a name of its own: the next free one of this minute may have been that of a version now gone
            dandiset.publish(f"0.260101.{now:04d}")
            if dandiset.identifier == HIT:
                texts_of_hit.add(f"/dandi-dandisets/{text.key}")

    def sync(self, patience: RetryPolicy = STEADY) -> Ran:
        with impatient(patience):
            return sync(self.mirror.path, self.proxy.api_url, "--all", "-J", "1")

    def meet(self, name: str, target: str, times: float) -> Ran:
        """A run in which the fault strikes up to so many times."""
        fault = self._fault(name, once=times == 1)
        self.proxy.struck = 0

        def choose(asked: Exchange) -> Fault | None:
            return fault if self.proxy.struck < times and TARGETS[target](asked) else None

        self.proxy.choose = choose
        try:
            return self.sync(QUICK if fault in (kinds.hang, kinds.drip, kinds.drip_head) else STEADY)
        finally:
            self.proxy.choose = lambda asked: None
            self.proxy.up()

    def _fault(self, name: str, *, once: bool) -> Fault:
        if name == kinds.ELSEWHERE:
            return kinds.elsewhere(self.elsewhere.origin)
        return kinds.refused_once if once and kinds.PERSISTENT[name] is kinds.refused else kinds.PERSISTENT[name]

    def refs(self) -> dict[str, dict[str, str]]:
        return {name: self.mirror.refs(name) for name in self.archive.dandisets}

    def up_to_date(self, dandiset: str) -> bool:
        """Whether the mirror has the newest version, and the draft with its text."""
        newest = self.archive.dandisets[dandiset].published[-1].version
        text = self.archive.dandisets[dandiset].draft.asset_at("README.md")
        assert text and text.blob and text.blob.content is not None
        said = self.mirror.git("cat-file", "-p", "draft:README.md", dandiset=dandiset)
        return f"refs/tags/{newest}" in self.mirror.refs(dandiset) and said == text.blob.read().decode().strip()


def _seed(dandiset: Dandiset) -> None:
    for number in range(PAGE + 1):
        path = f"sub-{number}/sub-{number}.nwb"
        dandiset.add_asset(path, dandiset.archive.add_blob(b"recording %d" % number))
    dandiset.add_asset("README.md", dandiset.archive.add_blob(b"Read me\n"))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("faults")
    archive = Archive()
    for identifier in (BEFORE, HIT, AFTER):
        _seed(archive.create_dandiset(identifier))
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        for name, value in own_home(folder / "home").items():
            patch.setenv(name, value)
        server, elsewhere = stack.enter_context(serve(archive)), stack.enter_context(serve(Archive()))
        proxy = stack.enter_context(proxy_of(server))
        archive.at(proxy.origin)
        made = World(archive, proxy, elsewhere, MirrorOfTest(folder / "mirror", server))
        assert made.sync().code == 0
        yield made


def _cells() -> Iterator[object]:
    """The whole grid; every fault and every target is in the part that is not slow."""
    for row, name in enumerate(TABLE):
        for column, target in enumerate(TARGETS):
            often = (row + column) % 6 == 0
            yield pytest.param(name, target, marks=[] if often else [pytest.mark.slow], id=f"{name} at {target}")


@pytest.mark.parametrize(("name", "target"), list(_cells()))
def test_a_fault_ends_as_the_table_says_and_harms_nothing(world: World, name: str, target: str) -> None:
    row, is_text = TABLE[name], target == TEXT
    world.move_on()
    before = world.refs()
    stays = world.meet(name, target, inf)
    assert world.proxy.struck > 0
    assert stays.code == row.codes[target][0], stays.said(HIT) or stays
    assert (row.of_text if is_text else row.says) in stays.said(HIT), stays
    after = world.refs()
    if not is_text:
        assert after[HIT] == before[HIT]
    for other in (BEFORE, AFTER):
        if target in WHOLE_RUN or (name == AWAY and other == AFTER):
            assert after[other] == before[other]
        else:
            assert world.up_to_date(other)
            assert stays.records[other]["exit_code"] == 0
    world.move_on()
    once = world.meet(name, target, 1)
    assert world.proxy.struck == 1
    assert once.code == row.codes[target][1], once.said(HIT) or once
    assert world.sync().code == 0
    assert all(world.up_to_date(dandiset) for dandiset in world.archive.dandisets)
    if not is_text:
        assert world.elsewhere.requests == []


def test_the_table_has_a_row_for_each_fault_and_the_grid_a_fault_for_each_row() -> None:
    assert list(TABLE) == [*kinds.PERSISTENT, kinds.ELSEWHERE]
