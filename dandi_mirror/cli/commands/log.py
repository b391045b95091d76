"""``dandi-mirror log``: show the history of a Dandiset."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
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
    other metadata.  `dandi-mirror diff` names the files.  Below the table stand the release notes, where a version has
    some.  `log` reads all from the mirror or from a clone.

    \b
    Examples:
      dandi-mirror log 000004 -d dandi
      dandi-mirror log 000004 -d dandi -f markdown
    """
    from dandi_mirror.cli import change_output as words
    from dandi_mirror.errors import PartError, UsageError
    from dandi_mirror.workflows.names.version_ranges import read_versions

    dataset, name, version = read_versions(dandiset, mirror_path)
    if version:
        raise UsageError(f"{dandiset}: `log` takes a whole Dandiset, not a version; write {name}")
    found = list(_steps(dataset, name, commits, limit))[::-1]
    lines = (words.refused_line(f"{name}@{state.name}", changes, mirror_path) for state, _, changes, _ in found)
    refused = [line for line in lines if line]
    code = PartError.exit_code if refused else 0
    if form == "json":
        place = {"path": str(dataset.path), "type": "dataset", "refds": str(mirror_path.absolute())}
        for step in found:
            output.print_json({"action": "log", **place, "status": "ok", **_facts(name, *step)})
        output.print_summary(code)
        return code
    rows = [
        ["version", "date", "subjects", "sessions", "files", "size", "change"],
        *(_row(*step[:3]) for step in found),
    ]
    for line in words.markdown_table(rows) if form == "markdown" else words.table(rows):
        output.say(line)
    for line in _notes(((state.name, notes) for state, _, _, notes in found if notes), form):
        output.say(line)
    for line in refused:
        output.say(line, err=True)
    return code


def _notes(notes: Iterable[tuple[str, str]], form: str) -> Iterator[str]:
    """Give the lines below the table: the release notes of each version that has some."""
    from dandi_mirror.cli.change_output import escaped

    for number, (version, text) in enumerate(notes):
        if not number:
            yield from ["", "### Release notes", ""] if form == "markdown" else ["", "release notes"]
        words = printable(" ".join(text.split()))
        yield f"- {version}: {escaped(words)}" if form == "markdown" else f"  {version}  {words}"


def _facts(dandiset: str, state: Revision, before: Revision | None, changes: Changes, notes: str) -> dict[str, Any]:
    """What ``-f json`` tells about a state."""
    from dandi_mirror.cli import change_output as words

    facts = {"dandiset": dandiset, "version": state.name, "commit": state.commit}
    dates = {"date": words.day_of(state.seconds), "since": before.name if before else ""}
    said = {"message": _change(before, changes), "release_notes": notes}
    return {**said, **facts, **dates, **words.summary(changes)}


def _row(state: Revision, before: Revision | None, changes: Changes) -> list[str]:
    """The row of a state in the table."""
    from dandi_mirror.cli import change_output as words

    return [state.name, words.day_of(state.seconds), *words.totals(changes.after), printable(_change(before, changes))]


def _change(before: Revision | None, changes: Changes) -> str:
    from dandi_mirror.cli import change_output as words

    return words.short(changes) if before else "the first"


def _steps(
    dataset: Dataset, dandiset: str, commits: bool, limit: int
) -> Iterator[tuple[Revision, Revision | None, Changes, str]]:
    """Give the newest states, the oldest first, each with the one before it, what changed, and its release notes."""
    from dandi_mirror.mirror.history.diff import Changes
    from dandi_mirror.mirror.history.diff_reader import NOTHING, Comparer
    from dandi_mirror.mirror.locate.versions import states
    from dandi_mirror.mirror.state.layout import mirror_of
    from dandi_mirror.model import is_version_id

    there = states(dataset, limit + 1 if commits else 1)
    with Comparer(dataset, mirror_of(dataset.path, dandiset).part_totals) as comparer:
        before = there[-limit - 1] if len(there) > limit else None
        files = comparer.read(before) if before else NOTHING
        for state in there[-limit:]:
            if before is None:
                files = comparer.read(state)
                changes = Changes(after=files.totals)
            else:
                changes, files = comparer.changes(files, state)
            notes = files.record.get("releaseNotes") if is_version_id(state.name) else ""
            yield state, before, changes, notes if isinstance(notes, str) else ""
            before = state
        comparer.remember(files)
