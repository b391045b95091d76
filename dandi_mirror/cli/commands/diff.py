"""``dandi-mirror diff``: show what changed between two versions."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from dandi_mirror.cli import options


@click.command("diff", context_settings={"allow_extra_args": True})
@click.argument("versions", metavar="ID[@A..B]", shell_complete=options.complete_range)
@click.option("-r", "--recursive", is_flag=True, help="Show every file, and every entry of a Zarr, one by one.")
@options.mirror
@options.form
@options.log_level
@click.pass_context
def command(context: click.Context, versions: str, recursive: bool, mirror_path: Path, form: str) -> int:
    """Show what changed between two versions: subjects, sessions, files, bytes, renames and metadata.

    A file with the same content at another path counts as renamed, not as removed and added.  Of a Zarr, `diff` says
    how many chunks changed, and in which arrays.  It reads all from the mirror or from a clone; it checks out nothing,
    and does not ask the archive.

    \b
    Examples:
      dandi-mirror diff 000004@0.210831.2033..0.220126.1852   from one version to another
      dandi-mirror diff 000004@0.220126.1852..                from that version to the draft
      dandi-mirror diff 000004@0.220126.1852                  from the version before it
      dandi-mirror diff 000004                                from the newest version to the draft
      dandi-mirror diff 000108@3f2a91c..draft                 from a commit of the draft, which `log --commits` shows
      dandi-mirror diff 000108/sub-1/x.ome.zarr@CHECKSUM..    from a state of a Zarr to that of the draft
    """
    from dandi_mirror.cli.zarr_output import print_states
    from dandi_mirror.workflows.names.version_ranges import check_one
    from dandi_mirror.workflows.reading.zarr_changes import read_states

    check_one("diff", versions, context.args)
    if two := read_states(versions, mirror_path.absolute()):
        print_states(two, form, each=recursive)
        return 0
    return _versions(versions, mirror_path, form, recursive)


def _versions(versions: str, mirror_path: Path, form: str, recursive: bool) -> int:
    """Show what changed between two versions of a Dandiset."""
    from dandi_mirror.cli import change_output as words
    from dandi_mirror.cli import zarr_output
    from dandi_mirror.cli.output import print_json
    from dandi_mirror.errors import PartError
    from dandi_mirror.workflows.names.version_ranges import compared, read_versions
    from dandi_mirror.workflows.reading.zarr_changes import ZarrComparer
    from dandi_mirror.workflows.terminal import say

    dataset, dandiset, typed = read_versions(versions, mirror_path)
    old, new, found = compared(dataset, dandiset, typed)
    zarrs = ZarrComparer(dataset, dandiset, mirror_path.absolute())
    refused = words.refused_line(f"{dandiset}@{new.name}", found, mirror_path)
    code = PartError.exit_code if refused else 0
    ends = {"from": old.name if old else "", "to": new.name}
    if form == "json":
        zarr_output.print_zarr_records(zarrs, found, dataset.path, {"dandiset": dandiset} | ends, each=recursive)
        place = {"path": str(dataset.path), "type": "dataset", "refds": str(mirror_path.absolute())}
        end = {"action": "summary", **place, "status": "error" if code else "ok", "exit_code": code}
        print_json(end | {"dandiset": dandiset} | ends | words.summary(found))
        return code
    heading = f"{dandiset}  {ends['from'] or 'nothing'} → {ends['to']}"
    about = partial(zarr_output.zarr_change_lines, zarrs)
    for line in words.markdown(found, heading, about) if form == "markdown" else (heading, *words.text(found, about)):
        say(line)
    if recursive:
        zarr_output.print_entries(zarrs, found)
    if refused:
        say(refused, err=True)
    return code
