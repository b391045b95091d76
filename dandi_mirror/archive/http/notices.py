"""What somebody at a terminal is told while a host does not answer, and how long such a person waits.

Nobody listens unless the command line says so.  A run by the clock says nothing before its end, and has all patience.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

QUIET = 2.0
"""Seconds without an answer until something is said."""
OFTEN = 60.0
"""Seconds until the same is said again of a host."""
ENOUGH = 10.0
"""Seconds after which a person's run gives up a host that cannot be reached, if nothing has answered it yet."""
_LOOK = 0.25
"""Seconds."""


class Notices:
    """What is said, to whom, and when."""

    def __init__(self) -> None:
        self._say: Callable[[str], None] | None = None
        self._lock = threading.Lock()
        self._waiting: dict[int, tuple[str, float]] = {}
        """By thread: the host that it waits for, and since when."""
        self._heard = 0.0
        """When something was last answered."""
        self._answered = False
        self._trouble: float | None = None
        """Since when nobody has been reached."""
        self._said: dict[str, tuple[int, float]] = {}
        """By host: the attempt that was last told, and when."""
        self._watching = False

    def listen(self, say: Callable[[str], None] | None) -> None:
        """Somebody sits at a terminal, and is told by ``say``; None: nobody does."""
        self._say, self._answered, self._trouble = say, False, None
        self._said.clear()

    def answered(self) -> None:
        """A host has answered."""
        self._answered, self._heard = True, time.monotonic()

    def again(self, host: str, why: str, attempt: int, most: int, pause: float) -> None:
        """A host will be asked again; of several threads that ask it, one is told of."""
        self._once(host, attempt, f"{host}: {why}; trying again in {pause:.0f} s ({attempt} of {most})")

    def is_enough(self, began: float, pause: float) -> bool:
        """Whether a person has waited enough; ``began``: the failed attempt, ``pause``: seconds until the next one."""
        if self._say is None or self._answered:
            return False
        now = time.monotonic()
        self._trouble = self._trouble or began
        return (now - self._trouble) + pause + (now - began) > ENOUGH

    @contextmanager
    def waiting(self, host: str) -> Iterator[None]:
        """Say so if a host takes long to answer what is asked in this block."""
        if self._say is None:
            yield
            return
        if not self._watching:
            self._watch()
        me = threading.get_ident()
        self._waiting[me] = host, time.monotonic()
        try:
            yield
        finally:
            self._waiting.pop(me, None)

    def _watch(self) -> None:
        with self._lock:
            if not self._watching:
                self._watching = True
                threading.Thread(target=self._look, name="notices", daemon=True).start()

    def _look(self) -> None:
        while True:
            time.sleep(_LOOK)
            for host, since in list(self._waiting.values()):
                if time.monotonic() - max(since, self._heard) > QUIET:
                    self._once(host, 0, f"{host} has not answered yet; waiting for it (Ctrl-C ends this)")

    def _once(self, host: str, attempt: int, line: str) -> None:
        now = time.monotonic()
        with self._lock:
            before, when = self._said.get(host, (-1, 0.0))
            if attempt <= before and now - when < OFTEN:
                return
            self._said[host] = attempt, now
        if self._say:
            self._say(line)


NOTICES = Notices()
