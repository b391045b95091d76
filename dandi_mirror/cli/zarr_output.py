"""What `diff` prints about Zarrs: a sentence, a line for each array, and each entry for those who want to see them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from dandi_mirror.cli import change_output, output
from dandi_mirror.errors import MirrorError
from dandi_mirror.text import human_size, printable

if TYPE_CHECKING:
    from pathlib import Path

    from dandi_mirror.mirror.history.diff import Changes, Pair
    from dandi_mirror.mirror.zarr.differences import EntryChange, ZarrChanges
    from dandi_mirror.workflows.reading.zarr_changes import TwoStates, ZarrComparer


def zarr_change_lines(comparer: ZarrComparer, pair: Pair) -> str:
    """Say what changed in a Zarr between two versions, or why that is not known; empty for a file."""
    if not pair.new.zarr or pair.old.checksum == pair.new.checksum:
        return ""
    try:
        return comparer.pair(pair).words()
    except MirrorError as error:
        return str(error).removeprefix(f"{pair.new.path}: ")


def print_entries(comparer: ZarrComparer, changes: Changes) -> None:
    """Print each entry of the Zarrs that have another state."""
    for pair in changes.replaced:
        if pair.new.zarr:
            output.say(f"\nentries of {printable(pair.new.path)}")
            try:
                comparer.pair(pair, _say_entry)
            except MirrorError as error:
                output.say(f"  {printable(str(error))}")


def _say_entry(change: EntryChange) -> None:
    size = human_size(change.new.size) if change.new else ""
    output.say(f"  {change.kind:8}{size:>10}  {printable(change.path)}")


def print_zarr_records(
    comparer: ZarrComparer, changes: Changes, folder: Path, common: dict[str, Any], *, each: bool
) -> None:
    """Print a record for each file that changed, a Zarr's with what changed in it; with ``each`` also its entries."""
    from dandi_mirror.mirror.history.diff import Pair

    for record, found in change_output.records(changes, folder):
        if not (isinstance(found, Pair) and found.new.zarr and found.old.checksum != found.new.checksum):
            output.print_json(record | common)
            continue
        pair = found
        try:
            compared = comparer.pair(pair)
        except MirrorError as error:
            output.print_json(record | common | {"message": str(error)})
            continue
        output.print_json(record | common | facts(compared))
        if each:
            comparer.pair(pair, _json_entry(pair.new.path, folder, common))


def facts(changes: ZarrChanges) -> dict[str, Any]:
    """Give what changed in a Zarr, as keys of a JSON record."""
    arrays = [{"array": path, **asdict(counts)} for path, counts in changes.arrays.items()]
    return {"message": changes.words(), "chunks": asdict(changes.chunks), "arrays": arrays,
            "metadata": changes.metadata, "new_bytes": changes.size}  # fmt: skip


def _json_entry(path: str, folder: Path, common: dict[str, Any]) -> Callable[[EntryChange], None]:
    def tell(change: EntryChange) -> None:
        place = {"path": str(folder / path / change.path), "type": "file", "refds": str(folder)}
        record = {"action": "diff", **place, "status": "ok", "message": "", "state": change.kind, "file": path}
        old, new = change.old, change.new
        known = {"entry": change.path, "size": new.size if new else None, "etag": new.etag if new else ""}
        before = {"old_size": old.size if old else None, "old_etag": old.etag if old else ""}
        output.print_json(record | known | before | common)

    return tell


def print_states(two: TwoStates, form: str, *, each: bool) -> None:
    """Print what changed between two states of one Zarr."""
    old, new = two.old, two.new
    assert two.contents.dataset
    if form == "json":
        folder, common = two.contents.dataset.path, {"dandiset": two.contents.dandiset}
        found = two.comparer.states(old, new)
        place = {"path": str(folder / new.path), "type": "file", "refds": str(folder), "file": new.path}
        known = {"zarr": new.zarr, "checksum": new.checksum, "old_checksum": old.checksum}
        record = {"action": "diff", **place, "status": "ok", "state": "replaced", "size": new.size, **known}
        output.print_json(record | common | facts(found))
        if each:
            two.comparer.states(old, new, _json_entry(new.path, folder, common))
        output.print_summary()
        return
    found = two.comparer.states(old, new)
    for line in _lines(f"{two.contents.dandiset}/{printable(new.path)}  {old.checksum} → {new.checksum}", found, form):
        output.say(line)
    if each:
        output.say("")
        two.comparer.states(old, new, _say_entry)


def _lines(heading: str, found: ZarrChanges, form: str) -> Iterator[str]:
    """Give the lines for people, or those of a section in Markdown."""
    rows = [["array", "chunks", "changed", "added", "removed", ""]]
    rows += [[printable(path) or "(in no array)", *(f"{number:,}" for number in
              (counts.entries, counts.changed, counts.added, counts.removed)), ""]
             for path, counts in found.arrays.items()]  # fmt: skip
    if form == "markdown":
        yield f"## {change_output.escaped(heading)}\n"
        yield change_output.escaped(printable(found.words()))
    else:
        yield heading
        yield printable(found.words())
    if found.arrays and form == "markdown":
        yield ""
        yield from change_output.markdown_table(rows)
    elif found.arrays:
        yield from change_output.table(rows)
