"""``dandi-mirror download``: download plain files."""

from __future__ import annotations

from pathlib import Path

import click

from dandi_mirror.cli import options
from dandi_mirror.cli.exit import end_by_signals


@click.command("download")
@click.argument("names", metavar="NAME...", nargs=-1, required=True, shell_complete=options.complete_versions)
@click.option(
    "-o", "--output-dir", "folder", metavar="DIR", type=click.Path(path_type=Path, file_okay=False), default=Path(),
    help="Put the files there; the folder is made if it does not exist.  [default: .]",
)  # fmt: skip
@click.option(
    "-e", "--existing", type=click.Choice(["error", "skip", "overwrite", "overwrite-different", "refresh"]),
    default="error", show_default=True,
    help="What to do with files that exist: report an error; leave them; download all again; only those whose content "
    "differs; only those whose size or time differs.",
)  # fmt: skip
@click.option("--preserve-tree", is_flag=True, help="Put a part where it is in the Dandiset, too: ID/FOLDER/FILE.")
@options.connections()
@options.dry_run
@options.common
def command(
    names: tuple[str, ...],
    folder: Path,
    existing: str,
    preserve_tree: bool,
    jobs: int,
    dry_run: bool,
    mirror_path: Path,
    instance: str | None,
    output: str,
) -> int:
    """Download plain files: no git, no links, no dataset.

    NAME is a Dandiset, a version, a folder, a file or a glob, as an id, as the link of a page or as the URL of an
    asset.  `download` copies content from the mirror if the mirror has it, and else takes it from S3 or the API.  It
    verifies the SHA-256 of every file before it puts the file in place.

    Of a Zarr, `download` brings all, or what a path or a glob behind it means; behind its path, @CHECKSUM means an
    older state, which a mirror has.  An array appears as one only when all its chunks are there.

    If something interrupts `download`, run it again: it keeps what is complete, and continues files that were under
    way.

    \b
    Examples:
      dandi-mirror download 000004@0.220126.1852/sub-P10HMH -o data     one subject of a version
      dandi-mirror download 000004 -e skip -o data                      all that is not there yet
      dandi-mirror download 000108/sub-1/x.ome.zarr/3 -o data           one level of a Zarr
    """
    end_by_signals()
    from dandi_mirror.cli.file_results import FileResults
    from dandi_mirror.repo.git.files import absolute_path
    from dandi_mirror.workflows.content.download import DownloadRun

    results = FileResults("download", ("downloaded", "download"), output, dry_run)
    run = DownloadRun(absolute_path(folder), existing, preserve_tree, jobs, results)
    run.run(names, mirror_path.absolute(), instance)
    return results.end()
