"""``dandi-mirror get``: get the content of files."""

from __future__ import annotations

from pathlib import Path

import click

from dandi_mirror.cli import options
from dandi_mirror.cli.exit import end_by_signals


@click.command("get")
@click.argument("what", metavar="[PATH|ID[@VERSION]]...", nargs=-1, shell_complete=options.complete_versions)
@click.option(
    "--where", "where", metavar="FIELD:VALUE", multiple=True,
    help="Get only files with this metadata, such as 'species:human sex:female session:*'; may be repeated.",
)  # fmt: skip
@click.option("--max-size", metavar="SIZE", help="Get at most this much, such as 50G.")
@click.option("--newest", is_flag=True, help="Get the newest files first, also where --max-size chooses.")
@options.connections()
@options.dry_run
@options.common
def command(
    what: tuple[str, ...],
    where: tuple[str, ...],
    max_size: str | None,
    newest: bool,
    jobs: int,
    dry_run: bool,
    mirror_path: Path,
    instance: str | None,
    output: str,
) -> int:
    """Get content: of files and folders in a clone or a mirror, or of a Dandiset that is not here yet.

    PATH is a file, a folder or a glob.  In a clone, '.' means all of it; in a mirror, all of its Dandisets.  After an
    ID, PATHs are inside that Dandiset.  In a mirror, an ID means the mirror's own dataset.  Elsewhere `get` first
    clones the Dandiset into a folder with its name: from the mirror that -d names, else from github.com/dandisets.

    A Zarr comes if it is named, or a part of it, or if a glob means it.  An array opens when all its chunks are here.

    If something interrupts `get`, run it again: it keeps what is complete and continues from there.

    \b
    Examples:
      dandi-mirror get sub-P10HMH                     one subject, in a clone
      dandi-mirror get 000004 sub-P10HMH -d dandi     the same, in a new clone from the mirror dandi
      dandi-mirror get sub-1/x.ome.zarr/3             one level of a Zarr
      dandi-mirror get . --where sex:female -n        show which files it would get
    """
    end_by_signals()
    from dandi_mirror.cli.file_results import FileResults
    from dandi_mirror.config import size
    from dandi_mirror.errors import UsageError
    from dandi_mirror.mirror.contents.selection import FileSelection, parse_where
    from dandi_mirror.workflows.content.get import ContentRun

    if not what:
        raise UsageError("name files, folders or Dandisets; '.' means all of the clone that you are in")
    selection = FileSelection(
        (), parse_where(where), None if max_size is None else size("--max-size", max_size), newest
    )
    results = FileResults("get", ("got", "get"), output, dry_run)
    ContentRun(mirror_path, instance, selection, jobs, results).run(what)
    return results.end()
