"""The program with all its modules loaded, under one strace: each command is a fork of it, in half the time.

What a fork inherits is what a process of its own would have after its imports: no folder, no settings, no network.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from tests.hostile.repositories.serving import ask_and_end
from tests.hostile.repositories.watching import TRACING, Seen, bound, note, text_of, wait
from tests.support.loaded import become, load, run_program

TOP = Path(__file__).parents[3]


class Warm:
    """Runs commands like :func:`.watching.watch`; what starts them begins with the first, and again if it has ended."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._folder = folder
        self._environment = environment | {"PYTHONPATH": str(TOP)}
        self._child: subprocess.Popen[bytes] | None = None
        self._trace: TextIO | None = None

    def watch(self, command: Sequence[str], folder: Path, environment: dict[str, str]) -> Seen:
        """Run ``dandi-mirror command`` in a folder.

        Raises:
            RuntimeError: what starts the commands has ended.
        """
        if self._child is None:
            self._begin()
        output, errors = self._folder / "warm-output", self._folder / "warm-errors"
        asked: dict[str, object] = {"command": command, "folder": str(folder), "environment": environment}
        late, memory, code = self._ask(asked | {"output": str(output), "errors": str(errors)})
        with output.open("rb") as said, errors.open("rb") as complained:
            seen = Seen(list(command), code, text_of(said), text_of(complained), late, memory)
        assert self._trace
        for line in self._trace.read().splitlines():
            note(line, seen)
        return seen

    def _begin(self) -> None:
        trace = self._folder / "warm-trace"
        program = "from tests.hostile.repositories.warm import serve; serve()"
        with (self._folder / "warm-said").open("wb") as said:
            self._child = subprocess.Popen(
                [*TRACING, "-o", str(trace), sys.executable, "-P", "-c", program], env=self._environment, cwd="/",
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said,
            )  # fmt: skip
        self._ask({})
        self._trace = trace.open(errors="replace")
        self._trace.read()

    def _ask(self, asked: dict[str, object]) -> tuple[bool, int, int]:
        assert self._child and self._child.stdin and self._child.stdout
        self._child.stdin.write(json.dumps(asked).encode() + b"\n")
        self._child.stdin.flush()
        if not (line := self._child.stdout.readline()):
            code = self._child.wait()
            self.end()
            said = (self._folder / "warm-said").read_text(errors="replace")[-500:]
            raise RuntimeError(f"what starts the commands ended with {code}, at {asked.get('command')}: {said!r}")
        late, memory, code = json.loads(line)
        return late, memory, code

    def end(self) -> None:
        """End what starts the commands."""
        if self._trace:
            self._trace.close()
        if self._child and self._child.stdin:
            self._child.stdin.close()  # strace ends with what it follows; it does not take that along if it is killed
            self._child.wait()
        self._child = self._trace = None


@contextmanager
def warm(folder: Path, environment: dict[str, str]) -> Iterator[Warm]:
    """The program, loaded, for as long as the block lasts; ``folder`` is for the trace."""
    made = Warm(folder, environment)
    try:
        yield made
    finally:
        made.end()


def serve() -> None:
    """Load the program, and run what comes on standard input, until that ends."""
    load()
    for line in sys.stdin:
        asked = json.loads(line)
        child = os.fork() if asked else 0
        if asked and child == 0:
            _become(asked)
            if asked["command"][:1] == ["serve"]:
                ask_and_end()
            run_program()
        late, usage, code = wait(child) if asked else (False, None, 0)
        _tell(late, usage.ru_maxrss * 1024 if usage else 0, code)


def _tell(late: bool, memory: int, code: int) -> None:
    os.write(1, json.dumps([late, memory, code]).encode() + b"\n")


def _become(asked: dict[str, Any]) -> None:
    """Be the process that somebody starts in a folder by typing a command."""
    become(asked["folder"], asked["environment"], asked["command"])
    bound()
    for descriptor, (path, how) in enumerate((
        (os.devnull, os.O_RDONLY), (asked["output"], os.O_RDWR | os.O_CREAT | os.O_TRUNC),
        (asked["errors"], os.O_RDWR | os.O_CREAT | os.O_TRUNC),
    )):  # fmt: skip
        opened = os.open(path, how)
        os.dup2(opened, descriptor)
        os.close(opened)
