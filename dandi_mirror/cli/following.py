"""Telling something again and again while a block lasts."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_PAUSE = 0.2
"""Seconds."""


@contextmanager
def repeated(tell: Callable[[], object]) -> Iterator[None]:
    """Call ``tell`` five times a second, in a thread that is over when the block is."""
    over = threading.Event()

    def follow() -> None:
        while not over.wait(_PAUSE):
            tell()

    follower = threading.Thread(target=follow, daemon=True)
    follower.start()
    try:
        yield
    finally:
        over.set()
        follower.join()
