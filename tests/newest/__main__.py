"""All histories: ``python -m tests.newest``; a table, and 1 if anything did not hold."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.conftest import own_home

from .history import begun


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m tests.newest", description=__doc__)
    parser.add_argument("--histories", type=int, default=500, help="how many (default: 500)")
    parser.add_argument("--rounds", type=int, default=5, help="syncs of each (default: 5)")
    parser.add_argument("--seed", type=int, default=0, help="of the first history")
    given = parser.parse_args()
    for name in [name for name in os.environ if name.startswith(("GIT_", "DANDI", "XDG_", "DATALAD"))]:
        del os.environ[name]
    happened: Counter[str] = Counter()
    spared, problems, began = 0, 0, time.monotonic()
    for seed in range(given.seed, given.seed + given.histories):
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            os.environ.update(own_home(Path(folder) / "home"))
            with begun(seed, Path(folder)) as history:
                found = list(history.rounds(given.rounds))
            happened += history.happened
            spared += history.spared
        for problem in found:
            print(f"FAILED --seed {seed} --histories 1: {problem}", flush=True)
        problems += bool(found)
    print("\n".join(f"  {what:<30} {count:>6}" for what, count in sorted(happened.items())))
    took, syncs = time.monotonic() - began, given.histories * given.rounds
    print(
        f"{given.histories} histories, {syncs} syncs, {spared} by the newest entries, {took:.0f} s, {problems} problems"
    )
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())
