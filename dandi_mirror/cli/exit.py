"""How the process ends before its time, by Ctrl-C or SIGTERM: within seconds, whatever it is doing."""

from __future__ import annotations

import _thread
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn

from dandi_mirror.cli.interruption import CODE

GRACE = 3.0
"""Seconds from the signal until the process ends by force."""
KEPT = "what was complete is kept, run the command again for the rest"
"""What is true of the commands that bring or send many things."""
_UNNOTICED = 0.1
"""Seconds after which the main thread should have noticed a signal."""

_after = ""
"""What a person should know after an interruption of the command that runs."""
_erase: list[Callable[[], str]] = []
"""What erases the live display of the terminal, while there is one."""
_noticed: set[int] = set()
"""The numbers of the signals that the main thread has noticed."""


def end_by_signals(after: str = KEPT) -> None:
    """Let Ctrl-C and SIGTERM raise KeyboardInterrupt, and end the process by force if that has no effect.

    Python prints and forgets an exception that is raised while it runs a callback of its own.  ``after`` is what
    the person should know then.
    """
    global _after
    _after = after
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    _wake_the_main_thread()


def interrupted() -> str:
    """What to say after an interruption."""
    return f"interrupted; {_after}" if _after else "interrupted"


def _wake_the_main_thread() -> None:
    """Send a signal again, to the main thread, until it notices.

    A signal that another thread receives, or that comes just before the main thread begins to wait for a lock, does
    not wake it: Python would call the handler when the wait is over, which may be never.
    """
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    # not by threading: this one is no work that the process has to wait for
    _thread.start_new_thread(_remind, (reading, threading.get_ident()))


def _remind(reading: int, thread: int) -> None:
    while numbers := os.read(reading, 64):
        time.sleep(_UNNOTICED)
        for number in {*numbers} - _noticed:
            # another handler may be set again to the default, which ends the process
            if signal.getsignal(number) in (_interrupt, _end_by_force):
                # its handler in C writes the number into the pipe again
                signal.pthread_kill(thread, number)


def _interrupt(number: int, _: object) -> None:
    _noticed.add(number)
    # no thread: the signal may have come while one was being started, under a lock
    signal.signal(signal.SIGALRM, _end_by_force)
    signal.setitimer(signal.ITIMER_REAL, GRACE)
    raise KeyboardInterrupt


@contextmanager
def erasing(erase: Callable[[], str]) -> Iterator[None]:
    """While this block lasts, an end by force first writes what ``erase`` gives: nothing else erases the display."""
    _erase.append(erase)
    try:
        yield
    finally:
        _erase.remove(erase)


def _end_by_force(*_: object) -> None:
    _end_children()
    # at once, and last: another thread may draw the display again
    os.write(2, f"{''.join(erase() for erase in _erase)}{interrupted()}\n".encode())
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
