"""Ctrl-C before a command begins, while its modules are imported: it ends the process at once.

Python would print a traceback of the module that is being imported, and some modules hide the interruption.  This
module imports little, so that it comes first.
"""

from __future__ import annotations

import os
import signal

TYPE_CHECKING = False  # as in dandi_mirror/__init__.py
if TYPE_CHECKING:
    from typing import NoReturn

CODE = 130


def take_signal() -> None:
    """Let Ctrl-C end the process at once, until :func:`command_begins`; not if it is ignored, as in a background."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, end_at_once)


def command_begins() -> None:
    """Let Ctrl-C raise KeyboardInterrupt from now on, so that what a command has made is cleared away."""
    if signal.getsignal(signal.SIGINT) is end_at_once:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def end_at_once(*_: object) -> NoReturn:
    """Say that it was interrupted, and end."""
    os.write(2, b"interrupted\n")
    os._exit(CODE)


def is_interruption(error: BaseException | None) -> bool:
    """Whether an exception comes from Ctrl-C: modules that are being imported may put another in its place."""
    while error:
        if isinstance(error, KeyboardInterrupt):
            return True
        error = error.__cause__ or error.__context__
    return False
