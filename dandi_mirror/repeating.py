"""Do something again and again in a thread of its own while a block lasts, as to draw how far it is."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

PAUSE = 0.2
"""Seconds between two times."""


@contextmanager
def repeated(do: Callable[[], object]) -> Iterator[None]:
    """Call ``do`` every :data:`PAUSE` seconds while the block lasts; after it, ``do`` does not run any more."""
    over = threading.Event()

    def follow() -> None:
        while not over.wait(PAUSE):
            do()

    follower = threading.Thread(target=follow, daemon=True)
    follower.start()
    try:
        yield
    finally:
        over.set()
        follower.join()
