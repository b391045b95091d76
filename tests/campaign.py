"""All campaigns, and one table: ``python -m tests.campaign``; it ends with 1 if anything did not hold.

``--share 0.1`` makes a tenth of each; names choose among them; ``--list`` prints the commands and runs nothing.  Each
campaign is a command of its own, which says more when it is run alone.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Campaign:
    """One campaign."""

    what: str
    """What it proves."""
    command: Callable[[float], list[str]]
    """The arguments of Python that make a share of it."""


def _some(share: float, whole: int, least: int = 1) -> str:
    return str(max(least, round(share * whole)))


def _pytest(share: float, *paths: str) -> list[str]:
    """The tests of these paths; the long ones only in the whole campaign."""
    return ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "" if share >= 1 else "not slow", *paths]


CAMPAIGNS: dict[str, Campaign] = {
    "crash": Campaign(
        "kills, power cuts, full and read-only disks, several syncs at once",
        lambda share: ["-m", "tests.crash", "--share", f"{share:g}"],
    ),
    "loop": Campaign(
        "random edits, uploaded, synced and compared",
        lambda share: ["-m", "tests.loop", "--rounds", _some(share, 200, 4), "--each", _some(share, 20, 4)],
    ),
    "kills": Campaign(
        "the same, and each upload is killed",
        lambda share: ["-m", "tests.loop", "--kills", "--rounds", _some(share, 100, 4), "--each", _some(share, 20, 4)],
    ),
    "soak": Campaign(
        "many runs over an archive that never rests",
        lambda share: ["-m", "tests.soak", "--runs", _some(share, 200, 5)],
    ),
    "newest": Campaign(
        "histories of a draft: the newest list entries against reading everything",
        lambda share: ["-m", "tests.newest", "--histories", _some(share, 500, 3)],
    ),
    "faults": Campaign(
        "faults of the network, at each kind of request of sync, get and upload",
        lambda share: _pytest(share, "tests/faults"),
    ),
    "get and push": Campaign(
        "kills of get, organize and push",
        lambda share: _pytest(share, "tests/crash/test_get.py", "tests/crash/test_organize.py", "tests/push/"),
    ),
    "hostile": Campaign(
        "repositories, records and paths that were made with bad intent",
        lambda share: ["-m", "tests.hostile", "--repositories", _some(share, 300, 3)],
    ),
    "verify": Campaign(
        "seeded corruptions: named, repaired, and repaired in spite of kills",
        lambda share: ["-m", "tests.verify", "--share", f"{share:g}"],
    ),
    "institutions": Campaign(
        "ten mirrors share an archive, one lies, and what is left comes back without two of them and the archive",
        lambda share: [
            "-m", "tests.institutions", "--institutions", "10" if share >= 0.5 else "3",
            "--keys", _some(share, 300, 20), "--pairs", _some(share, 10),
        ],
    ),
    "hold": Campaign(
        "kills of hold; what other mirrors claim, and what comes back from them",
        lambda share: _pytest(share, "tests/copies"),
    ),
    "tokens": Campaign(
        "API keys and signed URLs in logs, arguments, objects, and requests to other hosts",
        lambda share: _pytest(
            share, "tests/test_token.py", "tests/hostile/test_keys.py", "tests/upload/test_answers.py",
            "tests/embargo/",
        ),
    ),
}  # fmt: skip


def run(name: str, share: float) -> tuple[int, str, float]:
    """Run a campaign, and show what it prints: its exit code, the last line that it printed, and the seconds."""
    began, last = time.monotonic(), ""
    command = [sys.executable, *CAMPAIGNS[name].command(share)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as child:
        assert child.stdout
        for line in child.stdout:
            print(line, end="", flush=True)
            last = line.strip() or last
    return child.returncode, last, time.monotonic() - began


def main(arguments: list[str] | None = None) -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaign", description=__doc__)
    parser.add_argument("campaigns", nargs="*", metavar="NAME", help=f"of {', '.join(CAMPAIGNS)}; default: all")
    parser.add_argument("--share", type=float, default=1.0, help="how much of each (default: 1, all)")
    parser.add_argument("--list", action="store_true", help="print the commands, and run nothing")
    given = parser.parse_args(arguments)
    if unknown := set(given.campaigns) - CAMPAIGNS.keys():
        parser.error(f"no such campaign: {', '.join(sorted(unknown))}")
    chosen = given.campaigns or list(CAMPAIGNS)
    if given.list:
        for name in chosen:
            print(f"{name:<13} python {shlex.join(CAMPAIGNS[name].command(given.share))}")
            print(f"{'':<13} {CAMPAIGNS[name].what}")
        return 0
    rows = [(name, *run(name, given.share)) for name in chosen]
    print(f"\n{'campaign':<13} {'result':<7} {'seconds':>8}  last line")
    for name, code, last, seconds in rows:
        print(f"{name:<13} {'holds' if code == 0 else 'FAILED':<7} {seconds:>8,.0f}  {last}")
    return int(any(code for _, code, _, _ in rows))


if __name__ == "__main__":
    sys.exit(main())
