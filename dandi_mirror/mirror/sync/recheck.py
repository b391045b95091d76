"""Which Dandisets are read in full though nothing says that they changed: a share on every run, all in a week; pure."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil

DAY = 86400.0  # seconds


def due(verified: Mapping[str, float], now: float, days: float) -> set[str]:
    """The Dandisets to be read in full, so that each is at least every ``days`` days (0: none ever is).

    ``verified`` is when each was, in seconds since 1970.  They are the oldest, and as few as will do if the runs
    to come take an even share each: as many in a run as belong to the time since the last one.
    """
    if not days or not verified:
        return set()
    age = {dandiset: _age(then, now) / (days * DAY) for dandiset, then in verified.items()}
    oldest_first = sorted(age, key=lambda dandiset: (-age[dandiset], dandiset))
    ages = [age[dandiset] for dandiset in oldest_first]
    # taken at an even rate, the one at place i of n waits i/n of the period for its turn, and must not be too old then
    count, least = len(ages), 0
    for place in reversed(range(count)):
        needed = ceil(place - count * (1 - ages[place]))
        if needed > place:
            least = max(least, place + 1)
            break
        least = max(least, needed)
    return set(oldest_first[:least])


def _age(then: float, now: float) -> float:
    """Seconds; what a clock that was wrong has noted for the future is as good as never."""
    return now - then if then <= now else now
