"""Other users of this machine: who owns a mirror, who reads in it, and operators of one group."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import GIT_CONFIG

OWNER, READER, GROUP = 61001, 61002, 61000
"""Users and a group that no system has: whoever owns a mirror, and whoever reads in it or is the second operator."""
_READS_ALL = ("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search")
"""They may read what the tests' own user may: Python itself may be in root's home."""

needs_root = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("setpriv"), reason="only root can give a file to another user, by setpriv"
)


def give(folder: Path, user: int, group: int | None = None) -> None:
    """Give a folder to a user; others may read it."""
    for path in (folder, *folder.rglob("*")):
        os.chown(path, user, user if group is None else group, follow_symlinks=False)
    subprocess.run(["chmod", "-R", "go+rX", folder], check=True)


def as_user(
    user: int, home: Path, *command: str, cwd: Path | None = None, group: int | None = None, umask: str = "022"
) -> subprocess.CompletedProcess[str]:
    """Run a program as another user with a home of its own."""
    group = user if group is None else group
    home.mkdir(exist_ok=True)
    if not (home / ".gitconfig").exists():
        (home / ".gitconfig").write_text(GIT_CONFIG)
    for path in (home, home / ".gitconfig"):
        os.chown(path, user, group)
    if command[0] == "dandi-mirror":
        command = (sys.executable, "-m", "dandi_mirror", *command[1:])
    who = [f"--reuid={user}", f"--regid={group}", "--clear-groups", "--no-new-privs", *_READS_ALL]
    environment = {"HOME": str(home), "PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"}
    environment["PYTHON_KEYRING_BACKEND"] = "keyring.backends.null.Keyring"
    return subprocess.run(
        ["setpriv", *who, "sh", "-c", f"umask {umask}; exec {shlex.join(command)}"],
        env=environment, cwd=cwd or home, capture_output=True, text=True,
    )  # fmt: skip
