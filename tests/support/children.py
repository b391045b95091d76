"""The processes that a program has started."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path


def children_of(process: int) -> set[int]:
    """The processes that a process has started, and that have not ended."""
    children: set[int] = set()
    with suppress(OSError):
        for thread in Path(f"/proc/{process}/task").iterdir():
            with suppress(OSError):
                children.update(int(pid) for pid in (thread / "children").read_text().split())
    return children


def descendants(process: int) -> list[int]:
    """The children of a process, and theirs."""
    return [one for child in children_of(process) for one in (child, *descendants(child))]


def reader_of(process: int) -> int:
    """The process that reads files for another one, as soon as there is one."""
    for _ in range(2000):
        for pid in children_of(process):
            with suppress(OSError):  # it has ended meanwhile
                if b"dandi_mirror.upload.read.worker_program" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    return pid
        time.sleep(0.005)
    raise AssertionError("no reader was started")
