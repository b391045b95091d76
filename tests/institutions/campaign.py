"""All steps: hold in rounds, compare, find a liar, lose the archive and two institutions, restore."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tests.institutions import disks
from tests.institutions.comparing import ask_git_annex, compare_coverage
from tests.institutions.losing import lie, lose
from tests.institutions.outcome import Outcome
from tests.institutions.rounds import hold
from tests.institutions.world import World, made

LARGE = 3
"""The liar is one of so many with the largest pledges: so it claims more than a challenge looks at."""


@dataclass(frozen=True)
class Scale:
    """How large a campaign is."""

    institutions: int = 10
    keys: int = 300
    """Files of the archive."""
    pairs: int = 10
    """Pairs of institutions that go away."""
    dandisets: int = 3
    asked: int = 3
    """Mirrors that stock git-annex is asked about."""
    enough: float = 0.95
    """So much of the bytes that could have two copies has them."""


def campaign(scale: Scale, seed: int, folder: Path | None = None) -> Outcome:
    """A whole campaign."""
    outcome, began = Outcome(), time.monotonic()

    def told(step: str) -> None:
        print(f"{time.monotonic() - began:7.0f} s  {step}", file=sys.stderr, flush=True)

    with made(scale.institutions, scale.keys, seed, folder, scale.dandisets) as world:
        _begin(world, outcome)
        told("the mirrors are made")
        hold(world, outcome, scale.enough)
        told("all hold what they pledged")
        compare_coverage(world, outcome)
        ask_git_annex(world, outcome, scale.asked)
        told("coverage and git-annex are compared with the disks")
        lie(world, outcome, world.chance.choice(list(world.institutions)[:LARGE]))
        compare_coverage(world, outcome)
        told("the liar was challenged")
        lose(world, outcome, scale.pairs)
    return outcome


def _begin(world: World, outcome: Outcome) -> None:
    size, pledges = disks.total(world.everything), sum(one.pledge for one in world.institutions.values())
    asked = [url.partition(":")[0] for (asks, _), url in world.urls.items() if asks == "oxford"]
    outcome.rows |= {
        "institutions": len(world.institutions),
        "of these over HTTP": asked.count("http"),
        "of these by ssh": world.without_ssh or asked.count("ssh"),
        "Dandisets": len(world.dandisets),
        "files, with those of Zarrs": len(world.everything),
        "bytes": size,
        "pledges, as many times the archive": round(pledges / size, 2),
    }
