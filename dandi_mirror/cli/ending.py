"""How a process ends before its time, by Ctrl-C or SIGTERM: within seconds, whatever it is doing."""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import NoReturn

GRACE = 3.0
"""Seconds from the signal until the process ends by force."""
WORDS = "interrupted; what was complete is kept, run the command again for the rest"
CODE = 130


def end_by_signals() -> None:
    """Let Ctrl-C and SIGTERM raise KeyboardInterrupt, and end the process if that is not seen.

    Python prints an exception that comes while it runs a callback of its own, and forgets it.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)


def _interrupt(*_: object) -> None:
    # no thread: the signal may have come while one was being started, under a lock
    signal.signal(signal.SIGALRM, _end_by_force)
    signal.setitimer(signal.ITIMER_REAL, GRACE)
    raise KeyboardInterrupt


def _end_by_force(*_: object) -> None:
    os.write(2, f"{WORDS}\n".encode())
    _end_children()
    os._exit(CODE)


def end(code: int) -> NoReturn:
    """End the process now, also if threads are at work: to a sync, any instant is good enough to end at."""
    if threading.active_count() > 1 and "dandi_mirror.repo.git.process" in sys.modules:
        sys.stdout.flush()
        _end_children()
        os._exit(code)
    sys.exit(code)


def _end_children() -> None:
    if process := sys.modules.get("dandi_mirror.repo.git.process"):
        process.end_children()
