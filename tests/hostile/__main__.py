"""Hostile repositories: ``python -m tests.hostile --repositories 300 --seed 1``; what does not hold, and 1 if anything.

Three of four have one thing wrong with them, the others some at once.  ``--only 1-17`` makes one of them again,
``--mutation TEXT`` those that are called so (``--list`` names all), ``--honest`` the ones with which nothing is wrong.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time

from tests.hostile.repositories.campaign import KINDS, Hostile, campaign, chosen, table
from tests.hostile.repositories.catalogue import CATALOGUE


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m tests.hostile", description=__doc__)
    parser.add_argument("--repositories", type=int, default=300, help="how many (default: 300)")
    parser.add_argument("--seed", type=int, default=1, help="of what is random")
    parser.add_argument("--jobs", type=int, default=min(4, os.cpu_count() or 1), help="at once")
    parser.add_argument("--commands", type=int, help="in each, at random (default: all)")
    parser.add_argument("--only", action="append", default=[], help="one of them, as a failure names it")
    parser.add_argument(
        "--mutation", action="append", default=[], help="every one in whose name this stands, by itself"
    )
    parser.add_argument("--honest", action="store_true", help="a clone and a mirror with which nothing is wrong")
    parser.add_argument("--fresh", action="store_true", help="start each command in a process of its own (slow)")
    parser.add_argument("--list", action="store_true", help="name all that may be wrong")
    given = parser.parse_args()
    if given.list:
        print("\n".join(f"{each.name}  ({', '.join(each.kinds)})" for each in CATALOGUE.values()))
        return 0
    if not shutil.which("strace"):
        parser.error("strace is not installed: nobody would see what is opened")
    hostiles = chosen(given.repositories, given.seed)
    if given.mutation:
        named = [each for each in CATALOGUE.values() if any(text in each.name for text in given.mutation)]
        both = [(each, kind) for each in named for kind in each.kinds]
        hostiles = [Hostile(f"named-{n}", kind, (each.name,)) for n, (each, kind) in enumerate(both)]
    if given.honest:
        hostiles = [Hostile(f"honest-{kind}", kind, ()) for kind in KINDS]
    hostiles = [one for one in hostiles if not given.only or one.seed in given.only]
    began = time.monotonic()
    found = campaign(hostiles, max(1, min(given.jobs, len(hostiles))), given.commands, fresh=given.fresh)
    print(f"{table(found)}, {time.monotonic() - began:.0f} seconds")
    return int(any(one.problems for one in found))


if __name__ == "__main__":
    sys.exit(main())
