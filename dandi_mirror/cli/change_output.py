"""What `log` and `diff` print: lines for people, Markdown for release notes, and JSON records."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dandi_mirror.text import human_size, printable, some

if TYPE_CHECKING:
    from dandi_mirror.mirror.history.compared import ComparedFile, VersionTotals
    from dandi_mirror.mirror.history.diff import Changes, FieldChange, Pair

SHOWN = 10
"""How many files of a kind are named to people; the others are counted."""

WORDS = {
    "added": "added",
    "removed": "removed",
    "replaced": "replaced (other content)",
    "renamed": "renamed (the same content)",
    "edited": "edited (the same content, other metadata)",
}
_SHORT = {"added": "+{}", "removed": "-{}", "replaced": "~{}", "renamed": "{} renamed", "edited": "{} edited"}


About = Callable[["Pair"], str]
"""What changed in a Zarr; empty for a file."""


def _nothing(pair: Pair) -> str:
    return ""


def day_of(seconds: int) -> str:
    """Return the day of a time in seconds, as ``2022-01-26``."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d}"


def short(changes: Changes) -> str:
    """Sum changes up, as ``+3 -1 ~2, 4 renamed, 12 edited; Dandiset: name``."""
    counts = [_SHORT[kind].format(f"{count:,}") for kind, count in changes.counts().items()]
    signs = " ".join(word for word in counts if " " not in word)
    words = ", ".join([*([signs] if signs else []), *(word for word in counts if " " in word)])
    fields = f"Dandiset: {', '.join(dict.fromkeys(top(change.name) for change in changes.dandiset))}"
    return "; ".join([*([words] if words else []), *([fields] if changes.dandiset else [])]) or "no change"


def top(name: str) -> str:
    """Return the top-level key of the record that a field belongs to."""
    return name.partition(".")[0]


def totals(held: VersionTotals) -> list[str]:
    """Return the cells for subjects, sessions, files and bytes."""
    facts = held.facts()
    return [*(f"{facts[name]:,}" for name in ("subjects", "sessions", "files")), human_size(facts["bytes"])]


def text(changes: Changes, about: About = _nothing) -> Iterator[str]:
    """Give the lines for people; ``about`` says what changed in a Zarr."""
    rows = [["", "before", "after", ""], *_rows(changes)]
    yield from table(rows)
    yield from [] if changes else ["no file and no field of a record differs"]
    for kind, pieces, more in _lists(changes, about):
        yield f"\n{kind}"
        yield from (f"  {piece}" for piece in pieces)
        yield from [f"  … and {more:,} more (-f json names all)"] if more else []


def markdown(changes: Changes, heading: str, about: About = _nothing) -> Iterator[str]:
    """Give the lines of a section in Markdown; ``about`` as in :func:`text`."""
    yield f"## {escaped(heading)}\n"
    yield from markdown_table([["", "before", "after", "change"], *_rows(changes)])
    yield from [] if changes else ["\nNo file and no field of a record differs."]
    for kind, pieces, more in _lists(changes, about):
        yield f"\n### {escaped(kind[:1].upper() + kind[1:])}\n"
        yield from (f"- {escaped(piece)}" for piece in pieces)
        yield from [f"- … and {more:,} more"] if more else []


def refused_line(name: str, changes: Changes, mirror_path: Path) -> str:
    """Return the line about records of a version that cannot be used; empty if there are none."""
    if not (number := changes.after.refused):
        return ""
    look = shlex.join(["dandi-mirror", "ls", "-r", name, "-d", str(mirror_path)])
    return f"{name} has {unmade(number)}, left out here; to see why: {look}"


def unmade(number: int) -> str:
    """Return the words for records in a repository that break the rules of a sync."""
    return f"{number:,} records that no sync made" if number > 1 else "a record that no sync made"


