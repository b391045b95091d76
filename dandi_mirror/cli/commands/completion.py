"""``dandi-mirror shell-completion``."""

from __future__ import annotations

import os
from pathlib import Path

import click
from click.shell_completion import BashComplete, CompletionItem, add_completion_class

from dandi_mirror.cli import options


@add_completion_class
class Bash(BashComplete):
    """Completion in bash, for which a word ends at an ``@``, but a version's name does not."""

    _said = ""
    """What stands before the last ``@`` of the word, where bash has split it off."""

    def get_completion_args(self) -> tuple[list[str], str]:
        """The arguments before the cursor and the beginning of the one at it, put together again."""
        args, begun = super().get_completion_args()
        words: list[str] = []
        for before, word in zip(["", *args], [*args, begun], strict=True):
            if words and "@" in {before, word}:
                words[-1] += word
            else:
                words.append(word)
        if "@" in {begun, *args[-1:]}:
            self._said = words[-1].rpartition("@")[0] + "@"
        return words[:-1], words[-1]

    def format_completion(self, item: CompletionItem) -> str:
        """Without what bash keeps."""
        return f"{item.type},{item.value.removeprefix(self._said)}"


@click.command("shell-completion")
@click.option(
    "-s", "--shell", type=click.Choice(["auto", "bash", "zsh", "fish"]), default="auto", show_default=True,
    help="auto: the one in $SHELL.",
)  # fmt: skip
@options.log_level
def command(shell: str) -> None:
    """Print a script that completes commands, options and the ids of mirrored Dandisets.

    \b
    source <(dandi-mirror shell-completion)
    """
    from click.shell_completion import get_completion_class

    from dandi_mirror.errors import UsageError

    name = Path(os.environ.get("SHELL", "bash")).name if shell == "auto" else shell
    completion = get_completion_class(name)
    if completion is None:
        raise UsageError(f"no completion for {name}; name a shell: -s bash, zsh or fish")
    click.echo(
        completion(
            click.get_current_context().find_root().command, {}, "dandi-mirror", "_DANDI_MIRROR_COMPLETE"
        ).source()
    )
