"""Index one Dandiset for search: add the records of its versions, remove those that no version holds any more."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import orjson

from dandi_mirror.mirror.format import record_reader
from dandi_mirror.mirror.format.admission import Refusal
from dandi_mirror.mirror.format.annex_metadata import annex_fields, session_of
from dandi_mirror.mirror.format.record_reader import Record
from dandi_mirror.mirror.format.records import TOP
from dandi_mirror.mirror.search.columns import ABOUT, FIELDS, ZARR
from dandi_mirror.mirror.sync.messages import one_line
from dandi_mirror.mirror.zarr.gitmodules import read_gitmodules
from dandi_mirror.paths import REFUSED_FOLDER
from dandi_mirror.repo.git import history
from dandi_mirror.repo.git.dataset import Dataset
from dandi_mirror.repo.git.history import Revision
from dandi_mirror.repo.git.reader import ObjectReader

_MARKS = ", ?" * (len(FIELDS) + 1)
_WORDS = f"INSERT INTO words (rowid, path, {', '.join(FIELDS)}) VALUES (?{_MARKS})"
_FORGET = f"INSERT INTO words (words, rowid, path, {', '.join(FIELDS)}) VALUES ('delete', ?{_MARKS})"

Pairs = list[tuple[str, str]]
Row = tuple[str, bytes, bytes, int, str, int]
"""Path, asset id, SHA-256, size in bytes, type and number of the facts of an asset."""


class DandisetRows:
    """Writes the rows of one Dandiset; the caller opens a transaction."""

    def __init__(self, database: sqlite3.Connection, dataset: Dataset, dandiset: str) -> None:
        self._database, self._dataset = database, dataset
        self._facts: dict[str, int] = {}
        database.execute("INSERT OR IGNORE INTO dandiset (id) VALUES (?)", [dandiset])
        (self._number,) = database.execute("SELECT number FROM dandiset WHERE id = ?", [dandiset]).fetchone()

    def update(self, refs: str) -> None:
        """Add what is new and remove what is gone; ``refs`` is remembered as the state of the Dandiset."""
        tip, versions = history.branch(self._dataset), history.versions(self._dataset)
        states = [*versions, tip] if tip else versions
        names = {state.name for state in states}
        known = self._versions()
        with self._dataset.reader() as reader:
            for state in states:
                if known.get(state.name) != state.commit:
                    self._add_version(state, reader)
            content = next(reader.read([f"{states[-1].commit}:dandiset.yaml"])) if states else None
        gone = [(self._number, name) for name in known if name not in names]
        self._database.executemany("DELETE FROM version WHERE dandiset = ? AND name = ?", gone)
        self._sweep()
        self._mark(states[-1].name if states else "")
        self._describe(record_reader.dandiset_record(content), states[-1:], versions[-1:])
        self._database.execute("UPDATE dandiset SET refs = ? WHERE number = ?", [refs, self._number])

    def forget(self) -> None:
        """Remove the Dandiset."""
        self._database.execute("DELETE FROM version WHERE dandiset = ?", [self._number])
        self._sweep()
        self._database.execute("DELETE FROM about WHERE rowid = ?", [self._number])
        self._database.execute("DELETE FROM dandiset WHERE number = ?", [self._number])

    def _versions(self) -> dict[str, str]:
        rows = self._database.execute("SELECT name, oid FROM version WHERE dandiset = ?", [self._number])
        return dict(rows.fetchall())

    def _add_version(self, state: Revision, reader: ObjectReader) -> None:
        """Add a version; files of records that are indexed already are not read."""
        tree = self._dataset.tree(state.commit, f"{TOP}.jsonl", TOP, REFUSED_FOLDER)
        wanted = {oid: path for path, (_, oid) in tree.items() if path.endswith((".jsonl", ".json"))}
        old = "SELECT number FROM version WHERE dandiset = ? AND name = ?"
        # first, because SQLite reuses the number of the last row
        self._database.execute(f"DELETE FROM holds WHERE version IN ({old})", [self._number, state.name])
        self._database.execute(f"DELETE FROM zarr WHERE version IN ({old})", [self._number, state.name])
        self._database.execute(f"DELETE FROM version WHERE number IN ({old})", [self._number, state.name])
        version = self._database.execute(
            "INSERT INTO version (dandiset, name, oid, seconds) VALUES (?, ?, ?, ?)",
            [self._number, state.name, state.commit, state.seconds],
        ).lastrowid
        rows = self._database.execute("SELECT oid, number FROM part WHERE dandiset = ?", [self._number])
        parts: dict[str, int] = dict(rows.fetchall())
        new = [oid for oid in wanted if oid not in parts]
        first = not parts
        for oid in new:
            added = self._database.execute("INSERT INTO part (dandiset, oid) VALUES (?, ?)", [self._number, oid])
            assert added.lastrowid
            parts[oid] = added.lastrowid
            self._add_part(parts[oid], record_reader.records_in(reader, wanted[oid], oid), first)
        holds = [(version, parts[oid]) for oid in wanted]
        self._database.executemany("INSERT INTO holds VALUES (?, ?)", holds)
        (content,) = reader.read([f"{state.commit}:.gitmodules"])
        zarrs = read_gitmodules(content or b"").values()
        self._database.executemany("INSERT INTO zarr VALUES (?, ?, ?, ?)", ((version, *zarr) for zarr in zarrs))

    def _add_part(self, part: int, records: Iterable[Record | Refusal], first: bool) -> None:
        (number,) = self._database.execute("SELECT coalesce(max(number), 0) FROM asset").fetchone()
        assets, words, members = [], [], []
        for record in records:
            row, pairs = self._row(record)
            known = None if first else self._known(row)
            if known is None:
                number += 1
                assets.append((number, self._number, *row))
                words.append((number, *_words(row[0], pairs)))
            members.append((part, known or number))
        columns = "number, dandiset, path, id, sha256, size, type, facts"
        self._database.executemany(f"INSERT INTO asset ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", assets)
        self._database.executemany(_WORDS, words)
        self._database.executemany("INSERT OR IGNORE INTO member VALUES (?, ?)", members)

    def _known(self, row: Row) -> int | None:
        """Return the number of an identical asset; None if there is none."""
        columns = ("path", "id", "sha256", "size", "type", "facts")
        same = " AND ".join(f"{column} = ?" for column in columns)
        # by its id: without statistics, SQLite's planner would scan the whole Dandiset
        found = self._database.execute(
            f"SELECT number FROM asset INDEXED BY asset_id WHERE dandiset = ? AND {same}", [self._number, *row]
        ).fetchone()
        return int(found[0]) if found else None

    def _row(self, record: Record | Refusal) -> tuple[Row, Pairs]:
        """Return the row and the words of an asset; for a refused one, only what its refusal says."""
        own, kind = Pairs(), object()
        if isinstance(record, Record):
            own = [pair for pair in annex_fields(record.metadata, record.path) if pair[0] != "session"]
            kind = ZARR if record.zarr else record.metadata.get("encodingFormat")
        row = (
            record.path,
            bytes.fromhex(record.asset_id.replace("-", "")),
            bytes.fromhex(record.sha256 or ""),
            record.size or 0,
            kind if isinstance(kind, str) else "",
            self._facts_number(orjson.dumps(own).decode()),
        )
        return row, own

    def _facts_number(self, text: str) -> int:
        if text not in self._facts:
            self._database.execute("INSERT OR IGNORE INTO facts (text) VALUES (?)", [text])
            (self._facts[text],) = self._database.execute("SELECT number FROM facts WHERE text = ?", [text]).fetchone()
        return self._facts[text]

    def _sweep(self) -> None:
        """Remove what no version holds any more."""
        run, own = self._database.execute, [self._number]
        run("DELETE FROM holds WHERE version NOT IN (SELECT number FROM version)")
        run("DELETE FROM zarr WHERE version NOT IN (SELECT number FROM version)")
        run("CREATE TEMP TABLE IF NOT EXISTS gone (number INTEGER PRIMARY KEY)")
        run("DELETE FROM gone")
        run(
            "INSERT INTO gone SELECT number FROM part WHERE dandiset = ?"
            " AND NOT EXISTS (SELECT 1 FROM holds WHERE holds.part = part.number)",
            own,
        )
        lost = (
            "SELECT DISTINCT asset FROM member WHERE part IN gone AND NOT EXISTS"
            " (SELECT 1 FROM member AS other WHERE other.asset = member.asset AND other.part NOT IN gone)"
        )
        rows = run(
            "SELECT asset.number, path, text FROM asset JOIN facts ON facts.number = asset.facts"
            f" WHERE asset.number IN ({lost})"
        ).fetchall()
        self._database.executemany(
            _FORGET, ((number, *_words(path, orjson.loads(text))) for number, path, text in rows)
        )
        self._database.executemany("DELETE FROM asset WHERE number = ?", ([row[0]] for row in rows))
        run("DELETE FROM member WHERE part IN gone")
        run("DELETE FROM part WHERE number IN gone")

    def _mark(self, current: str) -> None:
        """Mark the assets that the newest version or the draft holds."""
        held = (
            "SELECT asset FROM version JOIN holds ON holds.version = version.number JOIN member USING (part)"
            " WHERE version.dandiset = ? AND version.name = ?"
        )
        self._database.execute(
            f"UPDATE asset SET current = number IN ({held}) WHERE dandiset = ?", [self._number, current, self._number]
        )

    def _describe(self, record: Mapping[str, Any], current: list[Revision], newest: list[Revision]) -> None:
        """Write the Dandiset's own words and dates."""
        summary = _dict(record.get("assetsSummary"))
        more = [name for key in summary if isinstance(summary[key], list) for name in _names(summary[key])]
        more += [*_names(record.get("about")), *_names(record.get("relatedResource")), *_leaves(record.get("license"))]
        more += [one_line(record.get("acknowledgement")), one_line(record.get("doi"))]
        texts = [
            one_line(record.get("identifier")),
            one_line(record.get("name")),
            " · ".join(_leaves(record.get("keywords"))),
            " · ".join(_names(record.get("contributor"))),
            one_line(record.get("description")),
            " · ".join(filter(None, more)),
        ]
        self._database.execute("DELETE FROM about WHERE rowid = ?", [self._number])
        marks = ", ?" * len(ABOUT)
        self._database.execute(
            f"INSERT INTO about (rowid, {', '.join(ABOUT)}) VALUES (?{marks})", [self._number, *texts]
        )
        dates = [one_line(record.get("dateCreated"))[:10], *(_day(states) for states in (current, newest))]
        self._database.execute(
            "UPDATE dandiset SET name = ?, created = ?, modified = ?, published = ? WHERE number = ?",
            [texts[1], *dates, self._number],
        )


def _words(path: str, pairs: Iterable[tuple[str, str]]) -> list[str]:
    """Return an asset's words, column by column."""
    values: dict[str, list[str]] = {field: [] for field in FIELDS}
    for field, value in pairs:
        values[field].append(value)
    values["session"] = [session_of(path)]
    return [path, *(" · ".join(values[field]) for field in FIELDS)]


def _names(value: object) -> list[str]:
    """Return the names in a list of objects."""
    found = (item.get("name") for item in value if isinstance(item, dict)) if isinstance(value, list) else ()
    return [one_line(name) for name in found if isinstance(name, str)]


def _leaves(value: object) -> list[str]:
    return [one_line(item) for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _day(states: list[Revision]) -> str:
    return f"{datetime.fromtimestamp(states[0].seconds, UTC):%Y-%m-%d}" if states else ""


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
