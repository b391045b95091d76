"""``dandi-mirror unembargo``: open an embargoed Dandiset."""

from __future__ import annotations

from pathlib import Path

import click

from dandi_mirror.cli import options
from dandi_mirror.cli.output import draft_line, print_change
from dandi_mirror.workflows import terminal


@click.command("unembargo")
@click.argument("dandiset", metavar="ID", shell_complete=options.complete_dandisets)
@click.option("--yes", is_flag=True, help="Open it without asking for confirmation.")
@options.dry_run
@options.wait("open it")
@options.common
def command(
    dandiset: str, yes: bool, dry_run: bool, wait: float, mirror_path: Path, instance: str | None, output: str
) -> int:
    """Open a Dandiset that is under embargo: everybody can then read all its files.  Nobody can undo this.

    The archive does it within some minutes.  After that, the next `sync` mirrors it like all others.

    \b
    Examples:
      dandi-mirror unembargo 000123 -n     show what would become public
      dandi-mirror unembargo 000123
    """
    from dandi_mirror.errors import UsageError
    from dandi_mirror.workflows.owner.embargo import open_dandiset, to_be_opened
    from dandi_mirror.workflows.owner.own_dandiset import own_dandiset

    with own_dandiset(dandiset, mirror_path, instance) as own:
        entry = to_be_opened(own)
        what = draft_line(entry)
        if dry_run:
            return print_change("unembargo", own.dandiset, f"would become public: {what}", output, dry_run=True)
        if not yes and not terminal.is_interactive():
            raise UsageError("nobody can undo this, and without a terminal nobody can confirm it; add --yes")
        if not yes:
            question = f"make {own.dandiset} public ({what})? Nobody can undo it"
            terminal.confirm(question, f"{own.dandiset} stays under embargo")
        done = open_dandiset(own, wait)
    said = "is open to everybody" if done else "is being opened by the archive; later: dandi-mirror status"
    return print_change("unembargo", own.dandiset, said, output)
