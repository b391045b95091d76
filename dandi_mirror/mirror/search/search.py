"""Search a mirror for Dandisets and files, and suggest similar words for those that are not found."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from uuid import UUID

import orjson

from dandi_mirror.mirror.format.annex_metadata import session_of
from dandi_mirror.mirror.search.columns import ZARR
from dandi_mirror.mirror.search.query import Term
from dandi_mirror.model import DRAFT

_MOST_NEAR = 3
_WEIGHTS = "8, 10, 6, 6, 2, 1"
"""Of the columns of ABOUT: a word in the name counts more than one in the description."""
_NEWEST = "ORDER BY version.name IN ('draft', 'published'), seconds DESC LIMIT 1"


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file that a search found."""

    path: str
    asset_id: str
    sha256: str
    """Empty if the record has none."""
    size: int
    """Bytes."""
    version: str
    """The newest published version that holds it, else the draft."""
    fields: dict[str, list[str]]
    """Its metadata, by the names of the operators."""
    zarr: bool = False
    """Whether it is a Zarr."""


@dataclass(frozen=True, slots=True)
class FoundDandiset:
    """A Dandiset that a search found, by its own words or by those of its files."""

    dandiset: str
    name: str
    version: str
    """The newest published one, else the draft."""
    files: int
    """Number of its files that were found."""
    size: int
    """Bytes of these files."""
    hits: list[FoundFile] = field(default_factory=list)
    """The first of these files, by path."""


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The result of a search: the first Dandisets, and the totals of all."""

    found: list[FoundDandiset]
    dandisets: int
    files: int
    size: int
    """Bytes of all files that were found."""


def search(
    database: sqlite3.Connection, terms: Sequence[Term], *, old: bool, most: int, most_files: int
) -> SearchResult:
    """Return the ``most`` best Dandisets and ``most_files`` of each; with ``old``, also files of older versions."""
    conditions = [term.of_asset() for term in terms]
    where = " AND ".join([condition for condition, _ in conditions] + ([] if old else ["asset.current"]))
    values = [value for _, several in conditions for value in several]
    rows = database.execute(
        f"SELECT asset.dandiset, count(*), sum(size) FROM asset WHERE {where} GROUP BY asset.dandiset", values
    ).fetchall()
    counts = {number: (files, size) for number, files, size in rows}
    ranks = _own(database, terms)
    # first Dandisets whose own words match, the best first; then those with more matching files
    order = sorted(
        counts.keys() | ranks.keys(), key=lambda which: (ranks.get(which, 0.0), -counts.get(which, (0, 0))[0], which)
    )
    found = []
    for number in order[:most]:
        rows = database.execute(
            "SELECT number, path, id, sha256, size, facts, type FROM asset"
            f" WHERE {where} AND asset.dandiset = ? ORDER BY path, current DESC, number LIMIT ?",
            [*values, number, most_files],
        ).fetchall()
        hits = [_hit(database, *row) for row in rows]
        found.append(FoundDandiset(*_dandiset(database, number), *counts.get(number, (0, 0)), hits))
    return SearchResult(
        found, len(order), sum(files for files, _ in counts.values()), sum(size for _, size in counts.values())
    )


def suggestions(database: sqlite3.Connection, terms: Sequence[Term]) -> dict[str, list[str]]:
    """Return the words of a query that are not in the index, each with similar words that are."""
    found = {}
    for term in terms:
        for word in re.findall(r"\w+", term.text) if term.in_assets or term.in_dandisets else ():
            alone = Term(word, term.operator)
            tables = [name for name, in_it in (("words", term.in_assets), ("about", term.in_dandisets)) if in_it]
            if not any(_exists(database, table, alone) for table in tables):
                found[word] = _nearest(database, tables, alone)
    return found


def _own(database: sqlite3.Connection, terms: Sequence[Term]) -> dict[int, float]:
    """Return the Dandisets whose own words match the query, by number, with a rank: the lower the better."""
    conditions = [term.of_dandiset() for term in terms]
    if not all(condition for condition, _ in conditions):
        return {}
    where = " AND ".join(condition for condition, _ in conditions)
    numbers = database.execute(
        f"SELECT number FROM dandiset WHERE {where}", [value for _, values in conditions for value in values]
    ).fetchall()
    match = " AND ".join(f"({term.match})" for term in terms if term.in_dandisets)
    rank = f"SELECT rowid, bm25(about, {_WEIGHTS}) FROM about WHERE about MATCH ?"
    ranks: dict[int, float] = dict(database.execute(rank, [match]).fetchall()) if match else {}
    return {number: ranks.get(number, -1.0) for (number,) in numbers}


def _dandiset(database: sqlite3.Connection, number: int) -> tuple[str, str, str]:
    """Return id, name, and newest version of a Dandiset."""
    dandiset, name = database.execute("SELECT id, name FROM dandiset WHERE number = ?", [number]).fetchone()
    version = database.execute(f"SELECT name FROM version WHERE dandiset = ? {_NEWEST}", [number]).fetchone()
    return dandiset, name, version[0] if version else DRAFT


def _hit(
    database: sqlite3.Connection,
    number: int,
    path: str,
    asset_id: bytes,
    sha256: bytes,
    size: int,
    facts: int,
    kind: str,
) -> FoundFile:  # fmt: skip
    (version,) = database.execute(
        "SELECT version.name FROM member JOIN holds USING (part) JOIN version ON version.number = holds.version"
        f" WHERE member.asset = ? {_NEWEST}",
        [number],
    ).fetchone()
    (text,) = database.execute("SELECT text FROM facts WHERE number = ?", [facts]).fetchone()
    fields: dict[str, list[str]] = {}
    for name, value in orjson.loads(text):
        fields.setdefault(name, []).append(value)
    if session := session_of(path):
        fields["session"] = [session]
    known = str(UUID(bytes=asset_id)) if asset_id else ""
    return FoundFile(path, known, sha256.hex(), size, version, fields, kind == ZARR)


def _exists(database: sqlite3.Connection, table: str, term: Term) -> bool:
    found = database.execute(f"SELECT 1 FROM {table} WHERE {table} MATCH ? LIMIT 1", [term.match]).fetchone()
    return found is not None


def _nearest(database: sqlite3.Connection, tables: list[str], term: Term) -> list[str]:
    """Return words of the index that are similar to one that is not in it, then words that contain it."""
    word = term.text.lower()
    terms: set[str] = set()
    for table in tables:
        database.execute(f"CREATE VIRTUAL TABLE IF NOT EXISTS temp.all_{table} USING fts5vocab(main, {table}, col)")
        within, values = ("AND col = ?", [term.operator]) if term.operator else ("", [])
        rows = database.execute(
            f"SELECT DISTINCT term FROM all_{table} WHERE (abs(length(term) - ?) < 3 OR instr(term, ?)) {within}",
            [len(word), word, *values],
        )
        terms.update(row[0] for row in rows)
    # only numbers are similar to a number
    similar = get_close_matches(word, (name for name in terms if not name.isdigit() or word.isdigit()), _MOST_NEAR, 0.7)
    holding = sorted((name for name in terms if word in name and len(word) > 2), key=lambda name: (len(name), name))
    return list(dict.fromkeys([*similar, *holding]))[:_MOST_NEAR]
