"""``dandi-mirror``: the table of commands, and the place where an error becomes a message and an exit code.

Neither this module nor the top of a command's module imports anything heavy, so that help appears at once.
"""

from __future__ import annotations

import gc
import importlib
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import click

from dandi_mirror import __version__
from dandi_mirror.cli.encoding import use_utf8
from dandi_mirror.cli.exit import end, interrupted, output_trouble
from dandi_mirror.cli.interruption import CODE, command_begins, is_interruption
from dandi_mirror.errors import DiskError, MirrorError, UsageError, uncaught

COMMANDS: Mapping[str, tuple[str, str]] = {
    "sync": ("sync", "Mirror Dandisets, or bring them up to date."),
    "status": ("status", "Show how the mirror compares with the archive."),
    "verify": ("verify", "Compare the mirror with the archive and with itself, and name each difference."),
    "ls": ("ls", "List the files of a version, from the mirror or the archive."),
    "get": ("get", "Get the content of files, of folders, or of a whole Dandiset."),
    "download": ("download", "Download plain files, without git."),
    "organize": ("organize", "Put NWB files in a clone, under the names that DANDI expects."),
    "validate": ("validate", "Check files before the archive does."),
    "runs": ("runs", "Show what past runs of sync did."),
    "push": ("push", "Publish the mirror: push what has changed to its siblings."),
    "fetch": ("fetch", "Learn from other mirrors which content they have."),
    "challenge": ("challenge", "Prove what other mirrors say they have."),
    "hold": ("hold", "Hold a share of the content: fetch what has the fewest copies, within a pledge."),
    "restore": ("restore", "Bring the content of a version from other mirrors, without the archive."),
    "coverage": ("coverage", "Show how many copies there are of the content, and where."),
    "log": ("log", "Show what each version holds, and what changed since the one before."),
    "diff": ("diff", "Show what changed between two versions."),
    "serve": ("serve", "Run an archive on this machine that answers from the mirror."),
    "catalogue": ("catalogue", "Show the Dandisets of the mirror as web pages."),
    "search": ("search", "Find Dandisets and files in the mirror."),
    "which": ("which", "Show which versions hold some bytes, and at which paths."),
    "zarr": ("zarr", "Show where the content of a Zarr is, for other programs."),
    "worktree": ("worktree", "Check out another version in a folder of its own."),
    "login": ("login", "Keep your API key for an archive, or check that it works."),
    "logout": ("logout", "Take your API key out of the keyring."),
    "create": ("create", "Register a new Dandiset, and make its dataset in the mirror."),
    "edit": ("edit", "Change what the archive says about a Dandiset: title, people, license, keywords."),
    "owners": ("owners", "Show or change who may change a Dandiset."),
    "upload": ("upload", "Send what you changed in a clone to the archive."),
    "publish": ("publish", "Publish a draft as a version, and mirror it."),
    "unembargo": ("unembargo", "Open a Dandiset that is under embargo to everybody."),
    "delete": ("delete", "Delete a Dandiset that was never published, at the archive."),
    "cite": ("cite", "Print the citation of a published version."),
    "export": ("export", "Describe a version as RO-Crate, Croissant, Metalink, or a BagIt bag."),
    "demo": ("demo", "See all of it work, with an archive on this machine."),
    "archive": ("archive", "Run a DANDI archive on this machine."),
    "config": ("config", "Show the settings of a mirror, or make a file for them."),
    "doctor": ("doctor", "Show the versions of all programs that work together here."),
    "shell-completion": ("completion", "Print a script that completes commands in your shell."),
}
"""The module of each command in ``commands/``, and its line in the help."""


