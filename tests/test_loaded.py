"""What tests take for a command is one: a fork of the loaded program does what a process of its own does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import run
from tests.support.loaded import loaded

COMMANDS = (["config", "--init", "-d", "mirror"], ["ls", "no Dandiset"], ["config", "-d", "mirror", "-f", "json"])


def started(command: list[str], *, fork: bool) -> subprocess.CompletedProcess[str]:
    if fork:
        return run("dandi-mirror", *command, code=None)
    own = [sys.executable, "-m", "dandi_mirror", *command]
    return subprocess.run(own, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)


def test_a_fork_prints_writes_and_ends_as_a_process_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DANDI_MIRROR_JOBS", "3")
    found = []
    umask = os.umask(0o027)
    try:
        for fork in (True, False):
            (folder := tmp_path / str(fork) / "here").mkdir(parents=True)
            monkeypatch.chdir(folder)
            ends = [(done.returncode, done.stdout, done.stderr) for done in (started(c, fork=fork) for c in COMMANDS)]
            modes = {str(file.relative_to(folder)): file.stat().st_mode for file in folder.rglob("*")}
            found.append((str(ends).replace(str(folder), "."), modes))
    finally:
        os.umask(umask)
    assert found[0] == found[1]


def test_a_command_that_takes_too_long_is_ended() -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        loaded().run(["archive", "serve", "--port", "0"], None, os.environ, None, 0.01)


def test_what_starts_commands_is_started_again_if_a_test_has_ended_it() -> None:
    os.kill(loaded().pid, signal.SIGKILL)
    os.waitid(os.P_PID, loaded().pid, os.WEXITED | os.WNOWAIT)
    assert loaded().fits(dict(os.environ))
    assert loaded().run(["--version"], None, os.environ, None, 60).returncode == 0


def test_variables_that_python_reads_at_its_start_get_a_process_of_their_own() -> None:
    assert loaded().fits(dict(os.environ))
    assert not loaded().fits({**os.environ, "LD_PRELOAD": "/nowhere.so"})
    assert not loaded().fits({**os.environ, "LC_ALL": "de_DE.ISO-8859-1"})
    assert not loaded().fits({**os.environ, "PYTHONUTF8": "0"})
