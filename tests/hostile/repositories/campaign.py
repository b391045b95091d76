"""So many hostile repositories, each through every command that reads it."""

from __future__ import annotations

import random
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.hostile.repositories import in_commits, in_folders, in_git, in_settings
from tests.hostile.repositories.catalogue import CATALOGUE, in_order
from tests.hostile.repositories.commands import commands
from tests.hostile.repositories.judge import Judge, Problem
from tests.hostile.repositories.stage import CLONE, MIRROR, Stage, World, staged
from tests.hostile.repositories.watching import watch
from tests.hostile.repositories.world import begin

__all__ = ["in_commits", "in_folders", "in_git", "in_settings"]
KINDS = (CLONE, MIRROR)
MOST = 4
"""Mutations of one repository."""


@dataclass(frozen=True)
class Hostile:
    """One repository: what it is, and what is wrong with it."""

    seed: str
    kind: str
    mutations: tuple[str, ...]

    def __str__(self) -> str:
        return f"--only {self.seed} ({self.kind}: {' + '.join(self.mutations) or 'honest'})"


@dataclass
class Found:
    """What came of one repository."""

    hostile: Hostile
    runs: int = 0
    codes: Counter[int] = field(default_factory=Counter)
    problems: list[tuple[str, Problem]] = field(default_factory=list)
    """With the command."""
    granted: Counter[str] = field(default_factory=Counter)
    """What is not promised, and was seen."""


def chosen(number: int, seed: int) -> list[Hostile]:
    """So many: first every mutation by itself, in an order that the seed makes; then some at once."""
    chance = random.Random(seed)
    alone = [Hostile(f"{seed}", kind, (each.name,)) for each in CATALOGUE.values() for kind in each.kinds]
    chance.shuffle(alone)
    found = alone[: number * 3 // 4]
    while len(found) < number:
        kind = chance.choice(KINDS)
        fitting = [each.name for each in CATALOGUE.values() if kind in each.kinds]
        found.append(Hostile("", kind, tuple(chance.sample(fitting, chance.randint(2, MOST)))))
    return [Hostile(f"{seed}-{place}", one.kind, one.mutations) for place, one in enumerate(found)]


def examine(world: World, hostile: Hostile, most: int | None = None) -> Found:
    """Make a repository, and run every command in it, or so many of them."""
    found = Found(hostile)
    with staged(world, hostile.kind, hostile.seed) as stage:
        for mutation in in_order(list(hostile.mutations)):
            # what one has made may be in the way of another
            with suppress(OSError, subprocess.CalledProcessError, LookupError, TypeError, ValueError, RecursionError):
                mutation.change(stage)
        granted = {kind for name in hostile.mutations for kind in CATALOGUE[name].granted}
        judge = Judge(stage)
        judge.begin()
        for command in commands(stage, most):
            seen = watch(command, stage.top, environment(stage), stage.folder / "trace")
            found.runs += 1
            found.codes[seen.code] += 1
            for problem in judge.problems(seen):
                if problem.kind in granted:
                    found.granted[problem.kind] += 1
                else:
                    found.problems.append((" ".join(command), problem))
    return found


def environment(stage: Stage) -> dict[str, str]:
    """Of the commands: the program under test is this one, wherever it stands."""
    return stage.environment | {"PYTHONPATH": str(Path(__file__).parents[3])}


def run_some(hostiles: Sequence[Hostile], most: int | None = None, folder: Path | None = None) -> list[Found]:
    """One world, and these repositories in it."""
    return list(_run(hostiles, most, folder))


def _run(hostiles: Iterable[Hostile], most: int | None, folder: Path | None) -> Iterator[Found]:
    memory = Path("/dev/shm")
    where = folder or (memory if memory.is_dir() else None)
    temporary = tempfile.TemporaryDirectory(prefix="hostile-", dir=where, ignore_cleanup_errors=True)
    with temporary as name, begin(Path(name)) as world:
        for hostile in hostiles:
            found = examine(world, hostile, most)
            for command, problem in found.problems:
                print(f"FAILED {hostile}: {command}: {problem.kind}: {problem.detail!r}", flush=True)
            yield found


def campaign(hostiles: Sequence[Hostile], jobs: int, most: int | None = None) -> list[Found]:
    """All of them, by so many processes, each with an archive and listeners of its own."""
    if jobs == 1:
        return run_some(hostiles, most)
    with ProcessPoolExecutor(jobs) as pool:
        shares = [hostiles[place::jobs] for place in range(jobs)]
        return [found for some in pool.map(run_some, shares, [most] * jobs) for found in some]


def table(found: Sequence[Found]) -> str:
    """What was found, by kind: in how many repositories, by how many runs, and what was wrong with them."""
    runs: Counter[str] = Counter()
    where: dict[str, Counter[str]] = {}
    commands_of: dict[str, Counter[str]] = {}
    for one in found:
        for command, problem in one.problems:
            runs[problem.kind] += 1
            commands_of.setdefault(problem.kind, Counter())[command.split()[0]] += 1
        for kind in {problem.kind for _, problem in one.problems}:
            where.setdefault(kind, Counter())[" + ".join(one.hostile.mutations) or "honest"] += 1
    lines = []
    for kind, count in runs.most_common():
        by = ", ".join(f"{name} {number}" for name, number in commands_of[kind].most_common())
        lines += [f"{kind}: {sum(where[kind].values())} repositories, {count} runs ({by})"]
        lines += [f"    {names}" for names in sorted(where[kind]) if " + " not in names]
    codes = sum((one.codes for one in found), Counter())
    lines.append(f"exit codes: {', '.join(f'{code}: {number}' for code, number in sorted(codes.items()))}")
    granted = sum((one.granted for one in found), Counter())
    lines.append(
        f"not promised, and seen: {', '.join(f'{kind}: {number}' for kind, number in granted.items()) or 'nothing'}"
    )
    failed = sum(bool(one.problems) for one in found)
    lines.append(f"{len(found)} repositories, {sum(one.runs for one in found)} runs, {failed} repositories failed")
    return "\n".join(lines)
