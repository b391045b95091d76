"""Content that another process is downloading to the same place: wait for it, and do not download it twice."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

STILL = 900.0
"""Seconds without a new byte after which nothing is waited for; a download without an answer ends sooner."""
PAUSE = 0.5
"""Seconds between two looks."""
STOPPED = (
    "another process began to download it and does not go on; if it is yours, end it, and type the same again: its "
    "bytes are kept"
)


class OtherRuns:
    """What other processes are downloading, by any name of it."""

    def __init__(self) -> None:
        self._files: dict[str, Path] = {}
        self._seen: dict[str, tuple[int, int]] = {}
        self._since = 0.0

    def have(self, name: str, partial: Path) -> None:
        """Another process is downloading something; ``partial`` grows meanwhile."""
        self._files[name] = partial

    def __bool__(self) -> bool:
        return bool(self._files)

    def next_try(self, waiting: Callable[[int], None]) -> list[str]:
        """Wait a moment, and return what to try again; it is no longer counted as that of others.

        Empty if there is nothing, or if no other process has written anything for too long: see :meth:`given_up`.
        ``waiting`` is called with how many files are waited for.
        """
        waiting(len(self._files))
        if not self._files:
            return []
        seen = {name: _state(file) for name, file in self._files.items()}
        if seen != self._seen:
            self._seen, self._since = seen, time.monotonic()
        elif time.monotonic() - self._since > STILL:
            return []
        time.sleep(PAUSE)
        files, self._files = self._files, {}
        return list(files)

    def given_up(self) -> list[str]:
        """What is waited for no longer."""
        files, self._files = self._files, {}
        return list(files)


def _state(file: Path) -> tuple[int, int]:
    """What changes while somebody writes a file."""
    try:
        facts = file.stat()
    except OSError:
        return 0, 0
    return facts.st_mtime_ns, facts.st_size
