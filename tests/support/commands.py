"""All commands, as click knows them."""

from __future__ import annotations

import click


def commands(command: click.Command, above: str = "") -> dict[str, click.Command]:
    """Every command that does something, by its name, as ``archive serve``."""
    if not isinstance(command, click.Group):
        return {f"{above}{command.name}": command}
    context = click.Context(command)
    below = [command.get_command(context, name) for name in command.list_commands(context)]
    inside = f"{above}{command.name} " if above or command.name != "cli" else ""
    return {name: found for group in below if group for name, found in commands(group, inside).items()}
