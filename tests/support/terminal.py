"""A program on a terminal of its own, and who types there."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

_BEGIN = (
    "import fcntl, os, signal, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    "signal.signal(signal.SIGINT, signal.SIG_DFL); "  # tests that run in the background ignore it, a terminal does not
    "os.execv(sys.argv[1], sys.argv[1:])"
)
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_PIECE = re.compile(r"\n|\r|\x1b\[(?P<count>[0-9]*)[AK]|\x1b\[[0-9;?]*[A-Za-z]|[^\n\r\x1b]+")
PATIENCE = 300.0
CTRL_C = "\x03"
READING = ("0", "7", "23", "270", "271", "63", "72", "73")
"""Numbers of read, poll, select, pselect6, ppoll on x86-64; of read, pselect6, ppoll where numbers are new."""


class Terminal:
    """What is seen and typed."""

    def __init__(self, master: int, process: subprocess.Popen[bytes]) -> None:
        self._master = master
        self._process = process
        self._seen = 0
        self.output = ""

    @property
    def pid(self) -> int:
        """Of the program."""
        return self._process.pid

    def wait_for(self, text: str) -> None:
        """Wait until something is seen."""
        end = time.monotonic() + PATIENCE
        while text not in self.plain:
            assert self._read(end), f"no {text!r} in {self.output!r}"

    @property
    def plain(self) -> str:
        """What was printed, on one line and without what moves the cursor."""
        return " ".join(_CONTROL.sub("", self.output).split())

    @property
    def lines(self) -> list[str]:
        """The lines that are on the screen, with what was drawn over or erased taken away."""
        return screen(self.output)

    def press(self, question: str, key: str) -> None:
        """Wait for a question, and press a key."""
        self.wait_for(question)
        self._wait_for_reading(1 if key == CTRL_C else 20)  # a prompt flushes what was typed before it, but no signal
        os.write(self._master, key.encode())

    def answer(self, question: str, answer: str) -> None:
        """Wait for a question, and type an answer and Enter."""
        end = time.monotonic() + PATIENCE
        while question not in self.output[self._seen :]:
            assert self._read(end), f"no {question!r} in {self.output!r}"
        self._seen = len(self.output)
        self._wait_for_reading(20)  # a prompt flushes what was typed before it
        os.write(self._master, f"{answer}\n".encode())

    def _wait_for_reading(self, seconds: float) -> None:
        """Wait so long at most until the program waits for input; where the system does not say so, for a second."""
        end = time.monotonic() + (seconds if os.access(f"/proc/{self.pid}/syscall", os.R_OK) else 1)
        while time.monotonic() < end and not self._is_reading():
            time.sleep(0.01)

    def _is_reading(self) -> bool:
        """Whether the program waits for the terminal, and not for a file that it reads."""
        with suppress(OSError, ValueError):
            number, *words = Path(f"/proc/{self.pid}/syscall").read_text().split()
            if number in ("0", "63"):
                return str(Path(f"/proc/{self.pid}/fd/{int(words[0], 16)}").readlink()).startswith("/dev/")
            return number in READING
        return False

    def end(self) -> int:
        """Wait for the end of the program; its exit code."""
        end = time.monotonic() + PATIENCE
        while self._read(end):
            pass
        return self._process.wait(PATIENCE)

    def _read(self, end: float) -> bool:
        if not select.select([self._master], [], [], max(0, end - time.monotonic()))[0]:
            return False
        try:
            got = os.read(self._master, 4096)
        except OSError:
            return False  # the other side is closed
        self.output += got.decode(errors="replace")
        return bool(got)


def screen(output: str) -> list[str]:
    """What a terminal of any height shows after some output."""
    rows, row, column = [""], 0, 0
    for found in _PIECE.finditer(output):
        piece = found[0]
        if piece == "\n":
            row += 1
            rows += [""] * (row + 1 - len(rows))
        elif piece == "\r":
            column = 0
        elif piece.endswith("A") and found["count"] is not None:
            row = max(0, row - int(found["count"] or 1))
        elif piece.endswith("K") and found["count"] is not None:
            rows[row] = "" if found["count"] == "2" else rows[row][:column]
        elif not piece.startswith("\x1b"):
            rows[row] = rows[row][:column].ljust(column) + piece + rows[row][column + len(piece) :]
            column += len(piece)
    return [line.rstrip() for line in rows]


@contextmanager
def on_terminal(*arguments: str, env: Mapping[str, str] | None = None, program: str = "") -> Iterator[Terminal]:
    """``dandi-mirror ARGUMENTS`` on a terminal; or a ``program`` in Python with them."""
    start = ["-c", program] if program else ["-m", "dandi_mirror"]
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", _BEGIN, sys.executable, *start, *arguments],
        stdin=slave, stdout=slave, stderr=slave, start_new_session=True, env={**os.environ, **(env or {})},
    )  # fmt: skip
    os.close(slave)
    try:
        yield Terminal(master, process)
    finally:
        process.kill()
        process.wait()
        os.close(master)
