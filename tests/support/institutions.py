"""Institutions that hold shares of an archive without a coordinator: pure, as the planner of ``hold`` is."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field

from dandi_mirror.mirror.copies.planner import HoldKey, HoldPlan, plan_hold

WEIGHTS = (1.0, 0.7, 0.5, 0.4, 0.3, 0.2, 0.15, 0.1, 0.08, 0.05)
"""How large the pledges of ten institutions are, beside each other."""


@dataclass
class Institutions:
    """Some institutions with their pledges, and an archive of keys."""

    sizes: list[int]
    """Bytes of each key."""
    pledges: list[int]
    seed: int = 0
    held: list[set[int]] = field(default_factory=list)
    alive: set[int] = field(default_factory=set)
    archive: bool = True

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        self.held = [set() for _ in self.pledges]
        self.alive = set(range(len(self.pledges)))
        self.years = [2019 + self.chance.randrange(7) for _ in self.sizes]
        self.published = [self.chance.random() < 0.7 for _ in self.sizes]

    def copies(self, among: Iterable[int] | None = None) -> list[int]:
        """How many institutions hold each key."""
        counts = [0] * len(self.sizes)
        for who in self.alive if among is None else among:
            for key in self.held[who]:
                counts[key] += 1
        return counts

    def plan(self, who: int, counts: list[int], numcopies: int) -> HoldPlan:
        """What one institution plans that knows these counts of copies."""
        mine = self.held[who]
        keys = [
            HoldKey(
                str(key), size, key in mine, counts[key] - (key in mine), self.years[key], self.published[key],
                self.archive or counts[key] > 0,
            )
            for key, size in enumerate(self.sizes)
        ]  # fmt: skip
        return plan_hold(keys, self.pledges[who], numcopies, f"institution {who}")

    def round(self, numcopies: int = 2, *, stale: bool = False, share: float = 0.1) -> bool:
        """Let each institution carry out a plan, in random order; whether anything changed.

        In one round, each fetches at most a ``share`` of its pledge.  ``stale``: all know only what was so at the
        beginning of the round, as if all had begun at the same moment.
        """
        changed, before = False, self.copies()
        for who in self.chance.sample(sorted(self.alive), len(self.alive)):
            counts = before if stale else self.copies()
            changed |= self._carry_out(who, self.plan(who, counts, numcopies), numcopies, share)
        return changed

    def _carry_out(self, who: int, plan: HoldPlan, numcopies: int, share: float) -> bool:
        mine, now = self.held[who], self.copies()
        used = sum(self.sizes[key] for key in mine)
        for gone in plan.give_up:
            # as git-annex does: it looks at the other repositories before it drops
            if now[int(gone.name)] - 1 >= numcopies:
                mine.discard(int(gone.name))
                used -= gone.size
        allowed, changed = share * self.pledges[who], bool(plan.give_up)
        for new in plan.fetch:
            if allowed <= 0:
                break
            if used + new.size <= self.pledges[who]:
                mine.add(int(new.name))
                used += new.size
                allowed -= new.size
                changed = True
        return changed

    def with_copies(self, least: int) -> int:
        """Bytes of which there are at least so many copies."""
        return sum(size for size, count in zip(self.sizes, self.copies(), strict=True) if count >= least)

    def possible_twice(self) -> int:
        """Bytes of which there could be two copies at most: no institution holds a key twice."""
        low, high = 0, sum(self.sizes)
        while low < high:
            middle = (low + high + 1) // 2
            fits = sum(min(pledge, middle) for pledge in self.pledges) >= 2 * middle
            low, high = (middle, high) if fits else (low, middle - 1)
        return low


def uneven_pledges(archive: int, institutions: int = 10, times: float = 2.2) -> list[int]:
    """Pledges of some institutions, at most ten, that together are so many times the bytes of the archive."""
    weights = WEIGHTS[:institutions]
    return [int(archive * times * weight / sum(weights)) for weight in weights]


def ten(count: int, seed: int = 0) -> Institutions:
    """Ten institutions with uneven pledges that together are 2.2 times the archive."""
    chance = random.Random(seed)
    sizes = [int(min(chance.lognormvariate(17, 2), 5e11)) + 1 for _ in range(count)]
    return Institutions(sizes, uneven_pledges(sum(sizes)), seed)
