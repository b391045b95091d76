"""An ssh server on this machine that lets the user of the tests in; and how a server is run."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import run

SSHD = shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin")


@contextmanager
def running(*command: str, port: int, folder: Path) -> Iterator[None]:
    """A server, from when it listens until the block ends; what it says is in a file ``log`` in ``folder``."""
    with (folder / "log").open("wb") as log:
        child = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 20
        while True:
            assert child.poll() is None, (folder / "log").read_text()
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert time.monotonic() < deadline, "it does not listen"
                time.sleep(0.02)
        yield
    finally:
        child.terminate()
        child.wait(20)


def free_port() -> int:
    """A port of this machine on which nothing listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def ssh_server(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Run an ssh server; ``host:port``.  git and git-annex are told how to reach it."""
    if not SSHD:
        pytest.skip("sshd is not installed (Debian: openssh-server)")
    port, ssh = free_port(), shutil.which("ssh")
    (folder / "bin").mkdir(mode=0o700, parents=True)
    for name in ("host", "mine"):
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name))
    (folder / "authorized_keys").write_text((folder / "mine.pub").read_text())
    (folder / "sshd_config").write_text(
        f"ListenAddress 127.0.0.1:{port}\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/authorized_keys\n"
        "PidFile none\nStrictModes no\nUsePAM no\nPasswordAuthentication no\n"
        f"SetEnv HOME={os.environ['HOME']} PATH={os.environ['PATH']}\n"
    )
    (folder / "config").write_text(
        f"IdentityFile {folder}/mine\nIdentitiesOnly yes\nUserKnownHostsFile /dev/null\nStrictHostKeyChecking no\n"
        "LogLevel ERROR\n"
    )
    monkeypatch.setenv("GIT_SSH_COMMAND", f"ssh -F {folder}/config")
    # git-annex starts ssh itself, without what git is told
    (folder / "bin/ssh").write_text(f'#!/bin/sh\nexec {ssh} -F {folder}/config "$@"\n')
    (folder / "bin/ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}/bin:{os.environ['PATH']}")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    with running(SSHD, "-D", "-e", "-f", str(folder / "sshd_config"), port=port, folder=folder):
        if run("ssh", "-p", str(port), "127.0.0.1", "git", "--version", code=None).returncode:
            pytest.skip(f"sshd lets nobody in here: {(folder / 'log').read_text()[-200:]}")
        yield f"127.0.0.1:{port}"
