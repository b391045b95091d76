"""How the process ends before its time, by Ctrl-C or SIGTERM: within seconds, whatever it is doing."""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import suppress
from typing import NoReturn

GRACE = 3.0
"""Seconds from the signal until the process ends by force."""
KEPT = "what was complete is kept, run the command again for the rest"
"""What is true of the commands that bring or send many things."""
CODE = 130

_after = ""
"""What a person should know after an interruption of the command that runs."""


def end_by_signals(after: str = KEPT) -> None:
    """Let Ctrl-C and SIGTERM raise KeyboardInterrupt, and end the process by force if that has no effect.

    Python prints and forgets an exception that is raised while it runs a callback of its own.  ``after`` is what
    the person should know then.
    """
    global _after
    _after = after
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)


def interrupted() -> str:
    """What to say after an interruption."""
    return f"interrupted; {_after}" if _after else "interrupted"


def _interrupt(*_: object) -> None:
    # no thread: the signal may have come while one was being started, under a lock
    signal.signal(signal.SIGALRM, _end_by_force)
    signal.setitimer(signal.ITIMER_REAL, GRACE)
    raise KeyboardInterrupt


def _end_by_force(*_: object) -> None:
    os.write(2, f"{interrupted()}\n".encode())
    _end_children()
    os._exit(CODE)


def end(code: int) -> NoReturn:
    """End the process now, even if threads are at work: a sync can end at any instant without harm."""
    if threading.active_count() > 1 and "dandi_mirror.repo.git.process" in sys.modules:
        with suppress(OSError, AttributeError):
            sys.stdout.flush()
        _end_children()
        os._exit(code)
    sys.exit(code)


def output_trouble() -> str:
    """Why standard output cannot be written; empty if it can.  Afterwards, what could not be written is dropped."""
    try:
        if sys.stdout:
            sys.stdout.flush()
    except BrokenPipeError:
        return ""
    except OSError as error:
        # else Python would try once more at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return f"cannot write the output: {error.strerror or error}"
    return ""


def _end_children() -> None:
    if process := sys.modules.get("dandi_mirror.repo.git.process"):
        process.end_children()
