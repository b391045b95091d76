"""All commands, as click knows them."""

from __future__ import annotations

import click


def commands(command: click.Command) -> dict[str, click.Command]:
    """Every command that does something, by its name."""
    if not isinstance(command, click.Group):
        return {str(command.name): command}
    context = click.Context(command)
    below = [command.get_command(context, name) for name in command.list_commands(context)]
    return {name: found for group in below if group for name, found in commands(group).items()}
