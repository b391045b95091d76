"""Plan which content a mirror holds within its pledge: what to fetch, and what to give up.  Pure.

No mirror tells another what to hold.  Each fetches first what has the fewest copies, and breaks ties by a digest of the
key and of its own UUID, so that mirrors that know the same do not all fetch the same.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from itertools import accumulate

_ROUNDS = 20
"""How often the plan is improved; each time, content with fewer copies takes the place of content with more."""


@dataclass(frozen=True, slots=True)
class HoldKey:
    """A key of a dataset, as the planner sees it."""

    name: str
    """Dandiset and key: content that is in two Dandisets is held, and counted, in each."""
    size: int
    """Bytes."""
    here: bool
    """Whether its content is in this mirror."""
    elsewhere: int
    """Copies in other mirrors, of those that count."""
    year: int = 9999
    """Of the oldest version that has it."""
    published: bool = False
    """Whether a published version has it."""
    available: bool = True
    """Whether it can be fetched: a version has it, and the archive or another mirror has its content."""
    files: int = 1
    """How many files it stands for."""
    is_zarr: bool = False
    """Whether it stands for what is here of a Zarr, or for what is missing: a Zarr is held whole."""


@dataclass(frozen=True, slots=True)
class HoldPlan:
    """What to fetch and what to give up; first give up, then fetch."""

    fetch: tuple[HoldKey, ...] = ()
    give_up: tuple[HoldKey, ...] = ()
    held: int = 0
    """Bytes that the mirror holds afterwards."""
    over: int = 0
    """Bytes that are beyond the pledge, because too few copies of them are elsewhere to give them up."""
    room: int = 0
    """Bytes of the pledge that are left."""
    left_out: tuple[HoldKey, ...] = ()
    """Zarrs that could be fetched, and for which no room is left; the most urgent first."""


Rank = tuple[int, int, bool, int, bytes]


def rank(key: HoldKey, uuid: str) -> Rank:
    """How urgent it is that a mirror holds a key; the lowest comes first.

    First by copies elsewhere, then by age (in years), published or not, size (in powers of two), and at last by a
    digest of the key and the mirror's own ``uuid``.
    """
    tie = sha256(f"{key.name} {uuid}".encode()).digest()[:8]
    return key.elsewhere, key.year, not key.published, key.size.bit_length(), tie


def plan_hold(keys: Iterable[HoldKey], pledge: int, numcopies: int, uuid: str) -> HoldPlan:
    """Plan what a mirror with this ``uuid`` holds within ``pledge`` bytes.

    Nothing is given up of which fewer than ``numcopies`` copies (at least one) are elsewhere.
    """
    ranked = sorted(keys, key=lambda key: rank(key, uuid))
    shelf = _Shelf(ranked, pledge, max(1, numcopies))
    for _ in range(_ROUNDS):
        before = frozenset(shelf.held)
        shelf.shed()
        shelf.fill()
        if before == shelf.held.keys():
            break
    fetch = tuple(key for place, key in enumerate(ranked) if place in shelf.held and not key.here)
    give_up = tuple(key for place, key in enumerate(ranked) if place not in shelf.held and key.here)
    room = max(0, pledge - shelf.used)
    missing = (key for place, key in enumerate(ranked) if place not in shelf.held and not key.here)
    left_out = tuple(key for key in missing if key.is_zarr and key.available and key.size > room)
    return HoldPlan(fetch, give_up, shelf.used, max(0, shelf.used - pledge), room, left_out)


class _Shelf:
    """What the mirror would hold; keys by their place in the order of rank."""

    def __init__(self, ranked: list[HoldKey], pledge: int, numcopies: int) -> None:
        self._ranked = ranked
        self._pledge = pledge
        self._numcopies = numcopies
        self.held = {place: key for place, key in enumerate(ranked) if key.here}
        self.used = sum(key.size for key in self.held.values())

    def shed(self) -> None:
        """Give up what is beyond the pledge, the least urgent first."""
        for place in sorted(self.held, reverse=True):
            if self.used <= self._pledge:
                return
            if self._may_go(self.held[place]):
                self._drop(place)

    def fill(self) -> None:
        """Fetch the most urgent, if need be in place of what has more copies elsewhere."""
        worst_first = [place for place in sorted(self.held, reverse=True) if self._may_go(self.held[place])]
        sums = list(accumulate((self.held[place].size for place in worst_first), initial=0))
        given_up = 0
        for place, key in enumerate(self._ranked):
            if place in self.held or not (key.available or key.here):
                continue
            lacking = key.size - (self._pledge - self.used)
            if lacking > 0:
                upto = bisect_left(sums, sums[given_up] + lacking)
                if upto >= len(sums) or self._ranked[worst_first[upto - 1]].elsewhere <= key.elsewhere:
                    continue
                for victim in worst_first[given_up:upto]:
                    self._drop(victim)
                given_up = upto
            self._take(place)
        for victim in reversed(worst_first[:given_up]):
            # room may be left, if what was given up was larger than what came in its place
            if victim not in self.held and self._ranked[victim].size <= self._pledge - self.used:
                self._take(victim)

    def _may_go(self, key: HoldKey) -> bool:
        # what this plan fetches may be given up again: it is not here yet
        return not key.here or key.elsewhere >= self._numcopies

    def _take(self, place: int) -> None:
        self.held[place] = self._ranked[place]
        self.used += self._ranked[place].size

    def _drop(self, place: int) -> None:
        self.used -= self.held.pop(place).size
