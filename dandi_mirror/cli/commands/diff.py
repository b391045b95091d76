"""``dandi-mirror diff``: show what changed between two versions."""

from __future__ import annotations

from pathlib import Path

import click

from dandi_mirror.cli import options


@click.command("diff")
@click.argument("versions", metavar="ID[@A..B]", shell_complete=options.complete_range)
@options.mirror
@options.form
@options.log_level
def command(versions: str, mirror_path: Path, form: str) -> int:
    """Show what changed between two versions: subjects, sessions, files, bytes, renames and metadata.

    A file with the same content at another path counts as renamed, not as removed and added.  `diff` reads all from
    the mirror or from a clone; it checks out nothing, and does not ask the archive.

    \b
    Examples:
      dandi-mirror diff 000004@0.210831.2033..0.220126.1852   from one version to another
      dandi-mirror diff 000004@0.220126.1852..                from that version to the draft
      dandi-mirror diff 000004@0.220126.1852                  from the version before it
      dandi-mirror diff 000004                                from the newest version to the draft
    """
    from dandi_mirror.cli import change_output as words
    from dandi_mirror.cli.output import print_json
    from dandi_mirror.errors import PartError
    from dandi_mirror.mirror.history.diff_reader import NOTHING, Comparer
    from dandi_mirror.mirror.locate.versions import range_of
    from dandi_mirror.workflows.terminal import say
    from dandi_mirror.workflows.version_ranges import read_versions

    dataset, dandiset, typed = read_versions(versions, mirror_path)
    old, new = range_of(dataset, dandiset, typed)
    with Comparer(dataset) as comparer:
        found, _ = comparer.changes(comparer.read(old) if old else NOTHING, new)
    refused = words.refused_line(f"{dandiset}@{new.name}", found)
    code = PartError.exit_code if refused else 0
    ends = {"from": old.name if old else "", "to": new.name}
    if form == "json":
        for record in words.records(found, dataset.path):
            print_json(record | {"dandiset": dandiset} | ends)
        place = {"path": str(dataset.path), "type": "dataset", "refds": str(mirror_path.absolute())}
        end = {"action": "summary", **place, "status": "error" if code else "ok", "exit_code": code}
        print_json(end | {"dandiset": dandiset} | ends | words.summary(found))
        return code
    heading = f"{dandiset}  {ends['from'] or 'nothing'} → {ends['to']}"
    for line in words.markdown(found, heading) if form == "markdown" else (heading, *words.text(found)):
        say(line)
    if refused:
        say(refused, err=True)
    return code
