"""``dandi-mirror log``: show the history of a Dandiset."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dandi_mirror.cli import options, output
from dandi_mirror.text import printable

if TYPE_CHECKING:
    from dandi_mirror.mirror.history.diff import Changes
    from dandi_mirror.repo.git.dataset import Dataset
    from dandi_mirror.repo.git.history import Revision


@click.command("log")
@click.argument("dandiset", metavar="ID", shell_complete=options.complete_dandisets)
@click.option("--commits", is_flag=True, help="Show each commit of the draft, not only the last one.")
@click.option(
    "--limit",
    type=click.IntRange(1),
    default=20,
    show_default=True,
    metavar="N",
    help="Show at most N versions, the newest.",
)
@options.mirror
@options.form
@options.log_level
def command(dandiset: str, commits: bool, limit: int, mirror_path: Path, form: str) -> int:
    """Show what each version of a Dandiset holds, and what changed since the version before it.

    +3 -1 ~2 means: 3 files were added, 1 was removed, 2 got other content.  Edited files have the same content and
    other metadata.  `dandi-mirror diff` names the files.  `log` reads all from the mirror or from a clone.

    \b
    Examples:
      dandi-mirror log 000004 -d dandi
      dandi-mirror log 000004 -d dandi -f markdown
    """
    from dandi_mirror.cli import change_output as words
    from dandi_mirror.errors import PartError, UsageError
    from dandi_mirror.workflows.version_ranges import read_versions

    dataset, name, version = read_versions(dandiset, mirror_path)
    if version:
        raise UsageError(f"{dandiset}: `log` takes a whole Dandiset, not a version; write {name}")
    found = list(_entries(dataset, commits, limit))[::-1]
    refused = [line for state, _, changes in found if (line := words.refused_line(f"{name}@{state.name}", changes))]
    code = PartError.exit_code if refused else 0
    if form == "json":
        for state, before, changes in found:
            place = {"path": str(dataset.path), "type": "dataset", "refds": str(mirror_path.absolute())}
            facts: dict[str, Any] = {"dandiset": name, "version": state.name, "commit": state.commit}
            facts |= {"date": words.day(state.seconds), "since": before.name if before else ""}
            record = {
                "action": "log",
                **place,
                "status": "ok",
                "message": words.short(changes) if before else "the first",
            }
            output.print_json(record | facts | words.summary(changes))
        output.print_summary(code)
        return code
    rows = [["version", "date", "subjects", "sessions", "files", "size", "change"]]
    for state, before, changes in found:
        what = words.short(changes) if before else "the first"
        rows.append([state.name, words.day(state.seconds), *words.totals(changes.after), printable(what)])
    for line in words.markdown_table(rows) if form == "markdown" else words.table(rows):
        output.say(line)
    for line in refused:
        output.say(line, err=True)
    return code


def _entries(dataset: Dataset, commits: bool, limit: int) -> Iterator[tuple[Revision, Revision | None, Changes]]:
    """Give the newest states, the oldest of them first, each with the one before it and what changed."""
    from dandi_mirror.mirror.history.diff import Changes
    from dandi_mirror.mirror.history.diff_reader import NOTHING, Comparer
    from dandi_mirror.mirror.locate.versions import states

    there = states(dataset, limit + 1 if commits else 1)
    with Comparer(dataset) as comparer:
        before = there[-limit - 1] if len(there) > limit else None
        held = comparer.read(before) if before else NOTHING
        for state in there[-limit:]:
            if before is None:
                held = comparer.read(state)
                changes = Changes(after=held.totals)
            else:
                changes, held = comparer.changes(held, state)
            yield state, before, changes
            before = state
