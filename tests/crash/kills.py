"""Kills: before every call by which a sync changes the disk, and at random moments.

strace counts calls per process.  So each git and git-annex that a sync starts, or that these start, is numbered, by a
shim that stands before the real one in ``PATH`` and in git's own folder of programs; a point is a program's number,
a call, and how often that program has made it.  For the sync's own process it also names the file.
"""

from __future__ import annotations

import os
import random
import re
import shlex
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

from dandi_mirror.embedded import Request
from tests.support.children import descendants
from tests.support.moments import reaches

from .counting import until_struck
from .judge import next_run_catches_up, next_run_heals, torn, traceback
from .world import FIRST, SECOND, Done, Outcome, World, begin_world, move_on, spread

CALLS = (
    "rename,renameat,renameat2,link,linkat,unlink,unlinkat,symlink,symlinkat,"
    "open,openat,creat,write,fsync,fdatasync,ftruncate,pwrite64"
)
_CREATES = re.compile(r"O_WRONLY|O_RDWR|O_CREAT|O_TRUNC")
_CALL = re.compile(r"(\d+)\s+(\w+)\((.*)")
_PATH = re.compile(r'[<"](/[^>"]*)[>"]')
_SHIM = """#!/bin/sh
# the n-th program of a sync runs under strace; when it is killed there, so is all of its process group
printf x >>"$CRASH_COUNT"
n=$(stat -c %s "$CRASH_COUNT")
watch="strace -f -b execve -qq -y -e signal=none"
if [ -n "$CRASH_TRACE" ]; then exec $watch -o "$CRASH_TRACE/$n" -e trace={calls} {program} "$@"; fi
if [ "$n" != "$CRASH_CHILD" ]; then exec {program} "$@"; fi
kill="$CRASH_CALL:signal=SIGKILL:when=$CRASH_WHEN"
$watch -o /dev/null -e trace="$CRASH_CALL" -e inject="$kill" {program} "$@"
code=$?
[ $code -gt 128 ] && printf x >"$CRASH_COUNT.struck"
[ $code -gt 128 ] && [ -n "$CRASH_ALL" ] && kill -KILL 0
exit $code
"""


@dataclass(frozen=True, slots=True)
class Point:
    """Just before a program's ``when``-th ``call`` (of those on ``path``, for the sync's own process)."""

    child: int
    call: str
    when: int
    path: str = ""
    """Below the mirror."""

    def __str__(self) -> str:
        return f"{self.call} {self.when} of {f'git {self.child}' if self.child else f'the sync on {self.path}'}"