def table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Give the lines of a table; all columns but the first and the last are numbers."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    last = len(widths) - 1
    for row in rows:
        cells = [
            cell if column == last else cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()


def markdown_table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Give the same table in Markdown; the first row is the head."""
    for number, row in enumerate(rows):
        yield f"| {' | '.join(escaped(cell) for cell in row)} |"
        if not number:
            yield f"|---|{'---:|' * (len(row) - 2)}---|"


def escaped(words: str) -> str:
    """Escape text of the archive, so that Markdown makes no links or tags of it."""
    return "".join(f"\\{letter}" if letter in "\\`*_[]<>|#!~&" else letter for letter in words)


def records(changes: Changes, folder: Path) -> Iterator[tuple[dict[str, Any], ComparedFile | Pair]]:
    """Give a JSON record for each file that changed, with that file."""
    for kind in WORDS:
        for found in getattr(changes, kind):
            yield _record(kind, found, folder), found


def summary(changes: Changes) -> dict[str, Any]:
    """Return the totals of a comparison, as the keys of a JSON record."""
    return {
        "before": changes.before.facts(),
        "after": changes.after.facts(),
        **{kind: changes.counts().get(kind, 0) for kind in WORDS},
        "refused": changes.after.refused,
        **{f"{what}_added": changes.gained(what) for what in ("subjects", "sessions")},
        **{f"{what}_removed": changes.lost(what) for what in ("subjects", "sessions")},
        "fields": {name: len(pairs) for name, pairs in changes.fields().items()},
        "dandiset_fields": [change.facts() for change in changes.dandiset],
    }


def _record(kind: str, found: ComparedFile | Pair, folder: Path) -> dict[str, Any]:
    from dandi_mirror.mirror.history.diff import Pair

    old, new = (found.old, found.new) if isinstance(found, Pair) else (found, found)
    facts: dict[str, Any] = {"state": kind, "file": new.path, "size": new.size, "sha256": new.sha256}
    facts |= {"subjects": list(new.subjects), "session": new.session}
    facts |= {"zarr": new.zarr, "checksum": new.checksum} if new.zarr else {}
    if isinstance(found, Pair):
        facts |= {"old_file": old.path, "old_size": old.size, "old_sha256": old.sha256}
        facts["fields"] = [change.facts() for change in found.fields]
        facts |= {"old_checksum": old.checksum} if new.zarr else {}
    place = {"path": str(folder / new.path), "type": "file", "refds": str(folder)}
    return {"action": "diff", **place, "status": "ok", "message": "", **facts}


def _rows(changes: Changes) -> Iterator[list[str]]:
    for name, old, new in zip(
        ("subjects", "sessions", "files", "bytes"), totals(changes.before), totals(changes.after), strict=True
    ):
        words = ""
        if name in {"subjects", "sessions"}:
            signs = (("+", changes.gained(name)), ("-", changes.lost(name)))
            words = "  ".join(f"{sign}{_some(names)}" for sign, names in signs if names)
        elif name == "files":
            words = short(changes).partition("; ")[0] if changes.counts() else ""
        yield [name, old, new, words]


def _some(names: list[str]) -> str:
    return f"{len(names):,} ({some([printable(name) for name in names])})"


def _lists(changes: Changes, about: About) -> Iterator[tuple[str, list[str], int]]:
    """Give the heading, the lines, and the number of further lines for each kind of change."""
    for kind, words in WORDS.items():
        found = getattr(changes, kind)
        if found:
            lines = [_line(item, about) for item in found[:SHOWN]]
            yield f"{words}: {len(found):,}", lines, len(found) - len(lines)
    by_field = changes.fields()
    if by_field:
        lines = [_field_line(name, pairs) for name, pairs in list(by_field.items())[:SHOWN]]
        yield "metadata fields that changed", lines, len(by_field) - len(lines)
    if changes.dandiset:
        lines = [f"{printable(change.name)}: {_values(change)}" for change in changes.dandiset[:SHOWN]]
        yield "the Dandiset's own record", lines, len(changes.dandiset) - len(lines)


def _line(found: ComparedFile | Pair, about: About) -> str:
    from dandi_mirror.mirror.history.diff import Pair

    if not isinstance(found, Pair):
        return f"{printable(found.path)}  {human_size(found.size)}"
    if found.old.path != found.new.path:
        return f"{printable(found.old.path)} → {printable(found.new.path)}"
    if found.old.digest != found.new.digest:
        words = printable(about(found))
        sizes = f"{human_size(found.old.size)} → {human_size(found.new.size)}"
        return f"{printable(found.new.path)}  {sizes}{f'  ({words})' if words else ''}"
    return f"{printable(found.new.path)}  {', '.join(dict.fromkeys(top(change.name) for change in found.fields))}"


def _field_line(name: str, pairs: list[Pair]) -> str:
    example = next(change for change in pairs[0].fields if change.name == name)
    return f"{printable(name)}  {len(pairs):,} file{'' if len(pairs) == 1 else 's'}, as {_values(example)}"


def _values(change: FieldChange) -> str:
    old, new = (_clipped(", ".join(values)) or "nothing" for values in (change.old, change.new))
    return f"{old} → {new}"


def _clipped(words: str) -> str:
    return printable(words if len(words) <= 60 else f"{words[:57]}…")
