"""How a run over the whole archive ends early."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

from dandi_mirror.embedded import Archive, Request
from tests.conftest import MirrorOfTest, run
from tests.support.fleet import IDS, STALLED, command, records, registered
from tests.support.waiting import LONG, SOON, wait_until


def stall(request: Request) -> None:
    """The third Dandiset takes five minutes."""
    if "/000003/versions/draft/assets/" in request.path:
        STALLED.wait(LONG)


def test_a_time_limit_ends_the_run_within_seconds_and_the_next_does_the_rest(many: MirrorOfTest) -> None:
    many.server.intercept = stall
    begun = time.monotonic()
    done = many.cli("sync", "--all", "-J", "1", "--time-limit", "2s", "-f", "json", code=5)
    assert time.monotonic() - begun < SOON
    reports = records(done)
    left = [identifier for identifier in IDS if reports[identifier]["deferred"]]
    assert "000003" in left
    assert 1 < len(left) < 4
    assert sorted(registered(many)) == sorted(set(IDS) - set(left)), "what was done is registered"
    many.server.intercept = None
    again = many.cli("sync", "--all", "--time-limit", "1h")
    assert [line[:6] for line in again.stdout.splitlines()] == left
    assert sorted(registered(many)) == IDS


def test_a_time_limit_says_how_much_is_left_in_one_line(many: MirrorOfTest) -> None:
    done = many.cli("sync", "--all", "--time-limit", "0", code=5)
    assert done.stdout == ""
    assert done.stderr == "the time limit came before 4 of the Dandisets were done; the next run does them\n"
    assert not (many.path / "000001").exists()
    assert "write 90s" in many.cli("sync", "--all", "--time-limit", "soon", code=2).stderr


def test_a_time_limit_holds_while_the_archive_lets_the_list_wait_too(many: MirrorOfTest) -> None:

    def late(request: Request) -> None:
        if request.path == "/api/dandisets/":
            STALLED.wait(LONG)

    many.server.intercept = late
    begun = time.monotonic()
    done = many.cli("sync", "--all", "--time-limit", "1s", code=5)
    assert time.monotonic() - begun < SOON
    assert (done.stdout, done.stderr.count("\n")) == ("", 1)
    assert "the time limit passed" in done.stderr


@pytest.mark.parametrize("number", [pytest.param(signal.SIGTERM, marks=pytest.mark.slow), signal.SIGINT])
def test_a_signal_ends_the_run_within_seconds_and_the_next_completes_it(
    archive: Archive, many: MirrorOfTest, number: signal.Signals
) -> None:
    for place in range(400):
        archive.dandisets["000001"].add_asset(f"x{place}.nwb", archive.add_blob(b"x%d" % place))
    many.server.intercept = stall
    with subprocess.Popen(command(many, "--all"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        wait_until(lambda: any("/000003/versions/draft/assets/" in request.path for request in many.server.requests))
        begun = time.monotonic()
        child.send_signal(number)
        _, errors = child.communicate(timeout=LONG)
    assert time.monotonic() - begun < SOON
    assert child.returncode == 130
    assert errors.strip() == "interrupted; what was complete is kept, run the command again for the rest"
    many.server.intercept = None
    many.cli("sync", "--all")
    assert sorted(registered(many)) == IDS
    assert many.cli("sync", "--all").stdout == ""
    for identifier in [*IDS, "."]:
        assert many.git("status", "--porcelain", dandiset=identifier) == ""
        assert many.git("fsck", "--strict", "--no-dangling", dandiset=identifier) == ""


def test_what_was_complete_when_a_signal_came_is_reported_by_that_run(many: MirrorOfTest) -> None:
    many.server.intercept = stall
    with subprocess.Popen(command(many, "--all"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        wait_until(lambda: (many.path / "000004" / ".git" / "refs" / "heads" / "draft").exists())
        child.send_signal(signal.SIGINT)
        shown, _ = child.communicate(timeout=LONG)
    assert child.returncode == 130
    assert [line.split()[0] for line in shown.splitlines()] == ["000001", "000002", "000004"]
    listed = run("dandi-mirror", "runs", "-d", str(many.path)).stdout
    assert "130" in listed and "000001 000002 000004" in listed
    assert '"message": "interrupted"' in run("dandi-mirror", "runs", "-d", str(many.path), "-f", "json").stdout


def test_an_interrupt_that_python_swallows_ends_the_process_all_the_same() -> None:
    deaf = """
import time
from dandi_mirror.cli.exit import end_by_signals
end_by_signals()
while True:
    try:
        print("begun", flush=True)
        time.sleep(60)
    except KeyboardInterrupt:
        print("swallowed", flush=True)
"""
    with subprocess.Popen([sys.executable, "-c", deaf], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdout and child.stdout.readline() == b"begun\n"
        begun = time.monotonic()
        child.send_signal(signal.SIGTERM)
        output, errors = child.communicate(timeout=LONG)
    assert (output, child.returncode) == (b"swallowed\nbegun\n", 130)
    assert errors.startswith(b"interrupted; ")
    assert time.monotonic() - begun < SOON


def test_an_interrupt_that_another_thread_receives_ends_a_main_thread_that_waits() -> None:
    """The kernel chooses the thread; and one that comes just before a wait begins does not end that wait either."""
    waiting = """
import signal, threading, time
from pathlib import Path
from dandi_mirror.cli.exit import end_by_signals

def send():
    main = Path(f"/proc/self/task/{threading.main_thread().native_id}/stat")
    asleep = 0
    while asleep < 20:
        asleep = asleep + 1 if ") S " in main.read_text() else 0
        time.sleep(0.01)
    signal.pthread_kill(threading.get_ident(), signal.SIGINT)

end_by_signals()
lock = threading.Lock()
lock.acquire()
threading.Thread(target=send, daemon=True).start()
try:
    lock.acquire()
except KeyboardInterrupt:
    print("interrupted")
"""
    done = subprocess.run([sys.executable, "-c", waiting], capture_output=True, timeout=SOON, check=False)
    assert (done.stdout, done.stderr, done.returncode) == (b"interrupted\n", b"", 0)


def test_a_signal_that_is_not_ours_is_not_sent_again() -> None:
    """The one who asked for an alarm has set the default again by then, and the default ends the process."""
    program = """
import signal, time
from dandi_mirror.cli.exit import end_by_signals
end_by_signals()
signal.signal(signal.SIGALRM, lambda *_: signal.signal(signal.SIGALRM, signal.SIG_DFL))
signal.setitimer(signal.ITIMER_REAL, 0.01)
end = time.monotonic() + 0.5
while time.monotonic() < end:
    time.sleep(0.05)
print("alive")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=LONG, check=False)
    assert (done.stdout, done.returncode) == (b"alive\n", 0)
