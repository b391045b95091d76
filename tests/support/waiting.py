"""Waiting for a condition, with a bound that is generous: a busy machine only makes a test slower."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

LONG = 300.0
"""Seconds: more than anything takes on a busy machine."""
SOON = 30.0
"""Seconds: far less than what a test says is not waited for, far more than a start takes on a busy machine."""


def wait_until(holds: Callable[[], object], seconds: float = LONG) -> None:
    """Wait until a condition holds; fail if it does not within so many seconds."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"it does not hold after {seconds:.0f} seconds"
        time.sleep(0.01)


def let_the_clock_of_files_tick(folder: Path) -> None:
    """Wait until a file that is written now is younger than all that were written before."""
    trace = folder / ".tick"

    def written() -> int:
        trace.write_bytes(b"")
        return trace.stat().st_mtime_ns

    before = written()
    wait_until(lambda: written() > before)
    trace.unlink()
