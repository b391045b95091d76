"""``dandi-mirror demo``."""

from __future__ import annotations

from pathlib import Path

import click

from dandi_mirror.cli import options


@click.command("demo")
@click.option(
    "--keep", type=click.Path(path_type=Path, exists=False), metavar="DIR",
    help="Work in this new folder and leave it, to look around in.",
)  # fmt: skip
@options.log_level
def command(keep: Path | None) -> None:
    """See all of it work, on an archive of its own, in under a minute.

    Starts a DANDI archive on this machine, mirrors two Dandisets, clones one at a published version, gets
    one subject's file and reads it; then checks what it has made.  Nothing outside a temporary folder is
    read or written, and nothing but 127.0.0.1 is asked.
    """
    from dandi_mirror.demo.run import run_demo
    from dandi_mirror.errors import UsageError

    if keep is not None and keep.exists():
        raise UsageError(f"{keep} is there already; name a new folder")
    run_demo(keep, click.echo)
    click.echo(f"Everything holds.{f' It is in {keep}.' if keep else ''}")
