"""``dandi-mirror shell-completion``: complete commands in a shell."""

from __future__ import annotations

import os
from pathlib import Path

import click
from click.shell_completion import BashComplete, CompletionItem, add_completion_class

from dandi_mirror.cli import options


@add_completion_class
class Bash(BashComplete):
    """Completion in bash, which ends a word at an ``@``, although names of versions contain one."""

    _kept = ""
    """The part of the word up to the last ``@``, which bash has split off."""

    def get_completion_args(self) -> tuple[list[str], str]:
        """Join the parts of words again: those before the cursor, and the one at the cursor."""
        args, begun = super().get_completion_args()
        words: list[str] = []
        for before, word in zip(["", *args], [*args, begun], strict=True):
            if words and "@" in {before, word}:
                words[-1] += word
            else:
                words.append(word)
        if "@" in {begun, *args[-1:]}:
            self._kept = words[-1].rpartition("@")[0] + "@"
        return words[:-1], words[-1]

    def format_completion(self, item: CompletionItem) -> str:
        """Leave out the part that bash keeps."""
        return f"{item.type},{item.value.removeprefix(self._kept)}"


@click.command("shell-completion")
@click.option(
    "-s", "--shell", type=click.Choice(["auto", "bash", "zsh", "fish"]), default="auto", show_default=True,
    help="The shell; auto: the one in $SHELL.",
)  # fmt: skip
@options.log_level
def command(shell: str) -> None:
    """Print a script that completes commands, options and the ids of mirrored Dandisets in your shell.

    \b
    Examples:
      dandi-mirror shell-completion                  print the script for your shell
      source <(dandi-mirror shell-completion)        use it in this bash, zsh or fish
    """
    from click.shell_completion import get_completion_class

    from dandi_mirror.cli.output import write_out
    from dandi_mirror.errors import UsageError

    name = Path(os.environ.get("SHELL", "bash")).name if shell == "auto" else shell
    completion = get_completion_class(name)
    if completion is None:
        raise UsageError(f"there is no completion for {name}; name a shell: -s bash, zsh or fish")
    write_out(
        completion(
            click.get_current_context().find_root().command, {}, "dandi-mirror", "_DANDI_MIRROR_COMPLETE"
        ).source()
    )
