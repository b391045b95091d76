"""Make the page of all commands from the commands themselves: ``python docs/commands.py >docs/commands.md``."""

from __future__ import annotations

from collections.abc import Iterator
from inspect import cleandoc

import click

from dandi_mirror.cli.main import cli

HEAD = """\
# Commands

<!-- Made by docs/commands.py from the commands themselves; do not edit. -->

Each command prints this with `--help`, and has the options `-h, --help`. `man dandi-mirror` shows the same as a manual
page.

| command | what it does |
|---|---|"""


def main() -> None:
    """Print the page."""
    print(HEAD)
    found = list(leaves(cli, click.Context(cli, info_name="dandi-mirror")))
    for command, context in found:
        print(f"| [`{context.command_path}`](#{context.command_path.replace(' ', '-')}) | {_cell(_first(command))} |")
    for command, context in found:
        print("\n".join(["", *_section(command, context)]))


def leaves(command: click.Command, context: click.Context) -> Iterator[tuple[click.Command, click.Context]]:
    """Every command that does something, in the order of the help."""
    if not isinstance(command, click.Group):
        yield command, context
        return
    for name in command.list_commands(context):
        found = command.get_command(context, name)
        assert found
        yield from leaves(found, click.Context(found, parent=context, info_name=name))


def term(option: click.Option) -> str:
    """How an option is typed; not left to click, whose releases differ."""
    kind = option.type
    value = option.metavar or (
        "|".join(map(str, kind.choices)) if isinstance(kind, click.Choice) else kind.name.upper()
    )
    return ", ".join(option.opts) + ("" if option.is_flag else f" {value}")


def meaning(option: click.Option) -> str:
    """The help text of an option, with its default."""
    default = option.show_default if isinstance(option.show_default, str) else option.default
    return f"{option.help}  [default: {default}]" if option.show_default else str(option.help)


def _section(command: click.Command, context: click.Context) -> Iterator[str]:
    yield f"## {context.command_path}"
    yield ""
    yield f"`{context.command_path} {' '.join(command.collect_usage_pieces(context))}`"
    for paragraph in cleandoc(command.help or "").split("\n\n"):
        lines = paragraph.splitlines()
        yield ""
        if lines and lines[0].strip() == "\b":
            yield from ("```", *lines[1:], "```")
        else:
            yield from map(_escaped, lines)
    options = [option for option in command.params if isinstance(option, click.Option)]
    if options:
        yield from ("", "| option | what it does |", "|---|---|")
    for option in options:
        yield f"| `{_pipe(term(option))}` | {_cell(meaning(option))} |"


def _first(command: click.Command) -> str:
    return cleandoc(command.help or "").split("\n\n")[0].replace("\n", " ")


def _cell(text: str) -> str:
    return _pipe(_escaped(" ".join(text.split())))


def _pipe(text: str) -> str:
    return text.replace("|", "\\|")


def _escaped(text: str) -> str:
    """Text as Markdown would show it; what stands between backticks is code there, too."""
    parts = text.split("`")
    return "`".join(part if odd % 2 else _marks(part) for odd, part in enumerate(parts))


def _marks(text: str) -> str:
    return "".join(f"\\{letter}" if letter in "*_<[]" else letter for letter in text)


if __name__ == "__main__":
    main()
