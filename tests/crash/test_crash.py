"""A short form of the campaign; ``python -m tests.crash`` is the whole one."""

from __future__ import annotations

import random
import shutil
import signal

import pytest

from . import company, disks, kills, mounts
from .counting import until_struck
from .judge import not_as_should_be
from .world import DANDISET, FIRST, SCENARIOS, SECOND, Outcome, World

KILLS_A_TEST = 3
SHORT = [SECOND, *(pytest.param(name, marks=pytest.mark.slow) for name in SCENARIOS if name != SECOND)]
TRACED = pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")


def survived(outcome: Outcome) -> bool:
    assert outcome.problems == [], f"{outcome.attack}, {outcome.where}"
    return outcome.struck


@TRACED
@pytest.mark.parametrize("scenario", SHORT)
def test_a_kill_before_any_call_that_changes_the_disk_is_made_good(world: World, scenario: str) -> None:
    points = kills.points(world, scenario)
    assert len(points) > 300, "the sync was not watched"
    # a sync with more than one thread starts its gits in another order now and then: such a point is not met again
    outcomes = until_struck(KILLS_A_TEST, lambda *_: kills.kill_at(world, scenario, random.choice(points)))
    assert sum(survived(outcome) for outcome in outcomes) == KILLS_A_TEST


@TRACED
@pytest.mark.slow
def test_a_kill_is_made_good_though_the_archive_has_moved_on() -> None:
    assert sum(survived(outcome) for outcome in kills.overtaken(2)) == 2


@pytest.mark.parametrize(
    ("whom", "scenario"),
    [
        pytest.param(whom, scenario, marks=[] if row == column != 0 else [pytest.mark.slow])
        for row, whom in enumerate(kills.WHOM)
        for column, scenario in enumerate(SCENARIOS)
    ],
)
def test_a_kill_at_any_moment_is_made_good(world: World, scenario: str, whom: str) -> None:
    outcomes = until_struck(KILLS_A_TEST, lambda *_: kills.kill_at_random(world, scenario, whom, random.Random()))
    assert sum(survived(outcome) for outcome in outcomes) == KILLS_A_TEST


@pytest.mark.parametrize("by", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_a_sync_that_is_told_to_end_does_so_though_the_archive_is_silent(world: World, by: signal.Signals) -> None:
    assert survived(kills.stop(world, SECOND, by, None))


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize(
    "ended",
    [pytest.param(False, id="in its midst"), pytest.param(True, id="as it ended", marks=pytest.mark.slow)],
)
def test_a_power_cut_corrupts_nothing_and_loses_nothing_that_was_done(world: World, scenario: str, ended: bool) -> None:
    if why := mounts.why_not("ext4"):
        pytest.skip(why)
    outcomes = until_struck(
        1, lambda *_: disks.cut_power(world, scenario, None if ended else world.moment(scenario, random.Random()))
    )
    assert sum(survived(outcome) for outcome in outcomes) == 1


def test_a_full_disk_is_told_and_a_larger_one_is_all_it_takes(world: World) -> None:
    if why := mounts.why_not("tmpfs"):
        pytest.skip(why)
    needed = disks.room_needed(world, FIRST)
    assert sum(survived(disks.fill_up(world, FIRST, size)) for size in disks.sizes(needed, 5)) >= 4


def test_a_mirror_that_cannot_be_written_is_told_in_one_line(world: World) -> None:
    if why := mounts.why_not("tmpfs"):
        pytest.skip(why)
    assert all(survived(disks.forbid_writing(world, SECOND, way)) for way in disks.READ_ONLY_WAYS)


@pytest.mark.parametrize("round_", [0, *(pytest.param(round_, marks=pytest.mark.slow) for round_ in (1, 2))])
def test_of_four_syncs_at_once_one_does_the_work(world: World, round_: int) -> None:
    assert survived(company.all_at_once(world, SCENARIOS[round_], round_))


@pytest.mark.parametrize("after_a_kill", [pytest.param(False, marks=pytest.mark.slow), True])
def test_a_gc_beside_a_sync_takes_nothing_that_is_needed(world: World, after_a_kill: bool) -> None:
    outcomes = until_struck(
        1, lambda *_: company.collect_garbage(world, SECOND, random.Random(), after_a_kill=after_a_kill)
    )
    assert sum(survived(outcome) for outcome in outcomes) == 1


def test_a_copy_of_a_mirror_needs_no_hand(world: World) -> None:
    with world.mirror(SECOND) as mirror:
        for file in (mirror / DANDISET).glob("*.*"):
            file.touch()
        assert world.sync(mirror).code == 0
        assert not_as_should_be(world, mirror, SECOND) == []
