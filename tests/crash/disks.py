"""Attacks through the disk: its power is cut, it is full, it cannot be written."""

from __future__ import annotations

import os
import random
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.moments import reaches

from . import mounts
from .judge import broken, next_run_heals, not_as_should_be, torn
from .world import DANDISET, SECOND, Done, Outcome, World

PAGE = 4096


@contextmanager
def _folder(world: World) -> Iterator[Path]:
    """A folder for images and mount points, gone afterwards."""
    with tempfile.TemporaryDirectory(dir=world.folder) as name:
        (Path(name) / "disk").mkdir()
        yield Path(name)


# --- power cuts ----------------------------------------------------------------------------------------


def cut_power(world: World, scenario: str, moment: float | None) -> Outcome:
    """Cut the power when a sync has computed ``moment`` seconds, or (None) as soon as it has reported success."""
    with _folder(world) as folder:
        image, left, disk = folder / "image", folder / "left", folder / "disk"
        mounts.copy(_prepared(world, scenario), image)
        with mounts.mounted(image, disk):
            reported = _run_until(world, disk / scenario, moment, image, left)
        with mounts.mounted(left, disk):
            problems = broken(world, disk / scenario)
            if reported:
                problems += [f"reported done and lost: {lost}"
                             for lost in not_as_should_be(world, disk / scenario, scenario)]  # fmt: skip
            problems += next_run_heals(world, disk / scenario, scenario, deep=True)
    if moment is None:
        return Outcome("power cut on ext4, as it ended", scenario, reported, problems)
    return Outcome("power cut on ext4", f"{scenario}: when it had computed {moment:.2f} s", not reported, problems)


def _prepared(world: World, scenario: str) -> Path:
    """An image that holds what the scenario begins with; made once."""
    image = world.folder / f"{scenario}.ext4"
    if not image.exists():
        with _folder(world) as folder:
            mounts.make_image(folder / "image")
            with mounts.mounted(folder / "image", folder / "disk"):
                if scenario == SECOND:
                    world.copy_old(folder / "disk" / scenario)
                os.sync()
            (folder / "image").rename(image)
    return image


def _run_until(world: World, mirror: Path, moment: float | None, image: Path, left: Path) -> bool:
    """Whether the sync had reported success when what is ``left`` was taken from the image."""
    child = world.start(mirror)
    try:
        if moment is None:
            child.wait(60)
        else:
            reaches(child, moment)
        reported = child.poll() == 0
        if not reported:
            os.killpg(child.pid, signal.SIGSTOP)
        mounts.copy_as_it_is(image, left)
        return reported
    finally:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
        child.communicate()


# --- full ----------------------------------------------------------------------------------------------


def fill_up(world: World, scenario: str, spare: int) -> Outcome:
    """Sync with ``spare`` bytes left on the disk, then give it more and sync again."""
    with _folder(world) as folder, mounts.tmpfs(disk := folder / "disk"):
        mirror = _put(world, scenario, disk)
        before = world.refs(mirror)
        mounts.resize(disk, mounts.used(disk) + spare)
        done = world.sync(mirror)
        problems = _told_of_the_disk(done) if done.code else []
        mounts.resize(disk, mounts.LARGE)
        problems += broken(world, mirror) + torn(world, mirror, before, scenario)
        problems += next_run_heals(world, mirror, scenario)
    return Outcome("disk full", f"{scenario}: {spare // 1024} KiB left", done.code != 0, problems)


def room_needed(world: World, scenario: str) -> int:
    """The bytes that a sync takes in the end."""
    with _folder(world) as folder, mounts.tmpfs(disk := folder / "disk"):
        mirror = _put(world, scenario, disk)
        before = mounts.used(disk)
        world.sync(mirror)
        return mounts.used(disk) - before


def _put(world: World, scenario: str, disk: Path) -> Path:
    if scenario == SECOND:
        world.copy_old(disk / scenario)
    return disk / scenario


def _told_of_the_disk(done: Done) -> list[str]:
    """Exit code 6 and one line that names the disk's trouble."""
    problems = []
    if done.code != 6:
        problems.append(f"not exit 6: {done}")
    if "No space left on device" not in done.errors and "Read-only file system" not in done.errors:
        problems.append(f"the message does not name the disk: {done}")
    if len(done.errors.splitlines()) != 1:
        problems.append(f"not one line: {done}")
    return problems


def sizes(needed: int, count: int, chance: random.Random | None = None) -> list[int]:
    """``count`` sizes up to what is needed, in whole pages; shifted by chance, so that runs differ."""
    shift = chance.random() if chance else 0.5
    # a tmpfs of no size is one without a limit
    return [max(PAGE, int((place + shift) * needed / count) // PAGE * PAGE) for place in range(count)]


# --- read-only -----------------------------------------------------------------------------------------


READ_ONLY_WAYS = ("bind", "tmpfs")


def forbid_writing(world: World, scenario: str, way: str) -> Outcome:
    """Sync into a mirror on a disk that is read-only: a ``bind`` mount, or a ``tmpfs`` as a whole."""
    with _folder(world) as folder, mounts.tmpfs(disk := folder / "disk"):
        mirror = _put(world, scenario, disk)
        before = world.refs(mirror)
        if way == "bind":
            (folder / "view").mkdir()
            with mounts.read_only_view(disk, folder / "view"):
                done = world.sync(folder / "view" / scenario)
        else:
            mounts.remount(disk, "ro")
            done = world.sync(mirror)
            mounts.remount(disk, "rw")
        problems = _told_of_the_disk(done)
        if world.refs(mirror)[DANDISET] != before[DANDISET]:
            problems.append("refs moved")
        problems += next_run_heals(world, mirror, scenario)
    return Outcome(f"read-only ({way})", scenario, done.code != 0, problems)
