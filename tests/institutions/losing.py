"""One institution lies; then the archive and two institutions are gone, and all that is left comes back."""

from __future__ import annotations

import itertools
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from starlette.responses import Response

from dandi_mirror.mirror.copies.challenge import challenges_needed
from tests.conftest import MirrorOfTest
from tests.institutions import disks
from tests.institutions.outcome import PART, Outcome, command
from tests.institutions.world import DRAFT, GROUP, World
from tests.support.three_mirrors import records

WRONG = 7
LIE = 0.1
"""So much of its content the liar has lost."""
MISSES = 1
"""A challenge misses a liar once in a thousand times; if two institutions miss it, that is a defect."""


def lie(world: World, outcome: Outcome, liar: str) -> None:
    """A tenth of an institution's content is lost, and its logs still claim it; all others challenge it once."""
    one, world.liar = world.institutions[liar], liar
    claims = len(disks.held(one.path))
    lost = disks.spoil(one.path, LIE, world.chance)
    found, most = 0, 0
    for other in (other for other in world.institutions.values() if other.name != liar):
        code, said = command(other.mirror, "challenge", liar, "-f", "json", codes=(0, WRONG))
        (record,) = records(said, "challenge")
        named = {(wrong["zarr"] or wrong["dandiset"], wrong["key"]) for wrong in record["wrong"]}
        outcome.check(named <= lost, f"{other.name} calls claims of {liar} wrong that are right: {named - lost}")
        found, most = found + (code == WRONG), max(most, record["asked"])
        if code != WRONG:
            # it is missed once in a thousand times; the next challenge finds it
            command(other.mirror, "challenge", liar, "--count", str(claims), codes=(WRONG,))
    outcome.check(found >= len(world.institutions) - 1 - MISSES, f"only {found} institutions found {liar}, the liar")
    outcome.check(most <= challenges_needed(), f"{most} challenges were made")
    outcome.rows |= {
        "files that the liar claims": claims,
        "of these lost or replaced by other bytes": len(lost),
        "institutions that found the liar in one challenge": f"{found} of {len(world.institutions) - 1}",
        "files of the liar that a challenge looked at, at most": most,
    }


def lose(world: World, outcome: Outcome, pairs: int) -> None:
    """The archive is gone, and each of so many pairs of institutions: restore everything elsewhere."""
    world.server.intercept = lambda request: Response(status_code=404)
    world.server.requests.clear()
    every = list(itertools.combinations(world.institutions, 2))
    restored = named = 0
    for number, pair in enumerate(world.chance.sample(every, min(pairs, len(every)))):
        came, rest = _without(world, outcome, pair, remaining=number % 3 > 0)
        restored, named = restored + came, named + rest
        print(f"without {' and '.join(pair)}: {came} files came back", file=sys.stderr, flush=True)
    outcome.check(not world.server.requests, f"the archive was asked {len(world.server.requests)} times")
    outcome.rows |= {
        "pairs of institutions that went away": min(pairs, len(every)),
        "files restored with the right digest, of all pairs": restored,
        "files named that nobody has any more, of all pairs": named,
    }


def _without(world: World, outcome: Outcome, pair: tuple[str, str], *, remaining: bool) -> tuple[int, int]:
    """Restore everything without two institutions, in a fresh or a remaining mirror; what came, and what is named."""
    holders = world.holders()
    who = _a_remaining(world, pair) if remaining else "fresh"
    had = {unit for unit in holders if who in holders[unit]}
    left = {unit for unit in holders if holders[unit] - {*pair}}
    path = world.institutions[who].path if remaining else world.fresh.path
    with _away(world, pair), _copied(path) as copy:
        named = _restore(world, MirrorOfTest(copy, world.server))
        came = disks.held(copy)
    where = f"without {' and '.join(pair)}, in {who}"
    left -= _waiting(world, world.everything - left) - had
    gone = world.everything - left
    outcome.check(came == left, f"{where}: {len(left - came)} files did not come back, and {len(came - left)} did")
    outcome.check(named == gone, f"{where}: named are {len(named - gone)} that others have; not {len(gone - named)}")
    return len(came - had), len(named)


def _waiting(world: World, gone: frozenset[disks.Unit]) -> set[disks.Unit]:
    """The metadata of arrays of which chunks are gone: it stays away, so that nobody takes fill values for data."""
    torn = {name for name, key in gone if disks.size_of(key) != len(GROUP)}
    return {world.opens(zarr_id) for zarr_id in torn & world.server.archive.zarrs.keys()}


def _a_remaining(world: World, pair: tuple[str, str]) -> str:
    """One that is still there, and has all that it says it has."""
    names = sorted(world.institutions.keys() - {*pair, world.liar})
    return world.chance.choice(names)


@contextmanager
def _away(world: World, pair: tuple[str, str]) -> Iterator[None]:
    paths = [world.institutions[name].path for name in pair]
    for path in paths:
        path.rename(path.with_suffix(".away"))
    try:
        yield
    finally:
        for path in paths:
            path.with_suffix(".away").rename(path)


@contextmanager
def _copied(path: Path) -> Iterator[Path]:
    copy = path.parent / "restored"
    shutil.copytree(path, copy, symlinks=True)
    try:
        yield copy
    finally:
        disks.remove(copy)


def _restore(world: World, mirror: MirrorOfTest) -> set[disks.Unit]:
    """Restore each version of each Dandiset; the content that is named because no mirror has it."""
    named = set()
    for dandiset, versions in world.dandisets.items():
        for version in (*versions, DRAFT):
            _, said = command(mirror, "restore", f"{dandiset}@{version}", "-f", "json", codes=(0, PART))
            failed = [record for record in records(said, "restore") if record["exit_code"]]
            named |= {unit for record in failed for unit in _units(world, mirror, dandiset, record)}
    return named


def _units(world: World, mirror: MirrorOfTest, dandiset: str, record: dict[str, Any]) -> set[disks.Unit]:
    """The content that a record names: a file, an entry of a Zarr, or a whole Zarr of which nobody has anything."""
    zarr_id = next((zarr_id for path, zarr_id in world.zarrs(dandiset) if record["file"].startswith(path)), dandiset)
    if record["key"]:
        return {(zarr_id, record["key"])}
    return {unit for unit in world.everything - disks.held(mirror.path) if unit[0] == zarr_id}
