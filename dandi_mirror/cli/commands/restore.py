"""``dandi-mirror restore``: bring the content of a version from other mirrors."""

from __future__ import annotations

from pathlib import Path

import click

from dandi_mirror.cli import options
from dandi_mirror.cli.exit import end_by_signals
from dandi_mirror.workflows.names import naming


@click.command("restore")
@click.argument("version", metavar="ID@VERSION", shell_complete=options.complete_versions)
@click.option(
    "--from", "siblings", metavar="SIBLING", multiple=True, shell_complete=options.complete_mirrors,
    help="Take content from this mirror; may be repeated.  [default: all mirrors of the settings]",
)  # fmt: skip
@options.connections()
@options.dry_run
@options.common
def command(
    version: str,
    siblings: tuple[str, ...],
    jobs: int,
    dry_run: bool,
    mirror_path: Path,
    instance: str | None,
    output: str,
) -> int:
    """Bring the content of a version from other mirrors, without the archive.

    `restore` asks the mirrors in dandi-mirror.toml (type = "mirror") for each file that is not here, and checks each
    byte against the checksum in the file's key.  It never asks the archive.  Files that no mirror has are named, and it
    ends with 3.  Zarrs come into their repositories in this mirror.  The Dandiset itself must be in this mirror.

    \b
    Examples:
      dandi-mirror restore 000004@0.220126.1852 -n -d dandi
      dandi-mirror restore 000004@draft --from oxford -d dandi
    """
    end_by_signals()
    from dandi_mirror.cli.file_results import FileResults
    from dandi_mirror.mirror.state.layout import Mirror
    from dandi_mirror.workflows.copies.copies import mirrors_in
    from dandi_mirror.workflows.copies.restore import restore_version

    mirror, name = Mirror(mirror_path.absolute()), naming.read_name(version, offline=True, mirror_path=mirror_path)
    settings = naming.settings_for(mirror_path, [name], needed=True, asks_mirrors=True, instance=instance)
    results = FileResults("restore", ("restored", "restore"), output, dry_run)
    restore_version(settings, mirror, name, mirrors_in(settings, mirror, siblings), jobs, results)
    return results.end()
