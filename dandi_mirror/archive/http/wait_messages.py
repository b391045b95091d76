"""Messages to a person at a terminal while a host does not answer, and how long such a person has to wait.

The command line turns them on.  Without a terminal (cron), there are no messages, and all retries are made.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

QUIET = 2.0
"""Seconds without a response until the first message."""
OFTEN = 60.0
"""Seconds until the same message about a host is repeated."""
ENOUGH = 10.0
"""Seconds after which a run at a terminal gives up a host that it cannot reach, if no host has answered yet."""
_LOOK = 0.25
"""Seconds."""


class WaitMessages:
    """The messages of a process, at most one for each host and attempt."""

    def __init__(self) -> None:
        self._say: Callable[[str], None] | None = None
        self._lock = threading.Lock()
        self._waiting: dict[int, tuple[str, float]] = {}
        """Thread → the host that it waits for, and since when."""
        self._heard = 0.0
        """When the last response came."""
        self._answered = False
        self._trouble: float | None = None
        """When the first of the failed attempts began."""
        self._said: dict[str, tuple[int, float]] = {}
        """Host → the attempt of the last message, and when that was."""
        self._watching = False

    def listen(self, say: Callable[[str], None] | None) -> None:
        """Send messages to a person at a terminal through ``say``; None turns them off."""
        self._say, self._answered, self._trouble = say, False, None
        self._said.clear()

    def answered(self) -> None:
        """Note that a host has answered."""
        self._answered, self._heard = True, time.monotonic()

    def again(self, host: str, why: str, attempt: int, most: int, pause: float) -> None:
        """Say that a request to a host will be repeated; once, if several threads do."""
        self._once(host, attempt, f"{host}: {why}; trying again in {pause:.0f} s ({attempt} of {most})")

    def is_enough(self, began: float, pause: float) -> bool:
        """Whether a person has waited long enough.

        ``began``: when the failed attempt began; ``pause``: seconds until the next one.
        """
        if self._say is None or self._answered:
            return False
        now = time.monotonic()
        self._trouble = self._trouble or began
        return (now - self._trouble) + pause + (now - began) > ENOUGH

    def waiting(self, host: str) -> AbstractContextManager[None]:
        """Say so if a host takes long to answer the request in this block."""
        return nullcontext() if self._say is None else self._watched(host)

    @contextmanager
    def _watched(self, host: str) -> Iterator[None]:
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


WAIT_MESSAGES = WaitMessages()
