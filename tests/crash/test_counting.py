"""What a campaign counts: only what struck, at moments that a busy machine does not move."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time

from tests.support.moments import computed, reaches

from . import kills
from .counting import table, until_struck
from .world import SECOND, Outcome, World

BUSY = "import time\nwhile time.process_time() < {seconds}: pass"
LATER = "import time\ntime.sleep({wait})\n" + BUSY


def test_a_kill_that_came_too_late_is_made_again_until_so_many_have_struck() -> None:
    tried = []

    def attack(number: int, attempt: int) -> Outcome:
        tried.append((number, attempt))
        return Outcome("kill", "", struck=attempt == number)

    outcomes = list(until_struck(3, attack))
    assert tried == [(0, 0), (1, 0), (1, 1), (2, 0), (2, 1), (2, 2)]
    assert sum(outcome.struck for outcome in outcomes) == 3
    assert not any(outcome.problems for outcome in outcomes)


def test_a_kill_that_never_strikes_is_a_failure_and_the_others_are_made_all_the_same() -> None:
    outcomes = list(until_struck(2, lambda number, _: Outcome("kill", "", struck=number == 1), tries=4))
    assert [outcome.struck for outcome in outcomes] == [False] * 4 + [True]
    assert [outcome.problems for outcome in outcomes] == [[], [], [], ["it did not strike, 4 times in a row"], []]


def test_only_what_struck_is_said_to_have_survived() -> None:
    missed, struck, failed = Outcome("kill", "", False), Outcome("kill", "", True), Outcome("kill", "", True, ["torn"])
    line = table([(missed, 1.0)] * 29 + [(struck, 1.0)] * 2 + [(failed, 1.0)]).splitlines()[1]
    assert line.split() == ["kill", "3/32", "2", "1", "32"]


def test_a_moment_waits_for_a_run_that_waits_for_its_turn() -> None:
    child = subprocess.Popen([sys.executable, "-c", LATER.format(wait=1, seconds=30)])
    try:
        began = time.monotonic()
        assert reaches(child, 0.3) and time.monotonic() - began >= 1
        assert child.poll() is None and computed(child.pid) < 25
    finally:
        child.kill()
        child.wait()


def test_what_children_compute_counts_whether_they_live_or_have_ended() -> None:
    one = BUSY.format(seconds=0.3)
    program = (
        f"import subprocess, sys\nfor _ in range(2): subprocess.run([sys.executable, '-c', {one!r}])\nsys.stdin.read()"
    )
    child = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE)
    try:
        assert reaches(child, 0.55)
    finally:
        child.communicate()


def test_of_a_run_that_has_ended_no_moment_is_reached() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    assert not reaches(child, 60)


def test_a_sync_on_a_machine_that_has_no_time_for_it_is_struck_in_its_midst(world: World) -> None:
    with world.mirror(SECOND) as mirror:
        child = world.start(mirror)
        slow = threading.Thread(target=_hold_up, args=(child, 3 * world.lasts[SECOND]))
        slow.start()
        struck = reaches(child, 0.6 * world.lasts[SECOND])
        os.killpg(child.pid, signal.SIGKILL)
        slow.join()
        child.communicate()
    assert struck and child.returncode == -signal.SIGKILL


def test_a_kill_at_random_says_when_it_came_and_that_it_struck(world: World) -> None:
    outcomes = list(until_struck(1, lambda *_: kills.kill_at_random(world, SECOND, kills.WHOM[0], random.Random())))
    assert outcomes[-1].struck and "when it had computed" in outcomes[-1].where
    assert not any(outcome.problems for outcome in outcomes)


def _hold_up(child: subprocess.Popen[str], seconds: float) -> None:
    """Take a run's turn from it for a while, as others on a busy machine do."""
    os.killpg(child.pid, signal.SIGSTOP)
    time.sleep(seconds)
    try:
        os.killpg(child.pid, signal.SIGCONT)
    except ProcessLookupError:
        return
