"""What ``coverage`` and stock git-annex say, beside what is on the disks."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping

from tests.institutions import disks, stock
from tests.institutions.outcome import Outcome, command
from tests.institutions.world import BY_HTTP, Institution, World
from tests.support.three_mirrors import records

SAMPLE = 3
"""So many files of each kind are dropped by git-annex."""
NUMCOPIES = 2
Holders = Mapping[disks.Unit, frozenset[str]]


def compare_coverage(world: World, outcome: Outcome) -> None:
    """Compare what ``coverage`` says in each mirror with the disks; what a liar says counts nowhere."""
    holders, liar, compared = world.holders(), world.liar, 0
    for one in (one for one in world.institutions.values() if one.name != liar):
        for record in records(command(one.mirror, "coverage", "-f", "json")[1], "coverage"):
            repositories = {record["dandiset"], *(zarr_id for _, zarr_id in world.zarrs(record["dandiset"]))}
            mine = {unit: who - {liar} for unit, who in holders.items() if unit[0] in repositories}
            said = [(amount["keys"], amount["size"]) for amount in record["versions"][-1]["copies"]]
            outcome.check(said == _table(mine), f"{one.name}, {record['dandiset']}: coverage says {said}")
            counts = {place["name"]: place["counts"] for place in record["places"]}
            outcome.check(not counts.get(liar), f"{one.name}: what {liar} says counts")
            compared += 1
    outcome.rows[f"coverage compared with the disks, {'without the liar' if liar else 'of all'}"] = compared


def _table(holders: Holders) -> list[tuple[int, int]]:
    keys, sizes = Counter[int](), Counter[int]()
    for (_, key), who in holders.items():
        keys[min(3, len(who))] += 1
        sizes[min(3, len(who))] += disks.size_of(key)
    return [(keys[number], sizes[number]) for number in range(4)]


def ask_git_annex(world: World, outcome: Outcome, mirrors: int) -> None:
    """Compare what stock git-annex says in some mirrors with the disks."""
    holders, asked, drops = world.holders(), 0, 0
    chosen = world.chance.sample(list(world.institutions.values()), min(mirrors, len(world.institutions)))
    for one in chosen:
        asked += _ask_whereis(world, outcome, one, holders)
        copy = one.path.parent / "copy"
        shutil.copytree(one.path, copy, symlinks=True)
        stock.set_numcopies(copy, NUMCOPIES)
        few, said = frozenset(unit for unit in holders if len(holders[unit]) < NUMCOPIES), stock.too_few(copy)
        wrong = f"{one.name}: git annex fsck finds too few copies of {len(said)} files, and the disks of {len(few)}"
        outcome.check(said == few, wrong)
        drops += _drop(world, outcome, one, holders)
        disks.remove(copy)
    outcome.rows |= {
        "files of which git annex whereis agrees with the disks": asked,
        "mirrors in which git annex fsck does, with numcopies 2": len(chosen),
        "files of which git annex drop does, with numcopies 2": drops,
    }


def _ask_whereis(world: World, outcome: Outcome, one: Institution, holders: Holders) -> int:
    everyone = world.institutions.values()
    names = {(name, uuid): other.name for other in everyone for name, uuid in stock.uuids(other.path).items()}
    asked = 0
    for name, keys in stock.whereis(one.path).items():
        for key, uuids in keys.items():
            said = {names[name, uuid] for uuid in uuids if (name, uuid) in names}
            outcome.check(said == holders[name, key], f"{one.name}: git annex whereis {name} {key}: {sorted(said)}")
            asked += 1
    return asked


def _drop(world: World, outcome: Outcome, one: Institution, holders: Holders) -> int:
    """In a copy of a mirror, git-annex drops what two others have, and keeps what only one other has."""
    copy, mine = one.path.parent / "copy", sorted(unit for unit in holders if one.name in holders[unit])
    # a mirror behind a web server cannot promise git-annex to keep a file meanwhile
    enough = [unit for unit in mine if len(holders[unit] - {one.name} - {*BY_HTTP}) >= NUMCOPIES]
    few = [unit for unit in mine if len(holders[unit]) <= NUMCOPIES]
    asked = 0
    for units, may_go in ((enough, True), (few, False)):
        for unit in world.chance.sample(units, min(SAMPLE, len(units))):
            words = "drops" if not may_go else "does not drop"
            outcome.check(stock.dropped(copy, unit) == may_go, f"{one.name}: git annex {words} {unit}")
            asked += 1
    return asked
