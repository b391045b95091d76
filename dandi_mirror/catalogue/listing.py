"""The files of a Dandiset as parts that a page loads when it shows them: rows, folders, subjects.  Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import orjson

from dandi_mirror.catalogue.scripts import data_script, hashed_name
from dandi_mirror.catalogue.values import FileRow, Presence
from dandi_mirror.mirror.format.annex_metadata import session_of

PART = 500
"""Files of a part, at most; some 100 kB."""
MOST_FOLDERS = 10_000
"""Folders that a page knows before it loads any part; it finds deeper ones in the parts."""
MOST_SUBJECTS = 20_000
"""Rows of the table of subjects and sessions."""


@dataclass(frozen=True, slots=True)
class FileScripts:
    """The scripts with a Dandiset's files, and what the page must know of them."""

    scripts: dict[str, bytes]
    """By file name."""
    index: dict[str, Any]
    """``parts``: the name of each and its first row; ``folders`` and ``subjects``: names of scripts."""


def file_scripts(rows: Sequence[FileRow]) -> FileScripts:
    """The parts of sorted rows."""
    scripts: dict[str, bytes] = {}

    def keep(stem: str, value: object) -> str:
        content = data_script(stem, value)
        scripts[name := hashed_name(stem, content)] = content
        return name

    parts = [keep(f"files-{start // PART}", _part(rows[start : start + PART])) for start in range(0, len(rows), PART)]
    subjects, more = _subjects(rows)
    index = {
        "parts": parts,
        "size": PART,
        "rows": len(rows),
        "folders": keep("folders", _folders(rows)),
        "subjects": keep("subjects", subjects) if subjects else None,
        "moreSubjects": more,
    }
    return FileScripts(scripts, index)


def _part(rows: Sequence[FileRow]) -> dict[str, Any]:
    """A part: its rows, and the distinct facts and kinds that they refer to by number."""
    facts: dict[str, int] = {}
    kinds: dict[str, int] = {}
    table = [
        [
            row.path,
            row.size,
            row.asset_id,
            row.digest,
            kinds.setdefault(row.kind, len(kinds)),
            facts.setdefault(row.facts, len(facts)),
            row.presence,
            row.versions,
            row.zarr,
        ]
        for row in rows
    ]
    return {"rows": table, "kinds": list(kinds), "facts": [orjson.loads(text) for text in facts]}


def _folders(rows: Sequence[FileRow]) -> dict[str, Any]:
    """The folders down to a depth: path, first row, number of rows; and by version, files, bytes and files here."""
    depth, below = 0, [(0, len(rows), "")]
    found = [_folder(rows, *below[0])]
    while True:
        inner = [child for start, end, path in below for child in _children(rows, start, end, path)]
        if not inner or len(found) + len(inner) > MOST_FOLDERS:
            break
        found += [_folder(rows, *child) for child in inner]
        depth, below = depth + 1, inner
    return {"depth": depth, "folders": found}


def _children(rows: Sequence[FileRow], start: int, end: int, path: str) -> Iterator[tuple[int, int, str]]:
    """The folders directly in a folder, which has the rows from ``start`` to ``end``."""
    inside = len(path) + 1 if path else 0
    numbers = range(start, end)
    for name, group in groupby(numbers, key=lambda number: rows[number].path[inside:].partition("/")[0]):
        # a name without more is a file: several rows if versions differ in it
        own = [number for number in group if len(rows[number].path) > inside + len(name)]
        if own:
            yield own[0], own[-1] + 1, rows[own[0]].path[: inside + len(name)]


def _folder(rows: Sequence[FileRow], start: int, end: int, path: str) -> list[Any]:
    counts = [0, 0, 0, 0, 0, 0]
    for row in rows[start:end]:
        for place in (0, 1):
            if row.versions >> place & 1:
                counts[3 * place] += 1
                counts[3 * place + 1] += row.size
                counts[3 * place + 2] += row.presence is Presence.HERE
    return [path, start, end - start, *counts]


def _subjects(rows: Sequence[FileRow]) -> tuple[list[list[Any]], int]:
    """The table of subjects and sessions, and how many rows it leaves out.

    Subject, session, species, sex, age, the first row, and by version files, bytes and files here.
    """
    known: dict[str, dict[str, str]] = {}
    found: dict[tuple[str, str], list[Any]] = {}
    for number, row in enumerate(rows):
        if row.facts not in known:
            # of several animals of a file, the first
            known[row.facts] = dict(reversed(orjson.loads(row.facts)))
        facts, session = known[row.facts], session_of(row.path)
        if not (subject := facts.get("subject", "")) and not session:
            continue
        entry = found.setdefault(
            (subject, session),
            [subject, session, *(facts.get(name, "") for name in ("species", "sex", "age")), number, 0, 0, 0, 0, 0, 0],
        )
        for place in (0, 1):
            if row.versions >> place & 1:
                entry[6 + 3 * place] += 1
                entry[7 + 3 * place] += row.size
                entry[8 + 3 * place] += row.presence is Presence.HERE
    table = [found[pair] for pair in sorted(found)]
    return table[:MOST_SUBJECTS], max(0, len(table) - MOST_SUBJECTS)
