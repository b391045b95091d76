"""The commands that the pages show exist."""

from __future__ import annotations

import configparser
import re
import shlex
import subprocess
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import click
import pytest

from dandi_mirror import errors
from dandi_mirror.cli.main import COMMANDS, cli
from dandi_mirror.config import TABLE, Settings, attribute
from dandi_mirror.repo.git.programs import PROGRAMS
from tests.support.pages import FENCE, PAGES, TOP, name, page, rows, words

PROGRAM = re.compile(r"(?:^|[\s/`(])dandi-mirror(?= [^—–<]|$)([^`|;&)>#\n]*)", re.MULTILINE)


def code(text: str) -> str:
    """The code of a page of Markdown: its blocks, and what stands between backticks."""
    blocks = [found[2] for found in FENCE.finditer(text) if not found[1].startswith("{") and found[1] != "text"]
    return "\n".join([*blocks, *(f"`{span}`" for span in re.findall(r"`([^`\n]+)`", FENCE.sub("", text)))])


def calls(path: Path) -> Iterator[list[str]]:
    """The arguments of each call of the program that a page shows."""
    text = path.read_text()
    for found in PROGRAM.finditer(code(text) if path.suffix == ".md" else text):
        yield shlex.split(found[1])


def options_of(command: click.Command) -> set[str]:
    parameters = command.get_params(click.Context(command))
    return {"-h", *(option for parameter in parameters for option in parameter.opts)}


def check_call(arguments: list[str]) -> None:
    command: click.Command = cli
    context = click.Context(cli)
    for word in arguments:
        if isinstance(command, click.Group) and not word.startswith("-"):
            found = command.get_command(context, word)
            assert found, f"no command {word!r}"
            command = found
        elif word.startswith("-"):
            assert word in options_of(command), f"{command.name} has no option {word}"
    shown = click.Context(command)
    for parameter, value in pairwise(arguments):
        for option in command.get_params(shown):
            if parameter in option.opts and isinstance(option.type, click.Choice):
                assert value in option.type.choices, f"{parameter} {value}"


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_every_command_and_option_that_is_shown_exists(path: Path) -> None:
    for arguments in calls(path):
        check_call(arguments)


def test_the_pages_show_commands_and_the_check_would_see_a_wrong_one() -> None:
    shown = [arguments[0] for path in PAGES for arguments in calls(path) if arguments]
    assert set(COMMANDS) <= set(shown), "every command is on some page"
    for wrong in (["snyc"], ["sync", "--fast"], ["sync", "--mode", "fast"], ["archive", "stop"]):
        with pytest.raises(AssertionError):
            check_call(wrong)


def test_units_and_crontab_call_the_program() -> None:
    service = configparser.ConfigParser(interpolation=None)
    service.optionxform = str  # type: ignore[assignment,method-assign]
    service.read(TOP / "cron" / "dandi-mirror.service")
    program, *arguments = shlex.split(service["Service"]["ExecStart"])
    assert Path(program).name == "dandi-mirror"
    check_call(arguments)
    assert service["Service"]["SuccessExitStatus"] == str(errors.LockedError.exit_code)
    lines = [line for line in page("cron/dandi-mirror.cron").splitlines() if line[:1].isdigit()]
    assert lines
    for line in lines:
        *_, command = line.split(maxsplit=5)
        check_call(shlex.split(command)[1:])
    assert lines[0] in page("README.md"), "README.md shows the same line"


def test_ci_runs_the_commands_of_the_readme() -> None:
    shown = subprocess.run([TOP / ".ci" / "run", "--show"], capture_output=True, text=True, check=True).stdout
    commands = shown.splitlines()
    assert len(commands) == 2
    blocks = [found[2].strip() for found in FENCE.finditer(page("README.md")) if found[1] == "sh"]
    assert commands == blocks[:2], "the first two commands of README.md"


def test_the_settings_that_are_described_are_those_that_there_are() -> None:
    table = rows(page("docs/run-a-mirror.md"), "## Settings")
    assert {words(row[0])[0] for row in table} == set(TABLE)
    options = {option for parameter in sync_parameters() for option in parameter.opts}
    for row in table:
        assert {*words(row[1])} <= options
        (name,) = words(row[0])
        kind, setting = TABLE[name]
        assert words(row[2]) == ([setting.variable] if setting.variable else [])
        default = getattr(Settings(), attribute(name))
        if default or kind is bool:
            shown = str(default).lower() if kind is bool else str(default)
            assert re.search(rf"default:? .*`?{shown}`?", row[3]), name
        if kind is int and setting.least:
            assert name == "keep-runs" or f"{setting.least} to {setting.most}" in row[3]


def test_the_oldest_programs_that_are_named_are_those_that_doctor_asks_for() -> None:
    oldest = {program.name: ".".join(map(str, program.oldest)) for program in PROGRAMS}
    for text in (page("README.md"), page("docs/install.md")):
        assert f"git {oldest['git']} or newer" in text
    assert f"git-annex {oldest['git-annex']} or newer" in page("docs/use-a-mirror.md")


def sync_parameters() -> list[click.Parameter]:
    command = cli.get_command(click.Context(cli), "sync")
    assert command
    return command.params
