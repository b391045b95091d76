"""Another commit of the program and this one in turns: ``python -m benchmarks.against OTHER [--pairs N] [--only get]``.

OTHER is a checkout of the other commit, with its environment in ``.venv``.  Both ask the same archive, that of this
checkout.  The one that begins changes from pair to pair, and the first pair of each kind is not counted.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks import content
from benchmarks.archive import DANDISET, Row
from benchmarks.get import environment as our_environment
from benchmarks.served import served

TOP = Path(__file__).parents[1]
Run = Callable[["Program", Path], list[str]]
"""The command of one run; the folder is new, and its own."""


@dataclass(frozen=True, slots=True)
class Program:
    """A checkout, and the Python of its environment."""

    top: Path
    python: Path

    def module(self, *arguments: object) -> list[str]:
        """The command that starts a module of the checkout's benchmarks."""
        return [str(self.python), "-m", *map(str, arguments)]

    def script(self, *arguments: object) -> list[str]:
        """The command ``dandi-mirror``."""
        return [str(self.python.parent / "dandi-mirror"), *map(str, arguments)]


@dataclass(frozen=True, slots=True)
class Cost:
    """What one run took, in seconds: by the clock, and of the processors, with all programs that it started."""

    wall: float
    processor: float


def measured(program: Program, command: list[str], more: Mapping[str, str]) -> Cost:
    """Run a command, which must succeed."""
    environment = {**os.environ, **more}
    # the pair that is not counted writes the bytecode, as an installed program has it
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run(command, cwd=program.top, env=environment, stdout=subprocess.DEVNULL, check=True)
    wall, after = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Cost(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def in_turns(name: str, folder: Path, programs: list[Program], pairs: int, run: Run, **more: str) -> Row:
    """A row: medians of both programs, and medians of the ratios of pairs, this one to the other."""
    found: list[list[Cost]] = [[], []]
    for pair in range(pairs + 1):
        for place in (0, 1) if pair % 2 else (1, 0):
            work = Path(tempfile.mkdtemp(dir=folder))
            cost = measured(programs[place], run(programs[place], work), more)
            if pair:
                found[place].append(cost)
    both = list(zip(*found, strict=True))
    medians = [f"{statistics.median(cost.wall for cost in costs):.2f}" for costs in found]
    walls = statistics.median(ours.wall / other.wall for other, ours in both)
    processors = statistics.median(ours.processor / other.processor for other, ours in both)
    row = (name, str(pairs), *medians, f"{walls:.2f}", f"{processors:.2f}")
    print(*row, sep=" | ", flush=True)
    return row


def syncs(folder: Path, programs: list[Program], pairs: int, assets: int) -> None:
    """A first sync of one Dandiset."""
    with served("archive", assets) as archive:
        name = f"first sync, {assets:,} assets"
        in_turns(name, folder, programs, pairs,
                 lambda one, work: one.module("benchmarks.child", archive.api_url, work / "mirror"))  # fmt: skip


def fleets(folder: Path, programs: list[Program], pairs: int, dandisets: int) -> None:
    """A first sync of many Dandisets, and a run with nothing to do."""
    with served("fleet", "serve", dandisets, 1, 2_000) as archive:

        def run(one: Program, mirror: Path) -> list[str]:
            return one.module("benchmarks.fleet", "run", archive.api_url, mirror, 4)

        in_turns(
            f"first sync, {dandisets:,} Dandisets", folder, programs, pairs, lambda one, work: run(one, work / "m")
        )
        mirrors = {one: folder / f"mirror{place}" for place, one in enumerate(programs)}
        for one in programs:
            measured(one, run(one, mirrors[one]), {})
        in_turns("the same, nothing to do", folder, programs, 4 * pairs, lambda one, _: run(one, mirrors[one]))


def gets(folder: Path, programs: list[Program], pairs: int, files: int) -> None:
    """``get`` of many files into fresh clones."""
    (Path(os.environ["HOME"]) / ".gitconfig").write_text('[annex "security"]\n\tallowed-ip-addresses = 127.0.0.1\n')
    with content.serving(folder / "served", files, 100_000, 0) as (api_url, urls):
        more = {**our_environment(), "DANDI_MIRROR_CONTENT_HOSTS": urlsplit(urls[0]).netloc}
        mirror = folder / "mirror"
        measured(programs[1], programs[1].script("sync", DANDISET, "-d", mirror, "-i", api_url), more)

        def run(one: Program, work: Path) -> list[str]:
            clone = work / "clone"
            subprocess.run(["git", "clone", "-q", mirror / DANDISET, clone], check=True)
            subprocess.run(["git", "annex", "init", "-q"], cwd=clone, env={**os.environ, **more}, check=True)
            return one.script("get", clone, "-i", api_url)

        in_turns(f"get, {files:,} × 100,000 bytes", folder, programs, pairs, run, **more)


def main() -> None:
    """Print a row for each kind of run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.against", description=__doc__)
    parser.add_argument("other", type=Path)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--assets", type=int, default=10_000)
    parser.add_argument("--dandisets", type=int, default=100)
    parser.add_argument("--files", type=int, default=1_000)
    parser.add_argument("--only", nargs="+", choices=("sync", "fleet", "get"), default=("sync", "fleet", "get"))
    arguments = parser.parse_args()
    other = arguments.other.resolve()
    programs = [Program(other, other / ".venv/bin/python"), Program(TOP, Path(sys.executable))]
    print(f"load {os.getloadavg()[0]:.1f}; seconds are medians; ratios are medians of pairs, this commit to the other")
    print("run | pairs | seconds, other | seconds, this | ratio of seconds | ratio of processor time")
    runs = {"sync": (syncs, arguments.assets), "fleet": (fleets, arguments.dandisets), "get": (gets, arguments.files)}
    for benchmark, count in (runs[name] for name in arguments.only):
        with tempfile.TemporaryDirectory(prefix="dandi-mirror-benchmark-") as name:
            os.environ["HOME"] = name
            (work := Path(name) / "work").mkdir()
            benchmark(work, programs, arguments.pairs, count)
    print(f"load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
