"""``dandi-mirror``: the commands, and the one place where an error becomes an exit code.

Nothing heavy is imported here or at the top of a command's module: help and version must be there at once.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping
from typing import NoReturn

import click

from dandi_mirror import __version__
from dandi_mirror.cli.ending import CODE, WORDS, end
from dandi_mirror.errors import MirrorError

COMMANDS: Mapping[str, tuple[str, str]] = {
    "sync": ("sync", "Mirror Dandisets, or bring them up to date."),
    "status": ("status", "Say how the mirror stands to the archive."),
    "ls": ("ls", "List the files of a version, from the mirror or the archive."),
    "get": ("get", "Get content: files, folders, or all of a Dandiset; fast."),
    "download": ("download", "Download files as they are, without git."),
    "organize": ("organize", "Bring NWB files to where DANDI's names for them are, in a clone."),
    "validate": ("validate", "Say what is wrong with files, before the archive does."),
    "runs": ("runs", "Say what past runs did."),
    "push": ("push", "Publish the mirror: bring what moved to its siblings."),
    "log": ("log", "Say what each version holds, and what changed since the one before."),
    "diff": ("diff", "Say what changed between two versions."),
    "search": ("search", "Find Dandisets and files in the mirror."),
    "which": ("which", "Say in which versions some bytes are, and at which paths."),
    "worktree": ("worktree", "Lay a version out beside the one that is checked out."),
    "login": ("login", "Keep your API key for an archive, or say whether it works."),
    "logout": ("logout", "Take your API key out of the keyring."),
    "create": ("create", "Register a new Dandiset, and make its dataset in the mirror."),
    "upload": ("upload", "Bring what you changed in a clone to the archive."),
    "publish": ("publish", "Publish a draft as a version, and mirror it."),
    "cite": ("cite", "Print the citation of a published version."),
    "demo": ("demo", "See all of it work, on an archive of its own."),
    "archive": ("archive", "Run a DANDI archive on this machine."),
    "config": ("config", "Show the settings of a mirror, or make a file for them."),
    "doctor": ("doctor", "Say which versions of everything are at work here."),
    "shell-completion": ("completion", "Print a script that completes commands in your shell."),
}
"""Each command's module in this folder, and its line in the help."""


class Commands(click.Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, context: click.Context) -> list[str]:
        """In the order of the table, which is the order of use."""
        return list(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """The command's own module has it under its own name."""
        if name not in COMMANDS:
            return None
        module = importlib.import_module(f"dandi_mirror.cli.commands.{COMMANDS[name][0]}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, context: click.Context, arguments: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, with the nearest command named when there is no such one."""
        if arguments and arguments[0] not in COMMANDS and not arguments[0].startswith("-"):
            from difflib import get_close_matches

            near = get_close_matches(arguments[0], COMMANDS, 1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            context.fail(f"No such command {arguments[0]!r}.{hint}")
        return super().resolve_command(context, arguments)

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """The table, without importing any of its modules."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


EXIT_CODES = """\b
Exit codes: 0 done or nothing to do · 1 unexpected · 2 usage · 3 some parts failed, refused or pending ·
4 credentials · 5 temporary, run again · 6 local disk or permission · 7 integrity alarm · 75 locked.
"""


@click.group(
    cls=Commands,
    epilog=EXIT_CODES,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(__version__, "-V", "--version", message="%(prog)s %(version)s")
def cli() -> None:
    """The DANDI Archive as DataLad datasets: every asset a git-annex key, every published version a tag.

    \b
    dandi-mirror demo                          see it work, without the network
    dandi-mirror sync 000004 -d dandi          mirror Dandiset 000004 in the folder dandi
    datalad get dandi/000004/sub-P10HMH        bring one subject's files
    """


def main() -> None:
    """Run the command line; ends the process."""
    try:
        if "_DANDI_MIRROR_COMPLETE" in os.environ:
            importlib.import_module("dandi_mirror.cli.commands.completion")  # has bash's
            cli.main(prog_name="dandi-mirror", complete_var="_DANDI_MIRROR_COMPLETE")
        _tell_of_waiting()
        code = cli.main(standalone_mode=False, prog_name="dandi-mirror")
        end(code if isinstance(code, int) else 0)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo(WORDS, err=True)
        end(CODE)
    except MirrorError as error:
        _fail(str(error), error.exit_code)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
    except Exception as error:
        _fail(f"unexpected: {type(error).__name__}: {error}; run again with -l debug and report it", 1)


def _tell_of_waiting() -> None:
    """Tell somebody at a terminal when a host does not answer; a run by the clock stays silent, and tries longer."""
    if sys.stderr and sys.stderr.isatty():
        from dandi_mirror.archive.http.wait_messages import WAIT_MESSAGES
        from dandi_mirror.text import plain

        # not click.echo: a live line on the terminal puts itself in the place of sys.stderr, and makes room
        WAIT_MESSAGES.listen(lambda line: print(f"dandi-mirror: {plain(line)}", file=sys.stderr, flush=True))


def _fail(message: str, code: int) -> NoReturn:
    """End the process with one line, and with the traceback before it where that is wanted."""
    from dandi_mirror.cli.logging_setup import LOG
    from dandi_mirror.text import plain

    LOG.debug("where it happened:", exc_info=True)
    click.echo(f"dandi-mirror: {plain(message)}", err=True)
    end(code)
