"""``dandi-mirror shell-completion``."""

from __future__ import annotations

import os
from pathlib import Path

import click

from dandi_mirror.cli import options


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

    from dandi_mirror.cli.main import cli
    from dandi_mirror.errors import UsageError

    name = Path(os.environ.get("SHELL", "bash")).name if shell == "auto" else shell
    completion = get_completion_class(name)
    if completion is None:
        raise UsageError(f"no completion for {name}; name a shell: -s bash, zsh or fish")
    click.echo(completion(cli, {}, "dandi-mirror", "_DANDI_MIRROR_COMPLETE").source())
