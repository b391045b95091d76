"""``dandi-mirror delete``: delete a Dandiset at the archive."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from dandi_mirror.cli import options
from dandi_mirror.cli.output import draft_line, print_change
from dandi_mirror.workflows import terminal

if TYPE_CHECKING:
    from dandi_mirror.model import ListedDandiset


@click.command("delete")
@click.argument("dandiset", metavar="ID", shell_complete=options.complete_dandisets)
@click.option("--name", metavar="TITLE", help="The title of the Dandiset, which confirms that this one is meant.")
@options.dry_run
@options.common
def command(
    dandiset: str, name: str | None, dry_run: bool, mirror_path: Path, instance: str | None, output: str
) -> int:
    """Delete a Dandiset at the archive, with all its files there.  Nobody can undo this.

    The archive deletes only a Dandiset that was never published.  You confirm by its title, which you type when you are
    asked, or give with --name.  A dataset of it in the mirror stays, with the content that it holds.

    \b
    Examples:
      dandi-mirror delete 000123 -n                          show what would be deleted
      dandi-mirror delete 000123 --name 'Units of mouse 7'
    """
    from dandi_mirror.archive.api.dandiset_changes import delete_dandiset
    from dandi_mirror.errors import PartError, UsageError
    from dandi_mirror.workflows.owner.own_dandiset import own_dandiset

    with own_dandiset(dandiset, mirror_path, instance) as own:
        entry = own.archive.dandiset(own.dandiset)
        if entry.published:
            raise PartError(
                f"{own.dandiset} was published ({entry.published.version}), and the archive deletes no Dandiset that "
                "somebody may have cited"
            )
        if dry_run:
            return print_change("delete", own.dandiset, f"would be deleted: {draft_line(entry)}", output, dry_run=True)
        if name is None and not terminal.is_interactive():
            raise UsageError("nobody can undo this; without a terminal confirm it by the title: --name TITLE")
        title = _asked(own.dandiset, entry) if name is None else name
        if title.strip() != entry.draft.name.strip():
            raise PartError(f"{own.dandiset} was not deleted: its title is another ({entry.draft.name!r})")
        delete_dandiset(own.archive.session, own.dandiset)
        kept = own.mirror.dataset(own.dandiset).path if own.mirror.dataset(own.dandiset).exists() else None
    said = "was deleted at the archive" + (f"; its dataset is still in {kept}" if kept else "")
    return print_change("delete", own.dandiset, said, output)


def _asked(dandiset: str, entry: ListedDandiset) -> str:
    question = f"delete {dandiset} ({draft_line(entry)})? Nobody can undo it. Type its title"
    return terminal.ask(question, f"{dandiset} was not deleted")
