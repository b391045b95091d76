"""Which Dandisets a run reads in full though nothing shows a change: a share of them on every run; pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil

DAY = 86400.0  # seconds


def due(verified: Mapping[str, float], now: float, days: float) -> set[str]:
    """The Dandisets that this run reads in full, so that each is read in full every ``days`` days (0: never).

    ``verified`` says when each was read in full, in seconds since 1970.  The run takes those that were read longest
    ago, and no more than its share: the part of the period that has passed since the last run.
    """
    if not days or not verified:
        return set()
    age = {dandiset: _age(then, now) / (days * DAY) for dandiset, then in verified.items()}
    oldest_first = sorted(age, key=lambda dandiset: (-age[dandiset], dandiset))
    ages = [age[dandiset] for dandiset in oldest_first]
    # at an even rate, the Dandiset at place i of n waits i/n of the period for its turn, and must not be too old then
    count, least = len(ages), 0
    for place in reversed(range(count)):
        needed = ceil(place - count * (1 - ages[place]))
        if needed > place:
            least = max(least, place + 1)
            break
        least = max(least, needed)
    return set(oldest_first[:least])


def _age(then: float, now: float) -> float:
    """Seconds since ``then``; a time in the future, from a wrong clock, counts as never."""
    return now - then if then <= now else now
