"""The index of a mirror: the SQLite file from which a run learns, without opening any dataset, what has changed.

It can be deleted at any time.  The next run makes it again from the file that each dataset has (``last_sync``).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from dandi_mirror.errors import DiskError
from dandi_mirror.files.own import OwnPath, own_path
from dandi_mirror.mirror.state import sqlite_cache
from dandi_mirror.mirror.state.remembered import (
    STORED_ENTRY,
    Failure,
    Memory,
    RememberedDandiset,
    failure_json,
    findings_json,
    remembered_of,
)

SCHEMA = 5
_TABLES = """
CREATE TABLE dandiset (
    id TEXT PRIMARY KEY, row TEXT NOT NULL DEFAULT '', versions TEXT NOT NULL DEFAULT '',
    branch TEXT NOT NULL DEFAULT '', hosts TEXT NOT NULL DEFAULT '', findings TEXT NOT NULL DEFAULT '[]',
    verified REAL NOT NULL DEFAULT 0, failure TEXT, registered TEXT NOT NULL DEFAULT '',
    content_hosts TEXT NOT NULL DEFAULT '', zarrs TEXT NOT NULL DEFAULT '', zarr_totals TEXT NOT NULL DEFAULT '');
CREATE TABLE superdataset (head TEXT NOT NULL, left_alone TEXT NOT NULL);
"""
_NAMES = ("dandiset", "superdataset")


class Index:
    """The file ``.dandi-mirror/index.sqlite`` of a mirror."""

    def __init__(self, path: Path | OwnPath) -> None:
        self._path = own_path(path)

    def __str__(self) -> str:
        """The path, to be shown."""
        return str(self._path)

    def get(self, dandiset: str) -> RememberedDandiset | None:
        """What is remembered of a Dandiset; None also if the file is missing, spoilt or not ours."""
        return self._read("WHERE id = ?", [dandiset]).dandisets.get(dandiset)

    def read(self) -> Memory:
        """Everything that is remembered; a Dandiset whose entry is not as a run writes it is left out."""
        return self._read("", [])

    def _read(self, which: str, values: list[str]) -> Memory:
        try:
            with sqlite_cache.opened(self._path, _NAMES) as database:
                database.text_factory = _text
                found = database.execute(f"SELECT {', '.join(_READ)} FROM dandiset {which}", values)
                dandisets = dict(_checked(found))
                superdataset = database.execute("SELECT head, left_alone FROM superdataset").fetchone() or ("", "")
                fits = all(isinstance(text, str) for text in superdataset)
                return Memory(dandisets, *superdataset) if fits else Memory(dandisets)
        except (OSError, sqlite3.OperationalError):
            return Memory()
        except (sqlite3.DatabaseError, ValueError):
            return Memory(spoilt=True)

    def put(self, dandiset: str, facts: RememberedDandiset) -> None:
        """Remember a Dandiset that a sync has completed; what was registered of it stays.

        Raises:
            DiskError: the file cannot be written.
        """
        self.restore({dandiset: facts})

    def restore(self, dandisets: Mapping[str, RememberedDandiset]) -> None:
        """Remember Dandisets as by :meth:`put`, all or none.

        Raises:
            DiskError: the file cannot be written.
        """
        self._write(_PUT, [_values(dandiset, facts) for dandiset, facts in dandisets.items()])

    def set_aside(self) -> OwnPath:
        """Give a spoilt file another name, so that the next write makes a new one; the new name.

        Raises:
            DiskError: it cannot be renamed.
        """
        try:
            return self._path.set_aside()
        except OSError as error:
            raise DiskError.of(self._path, error) from error

    def fail(self, dandiset: str, failure: Failure) -> None:
        """Remember that a Dandiset could not be synced; what is known of it stays."""
        with suppress(DiskError):
            self._write(_FAIL, [[dandiset, failure_json(failure)]])

    def register(self, commits: Mapping[str, str], head: str, left_alone: str) -> None:
        """Remember at which commits the superdataset has Dandisets, and its own.

        Raises:
            DiskError: the file cannot be written.
        """
        self._write(
            "UPDATE dandiset SET registered = ? WHERE id = ?",
            [[commit, dandiset] for dandiset, commit in commits.items()],
            [head, left_alone],
        )

    def _write(self, statement: str, rows: list[list[Any]], superdataset: list[str] | None = None) -> None:
        def change(database: sqlite3.Connection) -> None:
            database.execute("BEGIN IMMEDIATE")
            if database.execute("PRAGMA user_version").fetchone() != (SCHEMA,):
                _make(database)
            database.executemany(statement, rows)
            if superdataset:
                database.execute("DELETE FROM superdataset")
                database.execute("INSERT INTO superdataset VALUES (?, ?)", superdataset)

        sqlite_cache.write(self._path, _NAMES, change)


_COLUMNS = (
    STORED_ENTRY, "versions", "branch", "hosts", "findings", "verified", "content_hosts", "zarrs", "zarr_totals",
)  # fmt: skip
_READ = ("id", *_COLUMNS, "failure", "registered")
_PUT = (
    f"INSERT INTO dandiset (id, {', '.join(_COLUMNS)}) VALUES (?{', ?' * len(_COLUMNS)}) ON CONFLICT DO UPDATE SET "
    f"{', '.join(f'{column} = excluded.{column}' for column in _COLUMNS)}, failure = NULL"
)
_FAIL = "INSERT INTO dandiset (id, failure) VALUES (?, ?) ON CONFLICT DO UPDATE SET failure = excluded.failure"


def _text(content: bytes) -> str:
    return content.decode(errors="replace")


def _checked(rows: sqlite3.Cursor) -> Iterator[tuple[str, RememberedDandiset]]:
    for dandiset, *values in rows:
        if facts := remembered_of(dandiset, dict(zip(_READ[1:], values, strict=True))):
            yield dandiset, facts


def _make(database: sqlite3.Connection) -> None:
    """The tables, in place of those that another release had."""
    for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
        database.execute(f'DROP TABLE "{name}"')
    for statement in filter(str.strip, _TABLES.split(";\n")):
        database.execute(statement)
    database.execute(f"PRAGMA user_version = {SCHEMA}")


def _values(dandiset: str, facts: RememberedDandiset) -> list[Any]:
    findings = findings_json(facts.findings)
    return [dandiset, *facts[:4], findings, facts.verified, facts.content_hosts, facts.zarrs, facts.zarr_totals]
