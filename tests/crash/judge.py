"""What must hold after an attack: git's own word, and the refs that an undisturbed sync ends in."""

from __future__ import annotations

from collections import deque
from pathlib import Path

from dandi_mirror.errors import MirrorError
from dandi_mirror.mirror.zarr.manifests import Manifests

from .world import DANDISET, REPOSITORIES, Refs, World

TEMPORARY = "refs/dandi-mirror/tmp"


def next_run_heals(world: World, mirror: Path, scenario: str, *, deep: bool = False) -> list[str]:
    """One more run, with no step by hand; what is wrong after it.

    ``deep`` also runs it once more, and asks git-annex and DataLad.
    """
    if "Traceback" in (done := world.sync_after(mirror)).errors or done.code:
        return [f"the next run: {done}", *broken(world, mirror)]
    problems = not_as_should_be(world, mirror, scenario)
    if not deep:
        return problems
    if (again := world.sync(mirror)).code or again.output:
        problems.append(f"a further run is not at peace: {again}")
    return problems or _deeply(world, mirror)


def next_run_catches_up(world: World, mirror: Path, scenario: str) -> list[str]:
    """One more run of a mirror that has perhaps missed a state of the archive: its history may differ."""
    if (done := world.sync_after(mirror)).code:
        return [f"the next run: {done}", *broken(world, mirror)]
    here, goal = world.refs(mirror)[DANDISET], world.goals[scenario][DANDISET]
    names = {name for name in here.keys() | goal.keys() if name.startswith(("refs/tags/", TEMPORARY))}
    return untidy(world, mirror) + [f"differs: {name}" for name in names if here.get(name) != goal.get(name)]


def not_as_should_be(world: World, mirror: Path, scenario: str) -> list[str]:
    """What differs from a mirror that was never disturbed."""
    problems = untidy(world, mirror)
    if (refs := world.refs(mirror)) != world.goals[scenario]:
        problems.append(f"refs differ: {_difference(refs, world.goals[scenario])}")
    if (settings := world.settings_of(mirror)) != world.settings[scenario]:
        there, goal = set(settings.splitlines()), set(world.settings[scenario].splitlines())
        problems.append(f"git's settings: {goal - there} missing, {there - goal} too many")
    return problems


def untidy(world: World, mirror: Path) -> list[str]:
    """What is broken, or not in the work trees as it is in the commits."""
    problems = broken(world, mirror)
    problems += [f"left in zarr: {path}" for path in (mirror / "zarr").rglob(".*")]
    for name in REPOSITORIES:
        status = world.run(mirror / name, "git", "status", "--porcelain")
        if status.code or status.output:
            problems.append(f"work tree of {name}: {status.output[:300]}{status.errors[:300]}")
    return problems


def broken(world: World, mirror: Path) -> list[str]:
    """What ``git fsck --strict`` says of the repositories that are there."""
    problems = []
    for name in REPOSITORIES:
        if not (mirror / name / ".git" / "objects" / "info").is_dir():
            continue  # git had not come to the end of making it
        fsck = world.run(mirror / name, "git", "--git-dir=.git", "fsck", "--strict", "--no-dangling")
        if fsck.code:
            problems.append(f"git fsck of {name}: {fsck}")
    return problems + _broken_zarrs(world, mirror)


def _broken_zarrs(world: World, mirror: Path) -> list[str]:
    """Manifests that are not what their names say, and what git says of the repositories of Zarrs."""
    problems, manifests = [], Manifests(mirror)
    for path in sorted((mirror / "zarr").glob("???/???/*")):
        if path.suffix == ".git":
            fsck = world.run(path, "git", "--git-dir=.", "fsck", "--strict", "--no-dangling")
            problems += [f"git fsck of {path.name}: {fsck}"] if fsck.code else []
        elif not path.name.startswith("."):
            for checksum in manifests.states(path.name):
                try:
                    deque(manifests.read(path.name, checksum), maxlen=0)
                except MirrorError as error:
                    problems.append(f"the manifest of {path.name}: {error}")
    return problems


def traceback(errors: str) -> list[str]:
    """A traceback is no way to tell a user anything."""
    return [f"a traceback: {errors.strip()[-300:]}"] if "Traceback" in errors else []


def torn(world: World, mirror: Path, before: Refs, scenario: str) -> list[str]:
    """Refs of the dataset that are neither as they were nor as they should be."""
    now, then, goal = world.refs(mirror)[DANDISET], before[DANDISET], world.goals[scenario][DANDISET]
    kept = {name: oid for name, oid in now.items() if not name.startswith(TEMPORARY)}
    strange = [name for name, oid in kept.items() if oid not in {then.get(name), goal.get(name)}]
    return [f"neither old nor new: {name}" for name in [*strange, *(then.keys() - kept.keys())]]


def _difference(refs: Refs, goal: Refs) -> str:
    lines = []
    for name in REPOSITORIES:
        here, there = refs[name], goal[name]
        lines += [f"{name}:{ref}" for ref in sorted(here.keys() | there.keys()) if here.get(ref) != there.get(ref)]
    return " ".join(lines)


def _deeply(world: World, mirror: Path) -> list[str]:
    problems = []
    fsck = world.run(mirror / DANDISET, "git", "annex", "fsck", "--fast", "--quiet")
    if fsck.code or fsck.errors:
        problems.append(f"git annex fsck: {fsck}")
    status = world.run(mirror, "datalad", "-l", "warning", "status", "-r")
    if status.code or "nothing to save" not in status.output:
        problems.append(f"datalad status: {status}")
    return problems
