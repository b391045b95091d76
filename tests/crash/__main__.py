"""The whole campaign: ``python -m tests.crash``, 20 minutes; a table, and 1 if anything did not hold.

``--share 0.1`` makes a tenth of every attack, ``--share 5 calls`` kills before every single call that changes
the disk; names of attacks choose among them.  An attack that came after the end of the run is made again, and only
what struck is counted; one that never strikes is a failure.
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence

from . import company, disks, kills, mounts
from .counting import table, until_struck
from .world import SCENARIOS, Outcome, World, make_world, spread

Attack = Callable[[World, float, random.Random], Iterator[Outcome]]


def calls(world: World, share: float, chance: random.Random) -> Iterator[Outcome]:
    """Kill before every call that changes the disk; the program alone in place of all at every third."""
    for scenario in SCENARIOS:
        points = kills.points(world, scenario)
        places = spread(range(len(points)), _some(share, 150))

        def kill(number: int, attempt: int, scenario: str = scenario, points: list[kills.Point] = points,
                 places: list[int] = places) -> Outcome:  # fmt: skip
            # with more than one thread gits start in another order now and then: then a point is not met
            point = kills.another(points, places[number], attempt)
            return kills.kill_at(world, scenario, point, all_of_it=number % 3 != 2, deep=number % 10 == 0)

        yield from until_struck(len(places), kill)


def overtaken(world: World, share: float, chance: random.Random) -> Iterator[Outcome]:
    """Kill while the work tree is written, and let the archive move on."""
    yield from kills.overtaken(_some(share, 20))


def moments(world: World, share: float, chance: random.Random) -> Iterator[Outcome]:
    """Kill at random."""

    def kill(number: int, _: int) -> Outcome:
        whom, scenario = kills.WHOM[number % 3], SCENARIOS[number // 3 % 3]
        return kills.kill_at_random(world, scenario, whom, chance, deep=number % 10 == 0)

    yield from until_struck(_some(share, 210), kill)


def stops(world: World, share: float, chance: random.Random) -> Iterator[Outcome]:
    """SIGTERM, and Ctrl-C, also while the archive does not answer."""

    def stop(number: int, _: int) -> Outcome:
        by, scenario = (signal.SIGTERM, signal.SIGINT)[number % 2], SCENARIOS[number // 4 % 3]
        return kills.stop(world, scenario, by, world.moment(scenario, chance) if number % 4 < 2 else None)

    yield from until_struck(_some(share, 20), stop)


def power(world: World, share: float, chance: random.Random) -> Iterator[Outcome]:
    """Power cuts, a third as the sync has just reported success."""

    def cut(number: int, _: int) -> Outcome:
        scenario = SCENARIOS[number % 3]
        return disks.cut_power(world, scenario, world.moment(scenario, chance) if number // 3 % 3 else None)

    yield from until_struck(_some(share, 45), cut)


def full(world: World, share: float, chance: random.Random) -> Iterator[Outcome]:
    """Disks with all too little room."""
    for scenario in SCENARIOS:
        sizes = disks.sizes(disks.room_needed(world, scenario), _some(share, 22), chance)

        def fill(number: int, attempt: int, scenario: str = scenario, sizes: list[int] = sizes) -> Outcome:
            # what it needs differs a little from run to run: less is left at each attempt
            return disks.fill_up(world, scenario, max(disks.PAGE, sizes[number] - attempt * (sizes[number] // 8)))

        yield from until_struck(len(sizes), fill, tries=8)


def readonly(world: World, share: float, chance: random.Random) -> Iterator[Outcome]:
    """Disks that cannot be written."""
    both = [(scenario, way) for scenario in SCENARIOS for way in disks.READ_ONLY_WAYS]
    yield from until_struck(len(both), lambda number, _: disks.forbid_writing(world, *both[number]), tries=1)


def crowd(world: World, share: float, chance: random.Random) -> Iterator[Outcome]:
    """Four syncs at once."""
    rounds = _some(share, 20)
    yield from until_struck(
        rounds, lambda number, _: company.all_at_once(world, SCENARIOS[number % 3], number), tries=1
    )


def garbage(world: World, share: float, chance: random.Random) -> Iterator[Outcome]:
    """``git gc --prune=now`` beside a sync."""

    def collect(number: int, _: int) -> Outcome:
        return company.collect_garbage(world, SCENARIOS[number % 3], chance, after_a_kill=number % 4 > 1)

    yield from until_struck(_some(share, 40), collect)


_ALL = (calls, overtaken, moments, stops, power, full, readonly, crowd, garbage)
ATTACKS: dict[str, Attack] = {attack.__name__: attack for attack in _ALL}


def _some(share: float, whole: int) -> int:
    return max(1, round(share * whole))


def campaign(names: Sequence[str], share: float, seed: int) -> list[tuple[Outcome, float]]:
    """Run the attacks; every outcome with the seconds it took."""
    outcomes = []
    with make_world() as world:
        for name in names:
            began = time.monotonic()
            for outcome in ATTACKS[name](world, share, random.Random(f"{seed} {name}")):
                outcomes.append((outcome, time.monotonic() - began))
                began = time.monotonic()
                for problem in outcome.problems:
                    print(f"FAILED {outcome.attack}, {outcome.where}: {problem}", flush=True)
    return outcomes


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    parser.add_argument("attacks", nargs="*", metavar="ATTACK", help=f"of {', '.join(ATTACKS)}; default: all")
    parser.add_argument("--share", type=float, default=1.0, help="how much of each attack")
    parser.add_argument("--seed", type=int, default=0, help="of what is random")
    given = parser.parse_args()
    if unknown := set(given.attacks) - ATTACKS.keys():
        parser.error(f"no such attack: {', '.join(sorted(unknown))}")
    wanted = given.attacks or list(ATTACKS)
    needs = {"power": "ext4", "full": "tmpfs", "readonly": "tmpfs"}
    left_out = {name: why for name in wanted if (why := mounts.why_not(needs[name]) if name in needs else "")}
    outcomes = campaign([name for name in wanted if name not in left_out], given.share, given.seed)
    print(table(outcomes))
    for name, why in left_out.items():
        print(f"left out: {name}: {why}")
    return int(bool(left_out) or any(outcome.problems for outcome, _ in outcomes))


if __name__ == "__main__":
    sys.exit(main())
