"""A module of the benchmarks that serves an archive in a process of its own, for as long as a block lasts.

The process prints the URL of its API and what else is to be known, line by line; it ends with its standard input.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

TOP = Path(__file__).parents[1]


class Served:
    """The archive in its process."""

    def __init__(self, child: subprocess.Popen[str]) -> None:
        self._child = child
        self.api_url = self.line()

    def change(self, count: int) -> None:
        """Let the archive change ``count`` times; each module says what that is."""
        assert self._child.stdin
        self._child.stdin.write(f"change {count}\n")
        self._child.stdin.flush()
        self.line()

    def line(self) -> str:
        """The next line that it prints."""
        assert self._child.stdout
        return self._child.stdout.readline().strip()

    def lines(self) -> list[str]:
        """The next lines that it prints, up to an empty one."""
        return list(iter(self.line, ""))


@contextmanager
def served(module: str, *arguments: object) -> Iterator[Served]:
    """Run a module of this package, which serves, until the block ends."""
    command = [sys.executable, "-m", f"benchmarks.{module}", *map(str, arguments)]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=TOP)
    try:
        yield Served(child)
    finally:
        child.stdin.close()  # type: ignore[union-attr]
        child.wait()


def change_when_told(api_url: str, change: Callable[[], object], after: Callable[[], object] = lambda: None) -> None:
    """In that process: print the URL; ``change`` as often as each line of standard input says, then ``after``."""
    print(api_url, flush=True)
    for line in sys.stdin:
        for _ in range(int(line.removeprefix("change "))):
            change()
        after()
        print("done", flush=True)
