"""The whole campaign: ``python -m tests.institutions``; a table, and 1 if anything did not hold.

Ten institutions on this machine pledge 2.2 times the archive, hold it in rounds, and are compared with their disks.
Then one lies, and then the archive and each of some pairs of institutions are gone, and all that is left is restored.
"""

from __future__ import annotations

import argparse
import os
import sys
import time

from tests.institutions.campaign import Scale, campaign
from tests.institutions.world import NAMES


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m tests.institutions", description=__doc__)
    parser.add_argument("--institutions", type=int, default=10, choices=range(3, len(NAMES) + 1), metavar="3-10")
    parser.add_argument("--keys", type=int, default=300, help="files of the archive (default: 300)")
    parser.add_argument("--pairs", type=int, default=10, help="pairs that go away, of 45 (default: 10)")
    parser.add_argument("--seed", type=int, default=0, help="of what is random, but for UUIDs and challenges")
    given = parser.parse_args()
    for name in [name for name in os.environ if name.startswith(("GIT_", "DANDI", "XDG_", "DATALAD"))]:
        del os.environ[name]
    began = time.monotonic()
    outcome = campaign(Scale(given.institutions, given.keys, given.pairs), given.seed)
    for problem in outcome.problems:
        print(f"FAILED seed {given.seed}: {problem}")
    rows = outcome.rows | {"seconds": round(time.monotonic() - began), "problems": len(outcome.problems)}
    for what, number in rows.items():
        print(f"{what:<62} {number if isinstance(number, str) else f'{number:,}':>14}")
    return int(bool(outcome.problems))


if __name__ == "__main__":
    sys.exit(main())
