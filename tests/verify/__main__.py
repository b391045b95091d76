"""The whole campaign: ``python -m tests.verify``; a table, and 1 if anything did not hold.

Each corruption is made with each seed in a copy of one mirror: it must be named, and repaired, unless a person has to
decide; then it is made again, and the repair killed four times.  ``--share 0.1`` takes every tenth of these; names of
corruptions choose among them.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tests.conftest import MirrorOfTest, only_asked, own_home
from tests.support.histories import HISTORIES

from .campaign import BY_HAND, check_healthy, check_named, check_repaired, fill, repaired_in_spite_of_kills
from .corruptions import CORRUPTIONS

Attack = Callable[[str, int, MirrorOfTest, Path], int | None]


def _repaired(name: str, seed: int, healthy: MirrorOfTest, folder: Path) -> None:
    if name not in BY_HAND:
        check_repaired(name, seed, healthy, folder)


def _killed(name: str, seed: int, healthy: MirrorOfTest, folder: Path) -> int:
    return repaired_in_spite_of_kills(name, seed, healthy, folder) if name not in BY_HAND else 0


ATTACKS: dict[str, Attack] = {"named": check_named, "repaired": _repaired, "killed": _killed}
HEALTHY = "healthy"
"""Mirrors with which nothing is wrong, by their histories."""


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m tests.verify", description=__doc__)
    parser.add_argument("corruptions", nargs="*", metavar="CORRUPTION", help="a part of its name; default: all")
    parser.add_argument("--share", type=float, default=1.0, help="how many of them (default: 1, all)")
    parser.add_argument("--seeds", type=int, default=3, help="how often each (default: 3)")
    parser.add_argument("--attacks", default=",".join([HEALTHY, *ATTACKS]), help="default: %(default)s")
    given = parser.parse_args()
    chosen = [name for name in CORRUPTIONS if any(word in name for word in given.corruptions or [""])]
    for name in [name for name in os.environ if name.startswith(("GIT_", "DANDI", "XDG_", "DATALAD"))]:
        del os.environ[name]
    wanted = given.attacks.split(",")
    made = [(HEALTHY, name, 0) for name in HISTORIES if HEALTHY in wanted and not given.corruptions]
    for attack in ATTACKS:
        made += [(attack, name, seed) for name in chosen for seed in range(1, given.seeds + 1) if attack in wanted]
    share = given.share
    return _run([one for number, one in enumerate(made) if int((number + 1) * share) > int(number * share)])


def _run(made: list[tuple[str, str, int]]) -> int:
    done, failed, seconds, struck = Counter[str](), Counter[str](), Counter[str](), 0
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as top:
        os.environ.update(own_home(Path(top) / "home"))
        with only_asked(Path(top) / "healthy", fill) as healthy:
            for attack, name, seed in made:
                folder, began = Path(top) / "mirror", time.monotonic()
                try:
                    struck += _one(attack, name, seed, healthy, folder)
                except (AssertionError, Exception):
                    failed[attack] += 1
                    print(f"FAILED {attack}, {name}, seed {seed}:\n{traceback.format_exc()}", flush=True)
                done[attack] += 1
                print(f"{attack}, {name}, seed {seed}", file=sys.stderr, flush=True)
                seconds[attack] += round(time.monotonic() - began)
                _remove(folder)
    for attack in done:
        print(f"{attack:<10} {done[attack]:>5} mirrors {failed[attack]:>4} failed {seconds[attack]:>6} s")
    print(f"{struck} kills struck a repair")
    return int(bool(failed))


def _one(attack: str, name: str, seed: int, healthy: MirrorOfTest, folder: Path) -> int:
    """Make one attack; how many kills struck.  Raises AssertionError if something does not hold."""
    if attack == HEALTHY:
        check_healthy(name, folder)
        return 0
    return int(ATTACKS[attack](name, seed, healthy, folder) or 0)


def _remove(folder: Path) -> None:
    """Remove a mirror; git-annex keeps its files from being deleted."""
    for path in folder.rglob("*"):
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o755)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
