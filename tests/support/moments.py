"""Moments of a run that do not depend on how fast or how busy the machine is: by what the run has computed.

A moment in seconds comes too late on an idle machine, or in the first tenth of the run on a busy one; a run that
waits for its turn computes nothing meanwhile.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection
from pathlib import Path

from tests.support.children import descendants

_TICK = os.sysconf("SC_CLK_TCK")
_LOOK = 0.002
PATIENCE = 300.0
"""Seconds until a run is given up that neither ends nor computes."""


def reaches(child: subprocess.Popen[str] | subprocess.Popen[bytes], seconds: float) -> bool:
    """Wait until a run and all that it started have computed so many seconds; False: it ended before.

    The run is alive when this says True, or has ended in the instant since.
    """
    until = time.monotonic() + PATIENCE
    while child.poll() is None:
        if computed(child.pid) >= seconds:
            return child.poll() is None
        if time.monotonic() > until:
            raise TimeoutError(f"after {PATIENCE:.0f} s it has computed {computed(child.pid):.2f} s of {seconds:.2f}")
        time.sleep(_LOOK)
    return False


def killed_at(moment: int, calls: Collection[str], do: Callable[[], object]) -> bool:
    """Do something in another process, which kills itself at its ``moment``-th of these ``calls``; whether it did.

    ``calls`` are events of :func:`sys.audit`.
    """
    child = os.fork()
    if child:
        return os.WIFSIGNALED(os.waitpid(child, 0)[1])
    left = moment

    def count(event: str, _: object) -> None:
        nonlocal left
        if event in calls:
            left -= 1
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)
    try:
        do()
    finally:
        os._exit(0)


def computed(process: int) -> float:
    """Seconds that a process and all that it started have computed, what has ended included; 0 if it is gone."""
    return sum(_ticks(one) for one in (process, *descendants(process))) / _TICK


def _ticks(process: int) -> int:
    try:
        # the name, in parentheses, may hold anything
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return sum(int(field) for field in fields[11:15])
