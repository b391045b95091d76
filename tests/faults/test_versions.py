"""Published versions under faults of every kind and rate: no tag ever differs from that of an undisturbed mirror.

The long form: ``python -m pytest -m '' -s tests/faults/test_versions.py``; it prints how much was tried.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from dandi_mirror.embedded import Archive, serve
from tests.conftest import MirrorOfTest, own_home
from tests.support import kinds
from tests.support.proxy import Exchange, Fault, Proxy, proxy_of
from tests.support.running import PAGE, QUICK, STEADY, impatient, sync

DANDISET = "000001"
SYNCS = 3
"""Under faults; then one without."""
RATES = (1, 2, 5, 10, 20, 35, 50)
"""Of a hundred requests, so many meet the fault."""
SHORT = [("404", 5), ("200 with HTML", 35), ("half the JSON", 35), ("another record", 20), ("other JSON", 10)]
"""What spoils single records, as often as spoils some and not all."""
FAULTS = {**kinds.PERSISTENT, "connection refused": kinds.refused_once, **kinds.PASSING}
IN_TIME = {"no answer", "slow drip", "slow drip of headers"}


@dataclass(slots=True)
class World:
    """An archive whose versions stay as they are, behind a proxy, and the tags that they have."""

    proxy: Proxy
    folder: Path
    tags: dict[str, str]
    done: Counter[str] = field(default_factory=Counter)

    def mirror(self, name: str) -> MirrorOfTest:
        return MirrorOfTest(self.folder / name, None)  # type: ignore[arg-type]

    def fault(self, name: str) -> Fault:
        # nobody listens there
        return kinds.elsewhere("http://127.0.0.1:9") if name == kinds.ELSEWHERE else FAULTS[name]


def tags_of(mirror: MirrorOfTest) -> dict[str, str]:
    if not (mirror.path / DANDISET / ".git" / "HEAD").exists():
        return {}
    return {ref: oid for ref, oid in mirror.refs(DANDISET).items() if ref.startswith("refs/tags/")}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("versions")
    archive = Archive()
    dandiset = archive.create_dandiset(DANDISET)
    for number in range(PAGE + 1):
        dandiset.add_asset(f"sub-{number}/sub-{number}.nwb", archive.add_blob(b"recording %d" % number))
    dandiset.add_asset("README.md", archive.add_blob(b"Read me\n"))
    dandiset.add_asset("bad\\name.nwb", archive.add_blob(b"what is refused"), unchecked=True)
    for number in range(4):
        dandiset.replace_asset("sub-1/sub-1.nwb", archive.add_blob(b"again %d" % number))
        dandiset.publish(f"0.24010{number + 1}.0000", created=f"2024-01-0{number + 1}T00:00:00Z")
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        for name, value in own_home(folder / "home").items():
            patch.setenv(name, value)
        server = stack.enter_context(serve(archive))
        proxy = stack.enter_context(proxy_of(server))
        archive.at(proxy.origin)
        made = World(proxy, folder, {})
        undisturbed = made.mirror("undisturbed")
        with impatient(STEADY):
            sync(undisturbed.path, proxy.api_url, DANDISET)
        made.tags = tags_of(undisturbed)
        assert len(made.tags) == 4
        yield made
        print("\n", dict(made.done))


def _cells() -> Iterator[object]:
    for name in [*FAULTS, kinds.ELSEWHERE]:
        for rate in RATES:
            marks = [] if (name, rate) in SHORT else [pytest.mark.slow]
            yield pytest.param(name, rate, marks=marks, id=f"{name} at {rate} %")


@pytest.mark.parametrize(("name", "rate"), list(_cells()))
def test_no_tag_differs_from_that_of_an_undisturbed_mirror_whatever_faults_there_were(
    world: World, name: str, rate: int
) -> None:
    proxy, fault = world.proxy, world.fault(name)
    chance = random.Random(f"{name} {rate}")
    mirror = world.mirror(f"{name} {rate}".replace(" ", "-"))

    def anywhere(asked: Exchange) -> Fault | None:
        return fault if chance.random() < rate / 100 else None

    def one_by_one(asked: Exchange) -> Fault | None:
        """No page comes whole, so that records are asked for one by one; those meet the fault."""
        if asked.query.get("metadata") == "true":
            return kinds.truncated
        return anywhere(asked) if asked.path.startswith("/api/assets/") else None

    proxy.struck = 0
    try:
        for number in range(SYNCS):
            proxy.choose = anywhere if number == 1 else one_by_one
            with impatient(QUICK if name in IN_TIME else STEADY):
                ran = sync(mirror.path, proxy.api_url, DANDISET)
            found = tags_of(mirror)
            assert {ref: world.tags[ref] for ref in found} == found, ran.said(DANDISET)
            held = [f for f in ran.records.get(DANDISET, {}).get("findings", []) if f["kind"] == "held"]
            world.done.update(["syncs", f"ended with {ran.code}"], tags=len(found), held=len(held))
    finally:
        proxy.choose = lambda asked: None
        proxy.up()
    world.done.update(faults=proxy.struck, mirrors=1)
    with impatient(STEADY):
        ran = sync(mirror.path, proxy.api_url, DANDISET)
    assert tags_of(mirror) == world.tags, ran.said(DANDISET)
