"""``dandi-mirror coverage``: how many copies there are of the content, and where."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dandi_mirror.cli import options, output
from dandi_mirror.cli.exit import end_by_signals
from dandi_mirror.text import counted, human_size, printable
from dandi_mirror.workflows.names import naming

if TYPE_CHECKING:
    from dandi_mirror.mirror.copies.coverage import Coverage
    from dandi_mirror.mirror.copies.table import CoverageRow, Place

_FORM = "  {:15}  {:>10}  {:>10}  {:>10}  {:>10}  {:>10}  {:>10}"


@click.command("coverage")
@click.argument("dandisets", metavar="[ID]...", nargs=-1, shell_complete=options.complete_dandisets)
@click.option("--all", "everything", is_flag=True, help="Show all Dandisets of the mirror, as without an ID.")
@click.option("--metrics", metavar="FILE", help="Also write this for Prometheus; the name of the file ends in .prom.")
@options.common
def command(
    dandisets: tuple[str, ...],
    everything: bool,
    metrics: str | None,
    mirror_path: Path,
    instance: str | None,
    output: str,
) -> int:
    """Show how many copies there are of each version's content, and where; asks nobody.

    A copy is content that this mirror has, or that a mirror in the settings has (type = "mirror") and has proved
    lately; see `fetch` and `challenge`.  The archive is not a copy; it has a column of its own.  Of Zarrs
    each entry counts.

    \b
    Examples:
      dandi-mirror coverage 000004 -d dandi
      dandi-mirror coverage --all -f json -d dandi
    """
    end_by_signals()
    from dandi_mirror.errors import exit_code
    from dandi_mirror.mirror.copies.coverage import coverage
    from dandi_mirror.mirror.state.layout import Mirror
    from dandi_mirror.workflows.copies.copies import metrics_file, mirrors_in

    mirror, names = Mirror(mirror_path.absolute()), naming.read_names(dandisets, offline=True)
    settings = naming.settings_for(mirror_path, names, instance=instance)
    file = metrics_file(metrics)
    siblings = [sibling.name for sibling in mirrors_in(settings, mirror, needed=False)]
    ids = naming.chosen(mirror, naming.dandisets(names), everything)
    found = []
    for one in coverage(mirror, ids, siblings, settings.prove_days):
        found.append(one)
        _print(one, mirror.path, output)
    if file:
        _write(file, mirror.path, found)
    code = exit_code({one.exit_code for one in found})
    if output == "json":
        _summary(code, len(found))
    return code


def _write(file: Path, mirror: Path, found: Iterable[Coverage]) -> None:
    from dandi_mirror.errors import DiskError
    from dandi_mirror.mirror.monitor.copies_metrics import coverage_text
    from dandi_mirror.mirror.monitor.metrics import write_metrics

    try:
        write_metrics(file, coverage_text(str(mirror), found))
    except OSError as error:
        raise DiskError.of(file, error) from error


def _summary(code: int, count: int) -> None:
    output.print_summary(code, dandisets=count)


def _print(one: Coverage, path: Path, form: str) -> None:
    if form == "json":
        output.print_json(coverage_record(one, path))
    elif one.failure:
        output.say(f"{one.dandiset}  {printable(one.failure)}", err=True)
    else:
        output.say(one.dandiset)
        output.say(_FORM.format("version", "size", "0 copies", "1 copy", "2 copies", "3 and more", "archive"))
        for row in one.rows:
            amounts = [row.total, *row.copies, row.archive]
            output.say(_FORM.format(row.version, *(human_size(amount.size) for amount in amounts)))
        for place in one.places:
            output.say(_place_line(place, one.rows[-1:]))
        if one.leaving.until:
            amount = f"{human_size(one.leaving.size)} in {counted(len(one.leaving.until), 'file')}"
            output.say(f"  leaving the archive: {amount}, the first about {one.leaving.day}")


def _place_line(place: Place, rows: Iterable[CoverageRow]) -> str:
    """What a place has of all versions, and whether it counts."""
    import time

    words = [f"  {place.name:15}"]
    words += [
        f"{human_size(row.places[place.name].size)} in {counted(row.places[place.name].keys, 'file')}" for row in rows
    ]
    words += [f"does not count: {place.why_not}"] if place.why_not else []
    if place.proved is not None:
        words.append(f"proved on {time.strftime('%Y-%m-%d', time.gmtime(place.proved))}")
    return "  ".join(words)


def coverage_record(one: Coverage, path: Path) -> dict[str, object]:
    """Make the JSON record of one Dandiset."""
    return {
        "action": "coverage",
        "path": str(path / one.dandiset),
        "type": "dataset",
        "refds": str(path),
        "dandiset": one.dandiset,
        "status": "error" if one.exit_code else "ok",
        "message": one.failure,
        "exit_code": one.exit_code,
        "versions": [asdict(row) for row in one.rows],
        "places": [asdict(place) for place in one.places],
        "leaving": len(one.leaving.until),
        "leaving_size": one.leaving.size,
        "leaving_day": one.leaving.day,
    }