class Shim:
    """The ``git`` that numbers the children of a sync."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._folder = world.folder / "shim"
        if not self._folder.exists():
            self._make()

    def _make(self) -> None:
        real = self.world.run(self.world.folder, "git", "--exec-path").output.strip()
        self._folder.mkdir()
        for other in Path(real).iterdir():
            (self._folder / other.name).symlink_to(other)
        for name, program in (("git", f"{real}/git"), ("git-annex", self._git_annex())):
            (self._folder / name).unlink(missing_ok=True)
            (self._folder / name).write_text(_SHIM.format(calls=CALLS, program=shlex.quote(program)))
            (self._folder / name).chmod(0o755)

    def _git_annex(self) -> str:
        """The program itself: what stands in ``PATH`` may be a script that becomes it."""
        watch = ["strace", "-f", "-qq", "-e", "signal=none", "-e", "trace=execve"]
        seen = self.world.run(self.world.folder, *watch, "git", "annex", "version").errors
        return [match[1] for match in re.finditer(r'execve\("([^"]*/git-annex)"', seen)][-1]

    def variables(self, **more: str) -> dict[str, str]:
        """The environment in which every git is numbered from 1."""
        count = self.world.folder / f"count-{time.monotonic_ns()}"
        path = f"{self._folder}{os.pathsep}{self.world.environment['PATH']}"
        return {"PATH": path, "GIT_EXEC_PATH": str(self._folder), "CRASH_COUNT": str(count), **more}


def points(world: World, scenario: str) -> list[Point]:
    """Every point of a sync, from a run that is only watched."""
    try:
        return _points(world, scenario)
    except subprocess.TimeoutExpired:
        # once in some hundred runs strace did not let a program of several threads go on
        return _points(world, scenario)


def _points(world: World, scenario: str) -> list[Point]:
    with world.mirror(scenario) as mirror:
        traces = mirror.parent / "traces"
        traces.mkdir()
        own = traces / "own"
        shim = Shim(world).variables(CRASH_TRACE=str(traces))
        watch = ["strace", "-f", "-b", "execve", "-qq", "-y", "-e", "signal=none", "-e", f"trace={CALLS}"]
        done = world.sync(mirror, *watch, "-o", str(own), **shim)
        if done.code:
            raise RuntimeError(f"a sync that was only watched failed: {done}")
        found = list(dict.fromkeys(_own_points(own.read_text(), mirror)))
        for trace in sorted((path for path in traces.iterdir() if path != own), key=lambda path: int(path.name)):
            found += dict.fromkeys(_git_points(int(trace.name), trace.read_text(), mirror))
    return found


def _git_points(child: int, trace: str, mirror: Path) -> Iterator[Point]:
    counts: Counter[tuple[str, str]] = Counter()
    for process, call, arguments in _calls(trace):
        counts[process, call] += 1
        if _changes_the_disk(call, arguments, mirror):
            yield Point(child, call, counts[process, call])


def _own_points(trace: str, mirror: Path) -> Iterator[Point]:
    counts: Counter[tuple[str, str, str]] = Counter()
    for process, call, arguments in _calls(trace):
        named = [path for path in _PATH.findall(arguments) if path.startswith(f"{mirror}/")]
        # a spool's file has no name that another run could wait for
        if not named or "/#" in named[0]:
            continue
        counts[process, call, named[0]] += 1
        if _changes_the_disk(call, arguments, mirror):
            path = str(Path(named[0]).relative_to(mirror))
            yield Point(0, call, counts[process, call, named[0]], path)


def _calls(trace: str) -> Iterator[tuple[str, ...]]:
    return (match.groups() for line in trace.splitlines() if (match := _CALL.match(line)))


def _changes_the_disk(call: str, arguments: str, mirror: Path) -> bool:
    if call.startswith("open"):
        return bool(_CREATES.search(arguments))
    return call != "write" or f"<{mirror}/" in arguments


def another(points: list[Point], place: int, attempt: int) -> Point:
    """The point at a place; at each further attempt one far from there: neighbours are of the same program."""
    return points[(place + attempt * (len(points) // 7 + 1)) % len(points)]


def strike(world: World, mirror: Path, point: Point, *, all_of_it: bool = True) -> tuple[Done, bool]:
    """Sync, and kill the whole process group at a point, or the program alone; and whether that was met.

    A sync may well come to its end though one of its gits was killed.
    """
    variables = Shim(world).variables(
        CRASH_CHILD=str(point.child), CRASH_CALL=point.call, CRASH_WHEN=str(point.when),
        CRASH_ALL="yes" if all_of_it else "",
    )  # fmt: skip
    if point.child:
        done = world.sync(mirror, **variables)
        return done, Path(f"{variables['CRASH_COUNT']}.struck").exists()
    inject = f"inject={point.call}:signal=SIGKILL:when={point.when}"
    watch = ["strace", "-f", "-b", "execve", "-qq", "-o", "/dev/null", "-P", str(mirror / point.path)]
    done = world.sync(mirror, *watch, "-e", f"trace={point.call}", "-e", inject, **variables)
    return done, done.code in {-signal.SIGKILL, 128 + signal.SIGKILL}


def kill_at(world: World, scenario: str, point: Point, *, all_of_it: bool = True, deep: bool = False) -> Outcome:
    """Kill at a point, then run once more."""
    with world.mirror(scenario) as mirror:
        before = world.refs(mirror)
        done, struck = strike(world, mirror, point, all_of_it=all_of_it)
        problems = torn(world, mirror, before, scenario) + traceback(done.errors)
        problems += next_run_heals(world, mirror, scenario, deep=deep)
    whom = "the process group" if all_of_it else "the program alone"
    return Outcome(f"kill -9 before a call: {whom}", f"{scenario}: {point}", struck, problems)


def overtaken(wanted: int) -> Iterator[Outcome]:
    """Kill while the work tree is written, and let the archive move on before the next run."""
    with begin_world() as (world, dandiset):
        links = [point for point in points(world, FIRST) if point.call in {"symlink", "write"}]
        places = spread(range(len(links)), wanted)
        mirrors = []

        def kill(number: int, attempt: int) -> Outcome:
            point = another(links, places[number], attempt)
            mirrors.append(world.folder / f"overtaken-{number}-{attempt}")
            _, struck = strike(world, mirrors[-1], point)
            return Outcome("kill -9, and the archive moves on", str(point), struck)

        outcomes = list(until_struck(len(places), kill))
        move_on(world, dandiset)
        for mirror, outcome in zip(mirrors, outcomes, strict=True):
            outcome.problems += next_run_catches_up(world, mirror, SECOND)
            yield outcome


WHOM = ("the process group", "the parent alone", "a child alone")


def kill_at_random(world: World, scenario: str, whom: str, chance: random.Random, *, deep: bool = False) -> Outcome:
    """Kill at a random moment, then run once more."""
    with world.mirror(scenario) as mirror:
        before = world.refs(mirror)
        moment = world.moment(scenario, chance)
        child = world.start(mirror)
        struck = reaches(child, moment) and _kill(child, whom, chance)
        _, errors = child.communicate(timeout=120)
        problems = torn(world, mirror, before, scenario) + traceback(errors)
        problems += next_run_heals(world, mirror, scenario, deep=deep)
    return Outcome(f"kill -9 at random: {whom}", f"{scenario}: when it had computed {moment:.2f} s", struck, problems)


def _kill(child: subprocess.Popen[str], whom: str, chance: random.Random) -> bool:
    if child.poll() is not None:
        return False
    if whom == WHOM[0]:
        os.killpg(child.pid, signal.SIGKILL)
        return True
    if whom == WHOM[1]:
        child.kill()
        return True
    # children live for milliseconds: the first that is seen
    while child.poll() is None:
        if family := descendants(child.pid):
            try:
                os.kill(chance.choice(family), signal.SIGKILL)
                return True
            except ProcessLookupError:
                pass
    return False


def stop(world: World, scenario: str, by: signal.Signals, moment: float | None) -> Outcome:
    """Ask a sync to end, as systemd (SIGTERM) or Ctrl-C (SIGINT, to the group) does; it must in seconds.

    ``moment`` None: as soon as the archive does not answer when it is asked for a listing.
    """
    with world.mirror(scenario) as mirror:
        with _silent(world) if moment is None else nullcontext(threading.Event()) as asked:
            child = world.start(mirror)
            struck = reaches(child, moment) if moment is not None else _is_asked(child, asked)
            with suppress(ProcessLookupError):
                os.kill(child.pid if by is signal.SIGTERM else -child.pid, by)
            problems = _ends_soon(child)
        problems += next_run_heals(world, mirror, scenario)
    what = f"{by.name}{', the archive silent' if moment is None else ''}"
    where = "when it waited" if moment is None else f"when it had computed {moment:.2f} s"
    return Outcome(what, f"{scenario}: {where}", struck, problems)


@contextmanager
def _silent(world: World) -> Iterator[threading.Event]:
    """The archive keeps every listing to itself until the block ends; says when it has been asked for one."""
    over, asked = threading.Event(), threading.Event()

    def wait(request: Request) -> None:
        if request.path.endswith("/assets/"):
            asked.set()
            over.wait(60)

    world.server.intercept = wait
    try:
        yield asked
    finally:
        over.set()
        world.server.intercept = None


def _is_asked(child: subprocess.Popen[str], asked: threading.Event) -> bool:
    while child.poll() is None:
        if asked.wait(0.02):
            return child.poll() is None
    return False


def _ends_soon(child: subprocess.Popen[str]) -> list[str]:
    began = time.monotonic()
    try:
        _, errors = child.communicate(timeout=10)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        child.communicate()
        return ["it went on for more than 10 s"]
    took = time.monotonic() - began
    problems = [f"it took {took:.1f} s to end"] if took > 3 else []
    return problems + traceback(errors)
