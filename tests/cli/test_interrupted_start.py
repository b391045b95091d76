"""Ctrl-C while the program starts: one line and exit code 130, whatever is being imported."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.terminal import CTRL_C, on_terminal

WAIT = "import sys, time\nprint('importing', flush=True)\ntime.sleep(60)\n"
IN_A_CLASS = """\
import time
class Slow:
    def __set_name__(self, owner, name):
        print("importing", flush=True)
        time.sleep(60)
class Owner:
    field = Slow()
"""


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("click", WAIT),
        ("requests", WAIT),
        ("requests", IN_A_CLASS),
        ("sqlite3", IN_A_CLASS),
        ("requests", f"exec({WAIT!r})"),
    ],
)
def test_ctrl_c_during_an_import_ends_with_130_and_no_traceback(module: str, text: str, tmp_path: Path) -> None:
    (tmp_path / f"{module}.py").write_text(text)  # in place of the real one, which comes in an instant
    with on_terminal("status", "000123", "-d", str(tmp_path), env={"PYTHONPATH": str(tmp_path)}) as terminal:
        terminal.press("importing", CTRL_C)
        assert terminal.end() == 130
    assert terminal.plain.replace("^C", "").split() == ["importing", "interrupted"]


def test_in_the_background_of_a_shell_the_start_is_not_interrupted(tmp_path: Path) -> None:
    (tmp_path / "click.py").write_text(WAIT.replace("60", "0.2") + "print('here', flush=True)\nsys.exit(5)\n")
    child = subprocess.Popen(
        [sys.executable, "-m", "dandi_mirror", "status"], env={"PYTHONPATH": str(tmp_path)}, stdout=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    )  # fmt: skip
    assert child.stdout
    assert child.stdout.readline() == b"importing\n"
    child.send_signal(signal.SIGINT)
    assert child.communicate(timeout=60)[0] == b"here\n" and child.returncode == 5