class Commands(click.Group):
    """A group that imports a command when somebody calls it."""

    def list_commands(self, context: click.Context) -> list[str]:
        """List the commands in the order of the table."""
        return list(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """Import a command from its module."""
        if name not in COMMANDS:
            return None
        module = importlib.import_module(f"dandi_mirror.cli.commands.{COMMANDS[name][0]}")
        command: click.Command = module.command
        command_begins()
        return command

    def resolve_command(
        self, context: click.Context, arguments: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command as click does; if there is none of that name, name the most similar one."""
        if arguments and arguments[0] not in COMMANDS and not arguments[0].startswith("-"):
            from dandi_mirror.text import closest

            near = closest(arguments[0], COMMANDS)
            hint = f" Did you mean {near!r}?" if near else ""
            context.fail(f"No such command {arguments[0]!r}.{hint}")
        return super().resolve_command(context, arguments)

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Print the table, without importing the modules."""
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
    """Mirror the DANDI Archive as DataLad datasets: every asset is a git-annex key, every published version a tag.

    \b
    Examples:
      dandi-mirror demo                      see it work, without the network
      dandi-mirror sync 000004 -d dandi      mirror Dandiset 000004 in the folder dandi
      datalad clone dandi/000004             make a clone to work in
      datalad -C 000004 get sub-P10HMH       get the files of one subject
    """


def main() -> None:
    """Run the command line, and end the process."""
    use_utf8()
    # imports make objects that stay: to look through all of them after each 700 takes a twentieth of the start
    gc.set_threshold(20_000)
    try:
        if "_DANDI_MIRROR_COMPLETE" in os.environ:
            importlib.import_module("dandi_mirror.cli.commands.completion")  # it adds bash
            cli.main(prog_name="dandi-mirror", complete_var="_DANDI_MIRROR_COMPLETE")
        _tell_of_waiting()
        code = cli.main(standalone_mode=False, prog_name="dandi-mirror")
        if trouble := output_trouble():
            _fail(trouble, DiskError.exit_code)
        end(code if isinstance(code, int) else 0)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        _fail(interrupted(), CODE, by="")
    except MirrorError as error:
        _fail(str(error), error.exit_code)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
    except Exception as error:
        if is_interruption(error):
            _fail(interrupted(), CODE, by="")
        _fail(*_words(error))


def _words(error: Exception) -> tuple[str, int]:
    """The message and the exit code for an exception that no command expects."""
    if isinstance(error, OSError) and _is_from_click(error):
        return f"cannot write the output: {error.strerror or error}", DiskError.exit_code
    if isinstance(error, FileNotFoundError) and not _has_folder():
        return "the folder that you are in does not exist any more; go to another one: cd DIR", UsageError.exit_code
    return uncaught(error)


def _has_folder() -> bool:
    try:
        Path.cwd()
    except FileNotFoundError:
        return False
    return True


def _tell_of_waiting() -> None:
    """Tell a person at a terminal when a host does not answer; a run without one stays silent, and tries longer."""
    if sys.stderr and sys.stderr.isatty():
        from dandi_mirror.archive.http.wait_messages import WAIT_MESSAGES
        from dandi_mirror.text import plain
        from dandi_mirror.workflows.terminal import write_out

        WAIT_MESSAGES.listen(lambda line: write_out(f"dandi-mirror: {plain(line)}", err=True))


def _is_from_click(error: OSError) -> bool:
    """Whether click itself could not print, for example the help."""
    last = error.__traceback__
    while last and last.tb_next:
        last = last.tb_next
    return last is not None and last.tb_frame.f_code is click.echo.__code__


def _fail(message: str, code: int, by: str = "dandi-mirror: ") -> NoReturn:
    """End the process with one line on stderr, and before it the traceback if the log level asks for that."""
    from dandi_mirror.cli.logging_setup import LOG
    from dandi_mirror.text import plain
    from dandi_mirror.workflows.hints import with_mirror
    from dandi_mirror.workflows.terminal import write_out

    LOG.debug("where it happened:", exc_info=True)
    with suppress(DiskError, BrokenPipeError):
        write_out(f"{by}{plain(with_mirror(message))}", err=True)
    output_trouble()
    # Python notes a KeyboardInterrupt that passed through `exec`, as in an import, and would end by the signal; this
    # makes it forget
    exec("")
    end(code)
