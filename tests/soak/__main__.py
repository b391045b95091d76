"""The whole soak: ``python -m tests.soak``; a table, and 1 if anything did not hold.

``--seed`` makes the same changes and the same runs; threads meet them in an order of their own.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter

from .campaign import Soaked, soak


def table(soaked: Soaked) -> str:
    """What was done, and what came of it."""
    codes = {f"runs that ended with {code}": count for code, count in sorted(soaked.codes.items())}
    rows: dict[str, object] = {
        "runs": sum(soaked.codes.values()),
        **codes,
        "changes of the archive": sum(soaked.happened.values()),
        **_indented(soaked.happened),
        "changes while a run was asking, tried": soaked.during,
        "faults": sum(soaked.faults.values()),
        **_indented(soaked.faults),
        "runs at rest until one had nothing to do": soaked.settled_after,
        "datasets in the end": soaked.datasets,
        "tags in the end": soaked.tags,
        "seconds": round(soaked.seconds),
        "problems": len(soaked.problems),
    }
    return "\n".join(f"{what:<42} {number:>6}" for what, number in rows.items())


def _indented(counts: Counter[str]) -> dict[str, object]:
    return {f"  {what}": count for what, count in sorted(counts.items())}


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--runs", type=int, default=200, help="how many (default: 200)")
    parser.add_argument("--seed", type=int, default=0, help="of what is random")
    given = parser.parse_args()
    soaked = soak(given.runs, given.seed)
    for problem in soaked.problems:
        print(f"FAILED seed {given.seed}: {problem}")
    print(table(soaked))
    return int(bool(soaked.problems))


if __name__ == "__main__":
    sys.exit(main())
