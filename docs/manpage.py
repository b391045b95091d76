"""Make the man page of the program from its commands: ``python docs/manpage.py >docs/dandi-mirror.1``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from inspect import cleandoc

import click
from commands import leaves, meaning, term

from dandi_mirror import __version__
from dandi_mirror.cli.main import EXIT_CODES, cli
from dandi_mirror.config import VARIABLES

HEAD = """\
.\\" Made by docs/manpage.py from the commands themselves; do not edit.
.TH DANDI\\-MIRROR 1 "" "dandi-mirror {version}" "DANDI mirror"
.SH NAME
dandi\\-mirror \\- the DANDI Archive as DataLad datasets
.SH SYNOPSIS
.B dandi\\-mirror
.I COMMAND
.RI [ OPTIONS ]
.RI [ ARGUMENTS ]"""

FILES = {
    "MIRROR/dandi-mirror.toml": "the settings; `dandi-mirror config --init` writes one with all of them, commented",
    "MIRROR/.dandi-mirror/log/": "the log of each run, as JSON Lines; `dandi-mirror runs` reads them",
    "MIRROR/.dandi-mirror/": "locks and what is remembered between runs; may be deleted when no run is at work",
    "MIRROR/000004/": "the dataset of one Dandiset",
}


def main() -> None:
    """Print the page."""
    print(HEAD.format(version=__version__))
    for line in (*_description(), *_commands(), *_rest()):
        print(line)


def _description() -> Iterator[str]:
    yield ".SH DESCRIPTION"
    yield from _help(cli)


def _commands() -> Iterator[str]:
    yield ".SH COMMANDS"
    yield "Each has the option \\-h, \\-\\-help, too."
    for command, context in leaves(cli, click.Context(cli, info_name="dandi-mirror")):
        usage = " ".join(command.collect_usage_pieces(context))
        yield f".SS {_text(f'{context.command_path} {usage}')}"
        yield from _help(command)
        for option in command.params:
            if isinstance(option, click.Option):
                yield from _item(term(option), meaning(option))


def _rest() -> Iterator[str]:
    yield ".SH ENVIRONMENT"
    yield from _item("DANDI_MIRROR", "the mirror's folder, where -d is not given")
    for setting, variable in VARIABLES.items():
        yield from _item(variable, f"the setting {setting}")
    yield from _item(
        "DANDI_API_KEY, DANDI_SANDBOX_API_KEY, …",
        "the API key for an archive, sent to its API alone; else the keyring's, see login",
    )
    yield ".SH EXIT STATUS"
    yield from (_text(line) for line in EXIT_CODES.removeprefix("\b\n").splitlines())
    yield ".SH FILES"
    for path, what in FILES.items():
        yield from _item(path, what)
    yield ".SH SEE ALSO"
    yield ".BR git\\-annex (1), \\ datalad (1), \\ git (1)"


def _help(command: click.Command) -> Iterator[str]:
    """A command's help, paragraph by paragraph; one that begins with \\b is shown as it stands."""
    for paragraph in cleandoc(command.help or "").split("\n\n"):
        lines = paragraph.splitlines()
        asis = bool(lines) and lines[0].strip() == "\b"
        yield ".PP"
        yield from [".nf"] if asis else []
        yield from (_text(line) for line in lines[asis:])
        yield from [".fi"] if asis else []


def _item(term: str, text: str) -> Iterator[str]:
    yield ".TP"
    yield f".B {_text(term)}"
    yield _text(text)


def _text(text: str) -> str:
    """Text as roff wants it: backslashes and dashes as they are, no line that begins as a request does."""
    escaped = re.sub(r"[\\-]|[^\x00-\x7f]", _escape, text.rstrip())
    return f"\\&{escaped}" if escaped[:1] in {".", "'"} else escaped


def _escape(found: re.Match[str]) -> str:
    return {"\\": "\\e", "-": "\\-"}.get(found[0], f"\\[u{ord(found[0]):04X}]")


if __name__ == "__main__":
    main()
