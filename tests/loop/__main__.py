"""The whole loop: ``python -m tests.loop``; a table, and 1 if anything did not hold."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from tests.conftest import own_home

from .campaign import begin


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m tests.loop", description=__doc__)
    parser.add_argument("--rounds", type=int, default=200, help="how many sequences of edits (default: 200)")
    parser.add_argument("--each", type=int, default=20, help="how many of them in one clone (default: 20)")
    parser.add_argument("--seed", type=int, default=0, help="of what is random")
    parser.add_argument("--kills", action="store_true", help="kill each upload once or twice before it may end")
    given = parser.parse_args()
    for name in [name for name in os.environ if name.startswith(("GIT_", "DANDI", "XDG_", "DATALAD"))]:
        del os.environ[name]
    done, problems, edits, kills, tries, began = 0, 0, 0, 0, 0, time.monotonic()
    while done < given.rounds:
        seed = given.seed + done
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            os.environ.update(own_home(Path(folder) / "home"))
            with begin(seed, Path(folder)) as loop:
                (loop.killed_rounds if given.kills else loop.rounds)(min(given.each, given.rounds - done))
                kills += loop.kills
                tries += loop.tries
                edits += sum(loop.edits.did.values())
                for problem in loop.problems:
                    print(f"FAILED --seed {seed} --rounds {given.each}: {problem}", flush=True)
                problems += bool(loop.problems)
            run_free(Path(folder))
        done += given.each
    took = time.monotonic() - began
    print(f"{done} rounds, {edits} edits, {kills}/{tries} kills struck, {took:.0f} seconds, {problems} problems")
    return int(bool(problems))


def run_free(folder: Path) -> None:
    """Let what git-annex keeps from being deleted be deleted."""
    for path in folder.rglob("*"):
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o755)


if __name__ == "__main__":
    sys.exit(main())
