"""An archive that is away: somebody at a terminal is told at once and not kept; a run by the clock tries on."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from dandi_mirror.archive.http import wait_messages as notices
from dandi_mirror.archive.http.retry import HostState, NoResponse, RetryPolicy, with_retries
from dandi_mirror.archive.http.session import Session
from dandi_mirror.archive.http.wait_messages import WAIT_MESSAGES
from dandi_mirror.archive.instances import token_variable
from dandi_mirror.embedded import Archive, serve
from dandi_mirror.errors import TemporaryError
from tests.conftest import MirrorOfTest, run
from tests.support.terminal import on_terminal

LAST = "(7 of 7)"
"""What is said before the last attempt, where all are made; no clock is looked at, for this machine may be busy."""
NOWHERE = "https://no-such-host.invalid/api"
POLICY = RetryPolicy(attempts=7, backoff=0.02, connect_timeout=5, read_timeout=5)


@pytest.fixture
def refusing() -> str:
    """The API's URL of an archive that is not up."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    return f"http://127.0.0.1:{port}/api"


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """What somebody at a terminal is told."""
    told: list[str] = []
    WAIT_MESSAGES.listen(told.append)
    yield told
    WAIT_MESSAGES.listen(None)


COMMANDS = {
    "sync": ["sync", "000123", "-d", "mirror"],
    "ls": ["ls", "DANDI:000123"],
    "download": ["download", "DANDI:000123"],
    "login": ["login", "--check"],
    "create": ["create", "--name", "A name", "-d", "mirror"],
}


@pytest.mark.parametrize(
    "command",
    [pytest.param(words, id=name, marks=[] if name == "sync" else pytest.mark.slow)
     for name, words in COMMANDS.items()],
)  # fmt: skip
def test_a_refused_connection_is_said_at_once_and_ends_soon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refusing: str, command: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DANDI_MIRROR_INSTANCE", refusing)
    host = refusing.split("/")[2]
    with on_terminal(*command, "-i", refusing, env={token_variable(refusing): "a" * 40}) as terminal:
        terminal.wait_for(f"{host}: connection refused; trying again in ")
        code = terminal.end()
    assert "(2 of 7)" in terminal.plain
    assert (code, LAST in terminal.plain) == (5, False), terminal.plain
    last = terminal.plain.rpartition("dandi-mirror: ")[2]
    assert "connection refused; is this the right address, and is the server up?; run the command again later" in last
    assert not (tmp_path / "mirror" / "000123").exists()


def test_a_name_that_does_not_resolve_is_said_at_once_and_ends_soon(tmp_path: Path) -> None:
    with on_terminal("sync", "000123", "-d", str(tmp_path / "mirror"), "-i", NOWHERE) as terminal:
        terminal.wait_for("no-such-host.invalid: name not found; trying again in ")
        code = terminal.end()
    assert (code, LAST in terminal.plain) == (5, False), terminal.plain
    assert "name not found; is this machine online, and does it need a proxy (docs/proxies.md)?" in terminal.plain


@pytest.mark.slow
def test_content_of_hosts_that_are_all_away_is_given_up_once_and_not_for_each_file(
    archive: Archive, mirror: MirrorOfTest, tmp_path: Path, refusing: str
) -> None:
    with serve(Archive(instance_name="DANDI")) as server:
        dandiset = server.archive.create_dandiset("000123", name="A test")
        for number in range(40):
            dandiset.add_asset(f"{number}.nwb", server.archive.add_blob(b"%d" % number * 1000))
        assert MirrorOfTest(tmp_path / "mirror", server).sync().exit_code == 0
    run("git", "clone", "-q", str(tmp_path / "mirror" / "000123"), str(tmp_path / "clone"))
    with on_terminal("get", str(tmp_path / "clone"), "-i", server.api_url) as terminal:
        terminal.wait_for("connection refused; trying again in ")
        code = terminal.end()
    assert (code, LAST in terminal.plain) == (5, False), terminal.plain


def test_a_host_that_takes_a_connection_and_says_nothing_is_named_while_it_is_waited_for(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        host = f"127.0.0.1:{silent.getsockname()[1]}"
        with on_terminal("sync", "000123", "-d", str(tmp_path), "-i", f"http://{host}/api") as terminal:
            terminal.wait_for(f"{host} has not answered yet; waiting for it")
            os.kill(terminal.pid, signal.SIGINT)
            assert terminal.end() == 130


def test_a_run_by_the_clock_says_nothing_until_its_end_and_makes_all_attempts(refusing: str) -> None:
    tried = 0

    def once() -> None:
        nonlocal tried
        tried += 1
        raise NoResponse("connection refused", unreachable=True)

    WAIT_MESSAGES.listen(None)
    with pytest.raises(NoResponse):
        with_retries(once, POLICY, HostState("x"), "y", lambda seconds: None)
    assert tried == POLICY.attempts
    # and by the command: no line before the last one
    patch = "import sys, dandi_mirror.archive.http.session as h\n"
    patch += "h.Session.__init__.__defaults__ = (None, h.RetryPolicy(attempts=3, backoff=0.01))\n"
    patch += "from dandi_mirror.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", patch, "ls", "DANDI:000123", "-i", refusing], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr.count("\n")) == (5, 1), done.stderr
    assert "connection refused" in done.stderr


def test_a_person_is_told_and_let_go_in_time() -> None:
    assert notices.QUIET + 1 <= 3
    assert notices.ENOUGH + 5 <= 15


def test_a_person_is_kept_for_so_long_over_all_hosts_together(
    monkeypatch: pytest.MonkeyPatch, lines: list[str], refusing: str
) -> None:
    monkeypatch.setattr(notices, "ENOUGH", 0.1)
    with closing(Session(refusing, policy=POLICY)) as asking:
        with pytest.raises(TemporaryError, match="connection refused"):
            asking.get("/info/")
        told = len(lines)
        assert 0 < told < POLICY.attempts - 1
        with pytest.raises(TemporaryError, match="connection refused"):
            asking.get("/info/")
        with pytest.raises(TemporaryError, match="connection refused"):
            asking.content(refusing + "/x", 10)
    assert len(lines) == told, "the second host is asked once, the first one not at all"


def test_who_has_had_an_answer_is_not_left_by_a_short_outage(
    monkeypatch: pytest.MonkeyPatch, lines: list[str], refusing: str
) -> None:
    monkeypatch.setattr(notices, "ENOUGH", 0.0)
    WAIT_MESSAGES.answered()
    with closing(Session(refusing, policy=POLICY)) as asking, pytest.raises(TemporaryError):
        asking.get("/info/")
    assert [line.rpartition("(")[2] for line in lines] == [f"{number} of 7)" for number in range(2, 8)]
