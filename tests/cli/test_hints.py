"""Each command that a message tells people to type: it can be typed, and acts on the mirror that they named."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from dandi_mirror.cli.main import COMMANDS, cli
from dandi_mirror.workflows.hints import _COMMANDS, name_the_mirror, with_mirror
from tests.support.printed_commands import bare_paths, messages

pytestmark = pytest.mark.quick

MIRROR = "/a mirror"
ENDS = re.compile(r"[;,()`\n]| (?:when|says|, or|and) |$")
"""Where a command in a sentence ends."""


@pytest.fixture(autouse=True)
def named() -> Iterator[None]:
    """The person typed ``-d '/a mirror'``."""
    name_the_mirror(Path(MIRROR))
    yield
    name_the_mirror(None)


def commands_in(text: str) -> Iterator[list[str]]:
    """The commands of a message, each as words."""
    for found in re.finditer(r"\bdandi-mirror (?=[a-z]+)", text):
        rest = text[found.end() :]
        end = ENDS.search(rest)
        assert end
        yield shlex.split(rest[: end.start()])


def test_a_command_that_acts_on_the_mirror_names_the_one_that_the_person_named() -> None:
    found = [(place, words) for place, text in messages() for words in commands_in(with_mirror(text))]
    ours = [(place, words) for place, words in found if words[0] in _COMMANDS and not place.startswith("config/")]
    assert len(ours) > 40, "the messages were found"
    assert [(place, words) for place, words in ours if words.count("-d") != 1] == []


def test_the_mirror_is_named_without_dots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mirror/000123").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "mirror/000123")
    name_the_mirror(Path(".."))
    assert with_mirror("dandi-mirror status") == f"dandi-mirror status -d {tmp_path / 'mirror'}"


def test_a_command_in_a_message_can_be_typed() -> None:
    for place, text in messages():
        for words in commands_in(with_mirror(text)):
            if words[0] in _COMMANDS and not place.startswith(("config/", "catalogue/")):
                parse(place, words)


def parse(place: str, words: list[str]) -> None:
    command = cli.get_command(click.Context(cli), words[0])
    assert command, place
    try:
        command.make_context(words[0], words[1:])
    except click.MissingParameter:
        pass  # the message leaves to the person which
    except click.UsageError as error:
        raise AssertionError(f"{place}: {shlex.join(words)}: {error.message}") from error


def test_each_command_that_acts_on_the_mirror_is_one_of_the_program() -> None:
    assert {*_COMMANDS} <= {*COMMANDS}


def test_each_path_in_a_command_to_type_is_written_as_a_shell_reads_it() -> None:
    assert bare_paths() == []
