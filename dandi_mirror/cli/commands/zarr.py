"""``dandi-mirror zarr``: read Zarrs without getting them."""

from __future__ import annotations

from pathlib import Path

import click

from dandi_mirror.cli import options


@click.group("zarr")
def command() -> None:
    """Show where the content of a Zarr is, so that other programs can read it.

    \b
    Example:
      dandi-mirror zarr ref 000108/sub-1/x.ome.zarr -d dandi -o x.json
    """


@command.command("ref")
@click.argument("path", metavar="PATH[@STATE]")
@click.option("-o", "--output", "file", type=click.Path(path_type=Path), metavar="FILE", help="Write to this file.")
@options.mirror
@options.log_level
def ref_command(path: str, file: Path | None, mirror_path: Path) -> int:
    """Show a reference file of a Zarr, which fsspec and zarr open: the exact state, without getting it.

    PATH is a Zarr in a clone or a mirror, or ID/PATH.  STATE is a checksum of the Zarr; without it, the state that
    the dataset has.  A Zarr that is all here is read from disk, any other from S3, by the version of each object.

    \b
    Examples:
      dandi-mirror zarr ref 000108/sub-1/x.ome.zarr -d dandi -o x.json
      dandi-mirror zarr ref sub-1/x.ome.zarr >x.json          in a clone
    """
    from dandi_mirror.workflows.reading.zarr_reference import write_reference

    write_reference(path, file, mirror_path)
    return 0
