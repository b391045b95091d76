"""All hold what they have pledged, in rounds; then the disks are looked at."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from tests.institutions import disks
from tests.institutions.outcome import PART, Outcome, command
from tests.institutions.world import Institution, World
from tests.support.institutions import Institutions
from tests.support.three_mirrors import records

ROUNDS = 8
"""More than these are not made."""
ALL = 0.99
"""With so much of what is possible, the rounds end."""
_COPIES = ("no copy", "one copy", "two copies", "three copies and more")


def hold(world: World, outcome: Outcome, enough: float) -> None:
    """Let all hold half of their pledges at the same moment, and then all of it in turn, until no more can be won."""
    took: Counter[str] = Counter()
    for one in world.institutions.values():
        _hold(world, one, one.pledge // 2, took)
    shares = [_share(world)]
    for _ in range(ROUNDS):
        before = world.holders()
        for one in world.chance.sample(list(world.institutions.values()), len(world.institutions)):
            _learn(one)
            _hold(world, one, one.pledge, took)
        shares.append(_share(world))
        if shares[-1] >= ALL or world.holders() == before:
            break
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(_learn, world.institutions.values()))
    outcome.rows |= {
        "with two copies, in % of what could, after each round": ", ".join(f"{100 * share:.1f}" for share in shares),
        "files fetched by hold": took["fetch"],
        "files given up by hold": took["give_up"],
        "runs of hold that kept what it would have given up": took["kept"],
    }
    _check(world, outcome, enough)


def _learn(one: Institution) -> None:
    command(one.mirror, "fetch")
    command(one.mirror, "challenge")


def _hold(world: World, one: Institution, pledge: int, took: Counter[str]) -> None:
    code, said = command(one.mirror, "hold", "--max-size", str(pledge), "--give-up", "-f", "json", codes=(0, PART))
    (summary,) = records(said, "summary")
    took.update(fetch=summary["fetch"], give_up=summary["give_up"], kept=int(code == PART))
    world.show(one.name)


def _possible(world: World) -> int:
    """The bytes that could have two copies within all pledges."""
    pledges = [one.pledge for one in world.institutions.values()]
    return Institutions([disks.total(world.everything)], pledges).possible_twice()


def _share(world: World) -> float:
    """How much of what could have two copies has them, by the disks."""
    return disks.total(unit for unit, who in world.holders().items() if len(who) >= 2) / _possible(world)


def _check(world: World, outcome: Outcome, enough: float) -> None:
    """Count from the disks what has two copies, and whether all are within their pledges."""
    counts, share = Counter[int](), _share(world)
    for (_, key), who in world.holders().items():
        counts[min(3, len(who))] += disks.size_of(key)
    outcome.rows |= {f"bytes with {most}": counts[number] for number, most in enumerate(_COPIES)}
    outcome.rows |= {"bytes that could have two copies": _possible(world)}
    outcome.check(share >= enough, f"{100 * share:.1f} % of what could have two copies has them")
    for one in world.institutions.values():
        used = disks.used(one.path)
        outcome.check(used <= one.pledge, f"{one.name} holds {used:,} bytes, and pledged {one.pledge:,}")
