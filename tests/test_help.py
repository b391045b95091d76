"""The help: an example in every command, and the same words for the same option everywhere."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from dandi_mirror.cli.main import COMMANDS, Commands, cli
from dandi_mirror.embedded import Archive
from tests.conftest import MirrorOfTest, run

ONCE = {
    ("organize", "-f"): "that of `dandi organize`",
    ("cite", "-f"): "other formats",
    ("ls", "-f"): "other formats",
    ("log", "-f"): "Markdown, too",
    ("diff", "-f"): "Markdown, too",
    ("zarr ref", "-o"): "a file",
    ("get", "-J"): "connections", ("download", "-J"): "connections", ("upload", "-J"): "connections",
    ("hold", "-J"): "connections", ("restore", "-J"): "connections", ("export", "-J"): "connections",
    ("export", "-o"): "a file or a folder",
    ("organize", "-J"): "files", ("validate", "-J"): "files",
    ("archive serve", "-p"): "a port",
}  # fmt: skip
"""Short options that mean something else in a command, and what."""


def leaves(group: click.Group = cli, above: str = "") -> Iterator[tuple[str, click.Command]]:
    """Every command, by its whole name."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command
        if isinstance(command, click.Group):
            yield from leaves(command, f"{above}{name} ")
        else:
            yield f"{above}{name}", command


ALL = dict(leaves())


def examples(name: str) -> list[str]:
    """The command lines that the help of a command shows, without what is said of them."""
    lines = re.findall(rf"^ *(?:source <\()?(dandi-mirror {name}\b.*)$", ALL[name].help or "", re.MULTILINE)
    return [line.partition("   ")[0] for line in lines]


@pytest.mark.parametrize("name", ALL)
def test_every_command_shows_an_example(name: str) -> None:
    assert examples(name)


@pytest.mark.parametrize("name", ALL)
def test_every_option_of_an_example_exists(name: str) -> None:
    known = {form for option in ALL[name].params for form in option.opts}
    for example in examples(name):
        for word in re.findall(r" (--?[a-z][a-z-]*)", example):
            assert word in known, example


def test_an_option_has_the_same_words_in_every_command() -> None:
    said: dict[str, set[str]] = defaultdict(set)
    for name, command in ALL.items():
        for option in command.params:
            short = next((form for form in option.opts if re.fullmatch("-[a-zA-Z]", form)), "")
            if isinstance(option, click.Option) and short and (name, short) not in ONCE:
                said[short].add(f"{option.opts} {option.help}")
    assert {"-d", "-f", "-i", "-J", "-l", "-n"} <= set(said)
    assert {short: words for short, words in said.items() if len(words) > 1} == {}


def test_a_default_is_said_once() -> None:
    for name, command in ALL.items():
        context = click.Context(command, info_name=name)
        for option in command.params:
            if isinstance(option, click.Option) and (record := option.get_help_record(context)):
                assert record[1].count("default: ") <= 1 and record[1].count("env") <= 1, (name, record)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_table_of_commands_and_the_help_speak_in_the_imperative(name: str) -> None:
    command = Commands().get_command(click.Context(cli), name)
    assert command and command.help
    for line in (COMMANDS[name][1], command.help):
        assert re.match(
            r"(Mirror|Compare|Show|List|Get|Download|Put|Check|Publish|Find|Keep|Take|Register|Send|Print|See|Run"
            r"|Change|Open|Delete|Learn|Prove|Hold|Bring|Describe) ",
            line,
        )


def test_the_commands_of_the_top_work_as_they_stand_there(
    archive: Archive, mirror: MirrorOfTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive.create_dandiset("000004", name="A test").add_asset("sub-P10HMH/a.nwb", archive.add_blob(b"content"))
    monkeypatch.setenv("DANDI_INSTANCE", mirror.server.api_url)
    lines = re.findall(r"^ +((?:dandi-mirror|datalad) .*?)  ", cli.help or "", re.MULTILINE)
    assert lines.pop(0) == "dandi-mirror demo"
    assert len(lines) == 3
    for line in lines:
        run(*line.split(), cwd=tmp_path)
    assert (tmp_path / "000004" / "sub-P10HMH" / "a.nwb").read_bytes() == b"content"
