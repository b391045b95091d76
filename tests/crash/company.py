"""Attacks by others: four syncs at once, a ``git gc`` beside a sync, somebody who wants it to end."""

from __future__ import annotations

import os
import random
import re
import signal
import time
from contextlib import suppress

from dandi_mirror.archive.instances import token_variable
from tests.support.moments import reaches

from .judge import broken, next_run_heals, not_as_should_be, traceback
from .world import REPOSITORIES, Outcome, World

AT_ONCE = 4
_HOLDER = re.compile(r"is held by process \d+ on \S+ since ")


def all_at_once(world: World, scenario: str, round_: int) -> Outcome:
    """Four syncs: one does it all, the others leave at once or find it done."""
    tokens = [f"{round_ * AT_ONCE + number:040x}" for number in range(1, AT_ONCE + 1)]
    for token in tokens:
        world.server.archive.add_user(f"{token}@example.org", token)
    variable = token_variable(world.server.api_url)
    with world.mirror(scenario) as mirror:
        world.server.requests.clear()
        children = [world.start(mirror, **{variable: token}) for token in tokens]
        ends = [(child, *child.communicate(timeout=60)) for child in children]
        problems = []
        winners = 0
        for token, (child, output, errors) in zip(tokens, ends, strict=True):
            asked = sum(request.headers.get("authorization") == f"token {token}" for request in world.server.requests)
            winners += child.returncode == 0 and bool(output)
            problems += _loser(child.returncode, output, errors, asked)
        if winners != 1:
            problems.append(f"{winners} did the work: {[child.returncode for child in children]}")
        problems += not_as_should_be(world, mirror, scenario)
    return Outcome("4 syncs at once", f"{scenario}: round {round_}", winners == 1, problems)


def _loser(code: int, output: str, errors: str, asked: int) -> list[str]:
    """What is wrong with how one ended that did not do the work."""
    if code == 75:
        return [] if _HOLDER.search(errors) else [f"75 names no holder: {errors}"]
    if code == 0 and not output:
        return [] if asked == 2 else [f"found it done by {asked} requests"]
    return [] if code == 0 else [f"ended with {code}: {errors.strip()[-300:]}"]


def collect_garbage(world: World, scenario: str, chance: random.Random, *, after_a_kill: bool) -> Outcome:
    """``git gc --prune=now`` at random moments beside a sync, until it ends.

    ``after_a_kill``: what a killed run has left is garbage too, and the sync would use it again.
    """
    with world.mirror(scenario) as mirror:
        killed = True
        if after_a_kill:
            victim = world.start(mirror)
            killed = reaches(victim, world.moment(scenario, chance))
            with suppress(ProcessLookupError):  # it was faster
                os.killpg(victim.pid, signal.SIGKILL)
            victim.communicate()
        child = world.start(mirror)
        collected = 0
        while child.poll() is None:
            time.sleep(chance.uniform(0.0, 0.2))
            collected += sum(
                world.run(mirror / name, "git", "--git-dir=.git", "gc", "--quiet", "--prune=now").code == 0
                for name in REPOSITORIES
                if (mirror / name / ".git" / "objects" / "info").is_dir()
            )
        _, errors = child.communicate()
        problems = traceback(errors) + broken(world, mirror)
        problems += next_run_heals(world, mirror, scenario)
    what = "git gc --prune=now beside" + (", after a kill" if after_a_kill else "")
    return Outcome(
        what, f"{scenario}: {collected} times, sync ended with {child.returncode}", killed and collected > 0, problems
    )
