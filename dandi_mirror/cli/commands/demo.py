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
    """See it work on an archive of its own, in less than a minute, without the network.

    Starts a DANDI archive on this machine and tells the story of an operator who mirrors it, a scientist who
    downloads one mouse's files of a published version, and a reader who finds the same commit in another mirror.
    It runs every command that it prints, and checks every claim.  It reads and writes a temporary folder only, and
    talks to 127.0.0.1 only.

    \b
    Examples:
      dandi-mirror demo
      dandi-mirror demo --keep demo       leave its datasets in the folder demo, to look around
    """
    from dandi_mirror.demo.run import next_steps, run_demo
    from dandi_mirror.errors import UsageError
    from dandi_mirror.workflows.terminal import write_out

    if keep is not None and keep.exists():
        raise UsageError(f"{keep} exists already; name a new folder")
    count = run_demo(keep, write_out)
    write_out(f"\nThe demo checked {count} claims (✓), and all of them hold on this machine.")
    if keep:
        write_out(f"Its datasets are in {keep}: mirror, paper and other-lab.")
    write_out(next_steps(keep).rstrip("\n"))
