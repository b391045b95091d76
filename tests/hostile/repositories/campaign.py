"""So many hostile repositories, each through every command that reads it."""

from __future__ import annotations

import random
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tests.hostile.repositories import in_commits, in_folders, in_git, in_settings, in_zarrs
from tests.hostile.repositories.catalogue import CATALOGUE, in_order
from tests.hostile.repositories.commands import commands, completing, is_completed
from tests.hostile.repositories.judge import Judge, Problem
from tests.hostile.repositories.stage import CLONE, MIRROR, Stage, World, own_home_variables, staged
from tests.hostile.repositories.warm import warm
from tests.hostile.repositories.watching import Seen, watch
from tests.hostile.repositories.world import begin

__all__ = ["in_commits", "in_folders", "in_git", "in_settings", "in_zarrs"]
KINDS = (CLONE, MIRROR)
Run = Callable[[Sequence[str], Path, dict[str, str]], Seen]
"""Runs a command in a folder."""
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
    commands: Counter[str] = field(default_factory=Counter)
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


def examine(world: World, hostile: Hostile, most: int | None = None, run: Run = watch) -> Found:
    """Make a repository, and run every command in it, or so many of them.

    Raises:
        Exception: what is wrong with it could not be made.
    """
    found = Found(hostile)
    with staged(world, hostile.kind, hostile.seed) as stage:
        for mutation in in_order(list(hostile.mutations)):
            # what one has made may be in the way of another
            with suppress(Exception) if len(hostile.mutations) > 1 else nullcontext():
                mutation.change(stage)
        granted = {kind for name in hostile.mutations for kind in CATALOGUE[name].granted}
        judge = Judge(stage)
        judge.begin()
        for command in commands(stage, most):
            variables = environment(stage) | completing(command)
            seen = run([] if is_completed(command) else command, stage.top, variables)
            found.runs += 1
            found.codes[seen.code] += 1
            found.commands[command[0]] += 1
            for problem in judge.problems(seen):
                if problem.kind in granted:
                    found.granted[problem.kind] += 1
                else:
                    found.problems.append((" ".join(command), problem))
    return found


def environment(stage: Stage) -> dict[str, str]:
    """Of the commands: the program under test is this one, wherever it stands."""
    return stage.environment | {"PYTHONPATH": str(Path(__file__).parents[3])}


def run_some(
    hostiles: Sequence[Hostile], most: int | None = None, folder: Path | None = None, *, fresh: bool = False
) -> list[Found]:
    """One world, and these repositories in it; each command is a fork of the loaded program, unless ``fresh``."""
    memory = Path("/dev/shm")
    where = folder or (memory if memory.is_dir() else None)
    temporary = tempfile.TemporaryDirectory(prefix="hostile-", dir=where, ignore_cleanup_errors=True)
    found = []
    with (
        temporary as name,
        begin(Path(name)) as world,
        warm(Path(name), own_home_variables(Path(name) / "home")) as program,
    ):
        for place, hostile in enumerate(hostiles, start=1):
            found.append(_examined(world, hostile, most, watch if fresh else program.watch))
            for command, problem in found[-1].problems:
                print(f"FAILED {hostile}: {command}: {problem.kind}: {problem.detail!r}", flush=True)
            print(f"{place} of {len(hostiles)}", file=sys.stderr, flush=True)
    return found


def _examined(world: World, hostile: Hostile, most: int | None, run: Run) -> Found:
    """Like :func:`examine`; where the campaign itself fails, that is one more problem, and it goes on."""
    try:
        return examine(world, hostile, most, run)
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        detail = f"{type(error).__name__}: {error} ({Path(where.filename).name}, line {where.lineno})"
        return Found(hostile, problems=[("the campaign", Problem("the campaign itself failed", detail))])


def campaign(hostiles: Sequence[Hostile], jobs: int, most: int | None = None, *, fresh: bool = False) -> list[Found]:
    """All of them, by so many processes, each with an archive and listeners of its own."""
    if jobs == 1:
        return run_some(hostiles, most, fresh=fresh)
    run = partial(run_some, most=most, fresh=fresh)
    with ProcessPoolExecutor(jobs) as pool:
        return [found for some in pool.map(run, [hostiles[place::jobs] for place in range(jobs)]) for found in some]


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
    every = sum((one.commands for one in found), Counter())
    lines.append(f"runs of each command: {', '.join(f'{name} {number}' for name, number in every.most_common())}")
    codes = sum((one.codes for one in found), Counter())
    lines.append(f"exit codes: {', '.join(f'{code}: {number}' for code, number in sorted(codes.items()))}")
    granted = sum((one.granted for one in found), Counter())
    lines.append(
        f"not promised, and seen: {', '.join(f'{kind}: {number}' for kind, number in granted.items()) or 'nothing'}"
    )
    failed = sum(bool(one.problems) for one in found)
    lines.append(f"{len(found)} repositories, {sum(one.runs for one in found)} runs, {failed} repositories failed")
    return "\n".join(lines)
