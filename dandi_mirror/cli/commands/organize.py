"""``dandi-mirror organize``: give NWB files and NWB-Zarrs the names that DANDI expects."""

from __future__ import annotations

from pathlib import Path

import click

from dandi_mirror.cli import options
from dandi_mirror.cli.exit import end_by_signals
from dandi_mirror.text import printable
from dandi_mirror.workflows.terminal import say

MODES = ("dry", "simulate", "copy", "move", "hardlink", "symlink")
FIELDS = ("session_id", "tissue_sample_id", "slice_id", "cell_id", "description", "probe_ids", "obj_id", "modalities")


@click.command("organize")
@click.argument("sources", metavar="SOURCE...", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--to", "folder", metavar="DIR", type=click.Path(path_type=Path, file_okay=False),
    help="Put the files in this clone, or in this dataset of a mirror.  [default: the one that you are in]",
)  # fmt: skip
@click.option(
    "-f", "--files-mode", "mode", type=click.Choice(MODES), default="copy", show_default=True,
    help="dry: show what would go where; simulate: make a folder of links; hardlink: make no second copy; "
    "symlink: make links that git-annex does not know.",
)  # fmt: skip
@click.option(
    "--required-field", "required", type=click.Choice(FIELDS), multiple=True,
    help="Put this field in every name, even if all files have the same value; may be repeated.",
)  # fmt: skip
@options.dry_run
@options.readers
@options.file_time
@options.file_memory
@options.output_without_f
@options.log_level
def command(
    sources: tuple[Path, ...],
    folder: Path | None,
    mode: str,
    required: tuple[str, ...],
    dry_run: bool,
    jobs: int | None,
    file_time: float,
    file_memory: str,
    output: str,
) -> int:
    """Put NWB files, and the media files that they refer to, in a clone, under the names that DANDI expects.

    SOURCE is an NWB file, the folder of an NWB-Zarr, or a folder of them.  The names are those of `dandi organize`.
    git-annex adds the files; a Zarr stays a plain folder; nothing is committed.  Look at the result with git, then run
    `dandi-mirror validate` and `dandi-mirror upload`.  `organize` overwrites nothing, and with -f move it deletes a
    source only after it has verified the copy on the disk.

    \b
    Examples:
      dandi-mirror organize ~/recordings -n                 show what would go where, in a clone
      dandi-mirror organize ~/recordings --to 000123
    """
    end_by_signals()
    from dandi_mirror.cli.file_results import FileResults
    from dandi_mirror.errors import UsageError
    from dandi_mirror.workflows.upload.organize import organize_in
    from dandi_mirror.workflows.upload.work_tree import reader_processes

    if not sources:
        raise UsageError("name NWB files, NWB-Zarrs, or folders of them")
    mode = "dry" if dry_run else mode
    results = FileResults("organize", ("organized", "organize"), output, mode == "dry")
    run = organize_in(folder, mode, results)
    with reader_processes(jobs, file_time, file_memory) as worker:
        run.carry_out(worker, run.plan(worker, sources, required))
    if not results.counts and output == "text":
        places = " ".join(printable(str(source)) for source in sources)
        say(f"nothing to organize: no NWB file or NWB-Zarr that is new to git in {places}", err=True)
    return results.end()
