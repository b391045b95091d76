"""``dandi-mirror owners``: show or change who owns a Dandiset."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from dandi_mirror.cli import options, output
from dandi_mirror.workflows import terminal

if TYPE_CHECKING:
    from dandi_mirror.archive.api.owners import User


@click.command("owners")
@click.argument("dandiset", metavar="ID", shell_complete=options.complete_dandisets)
@click.option("--add", "added", metavar="USERNAME", multiple=True, help="Make somebody an owner; may be repeated.")
@click.option("--remove", "removed", metavar="USERNAME", multiple=True, help="Take somebody off; may be repeated.")
@click.option("--yes", is_flag=True, help="Take yourself off without asking for confirmation.")
@options.dry_run
@options.common
def command(
    dandiset: str,
    added: tuple[str, ...],
    removed: tuple[str, ...],
    yes: bool,
    dry_run: bool,
    mirror_path: Path,
    instance: str | None,
    output: str,
) -> int:
    """Show who owns a Dandiset, or change it.  Owners can change its files and record, publish it, and name owners.

    USERNAME is the name by which the archive knows a person; on the DANDI Archive, that of a GitHub account.

    \b
    Examples:
      dandi-mirror owners 000123
      dandi-mirror owners 000123 --add olive --remove otto
    """
    from dandi_mirror.workflows.owner.own_dandiset import own_dandiset
    from dandi_mirror.workflows.owner.owners import OwnersChange, read_owners, set_and_check

    if not (added or removed):
        identifier, people = read_owners(dandiset, mirror_path, instance)
        return _print(identifier, people, "ok", output)
    with own_dandiset(dandiset, mirror_path, instance) as own:
        change = OwnersChange.read(own, added, removed)
        if change.takes_yourself_off and not dry_run and not yes:
            _confirm(own.dandiset, change.you)
        if dry_run or change.is_idle:
            status = "notneeded" if change.is_idle else "ok"
            return _print(own.dandiset, change.after, status, output, dry_run=dry_run)
        return _print(own.dandiset, set_and_check(own, change), "ok", output)


def _confirm(dandiset: str, you: str) -> None:
    from dandi_mirror.errors import UsageError

    if not terminal.is_interactive():
        raise UsageError(f"you ({you}) could not change {dandiset} any more, nor take this back; add --yes")
    question = f"take yourself ({you}) off? You can then not change {dandiset} any more, nor take this back"
    terminal.confirm(question, f"the owners of {dandiset} were not changed")


def _print(dandiset: str, people: list[User], status: str, form: str, *, dry_run: bool = False) -> int:
    if form == "json":
        owners = [{"username": one.username, "name": one.name} for one in people]
        output.print_json(
            {"action": "owners", "status": status, "dandiset": dandiset, "owners": owners, "dry_run": dry_run}
        )
        output.print_summary()
        return 0
    for one in people:
        output.say(f"{dandiset}  {one.username}" + (f"  {one.name}" if one.name not in {"", one.username} else ""))
    if dry_run:
        output.say("(nothing was sent: --dry-run)", err=True)
    return 0
