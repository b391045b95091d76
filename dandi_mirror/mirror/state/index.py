"""What a mirror remembers between runs so that a run with nothing to do asks nothing of the datasets.

Local and derived: it can be deleted at any time, and is then made again of what each dataset has (``lastsync``).
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from dandi_mirror.errors import DiskError
from dandi_mirror.mirror.state import sqlite_cache
from dandi_mirror.model import ABSENT, DandisetRow, Finding, Kind
from dandi_mirror.own import OwnPath, own_path

SCHEMA = 2
_TABLES = """
CREATE TABLE dandiset (
    id TEXT PRIMARY KEY, row TEXT NOT NULL DEFAULT '', versions TEXT NOT NULL DEFAULT '',
    branch TEXT NOT NULL DEFAULT '', hosts TEXT NOT NULL DEFAULT '', findings TEXT NOT NULL DEFAULT '[]',
    verified REAL NOT NULL DEFAULT 0, failure TEXT, registered TEXT NOT NULL DEFAULT '');
CREATE TABLE superdataset (head TEXT NOT NULL, left_alone TEXT NOT NULL);
"""
_NAMES = ("dandiset", "superdataset")


_PUBLISHED = re.compile(r'"published": ?\{"version": ?"([^"]*)"')
"""In a row's key; within a string of JSON the quotes would be escaped.  Asked on every run for every Dandiset."""

_AGAIN = frozenset({Kind.PENDING, Kind.TEXT, Kind.HELD, Kind.WORKTREE})
"""Kinds that another look may settle."""


class Remembered(NamedTuple):
    """What the last complete sync of one Dandiset saw and left; a tuple, because thousands are made on every run."""

    row: str
    """The archive's row then, as :func:`row_key` spells it."""
    versions: str
    """Which versions were asked for: ``all``, ``published``, ``latest``, ``draft``."""
    branch: str
    """What the branch held after it."""
    hosts: str
    """Where content URLs pointed to."""
    findings: tuple[Finding, ...]
    verified: float = 0.0
    """When it was last read in full, in seconds since 1970; 0 for never."""
    failure: Failure | None = None
    """How the last run that wanted to sync it failed; None if it did not."""
    registered: str = ""
    """The commit at which the superdataset has it."""

    @property
    def unfinished(self) -> bool:
        """Whether something was left that another look may complete, though the archive moves no timestamp."""
        return self.failure is not None or any(finding.kind in _AGAIN for finding in self.findings)

    @property
    def absent(self) -> bool:
        """Whether the archive did not show it any more."""
        return any(finding.kind in ABSENT for finding in self.findings)


@dataclass(frozen=True, slots=True)
class Failure:
    """What a sync said when it could not be done."""

    exit_code: int
    message: str


@dataclass(frozen=True, slots=True)
class Memory:
    """All that is remembered, as one look at the file gives it."""

    dandisets: Mapping[str, Remembered] = field(default_factory=dict)
    head: str = ""
    """The superdataset's commit after the last run that wrote to it."""
    left_alone: str = ""
    """Why that run left the superdataset's work tree alone."""


NOTHING = Remembered("", "", "", "", ())
"""What is remembered of a Dandiset that no sync has completed."""


def row_key(row: DandisetRow) -> str:
    """Everything by which a Dandiset's row can differ, as one string."""
    try:
        return orjson.dumps(row, option=orjson.OPT_UTC_Z).decode()
    except TypeError:
        # a name with half a surrogate pair
        return json.dumps(asdict(row), default=datetime.isoformat)


def says(unread: Mapping[str, object] | None, row: str) -> bool:
    """Whether a row that nobody has checked is spelt as :func:`row_key` has spelt a checked one."""
    try:
        return bool(unread) and orjson.dumps(unread).decode() == row
    except TypeError:
        return False


def published_in(row: str) -> str:
    """The newest published version of a row as :func:`row_key` spells it; empty if there is none."""
    found = _PUBLISHED.search(row)
    return found[1] if found else ""


@dataclass(frozen=True, slots=True)
class Draft:
    """What a remembered row says of the draft."""

    name: str
    asset_count: int
    modified: str
    embargo_status: str = ""
    """Of the Dandiset."""


def draft_of(row: str) -> Draft:
    """The draft of a row as :func:`row_key` spells it; of an empty row, nothing."""
    if not row:
        return Draft("", 0, "")
    facts = json.loads(row)
    draft = facts["draft"]
    return Draft(draft["name"], draft["asset_count"], draft["modified"], facts["embargo_status"])


class Index:
    """The file ``.dandi-mirror/index.sqlite`` of a mirror."""

    def __init__(self, path: Path | OwnPath) -> None:
        self._path = own_path(path)

    def get(self, dandiset: str) -> Remembered | None:
        """What is remembered of a Dandiset; None also when the file is missing or not ours."""
        return self._read("WHERE id = ?", [dandiset]).dandisets.get(dandiset)

    def read(self) -> Memory:
        """Everything; nothing when the file is missing or not ours."""
        return self._read("", [])

    def _read(self, which: str, values: list[str]) -> Memory:
        try:
            with sqlite_cache.opened(self._path, _NAMES) as database:
                found = database.execute(f"SELECT * FROM dandiset {which}", values)
                dandisets = {row[0]: _remembered(*row[1:]) for row in found}
                return Memory(dandisets, *(database.execute("SELECT * FROM superdataset").fetchone() or ()))
        except (OSError, sqlite3.DatabaseError, ValueError, TypeError, KeyError):
            return Memory()

    def put(self, dandiset: str, facts: Remembered) -> None:
        """Remember a Dandiset that a sync has completed; what was registered of it stays.

        Raises:
            DiskError: the file cannot be written.
        """
        self.restore({dandiset: facts})

    def restore(self, dandisets: Mapping[str, Remembered]) -> None:
        """Remember Dandisets as by :meth:`put`, all or none.

        Raises:
            DiskError: the file cannot be written.
        """
        self._write(_PUT, [_values(dandiset, facts) for dandiset, facts in dandisets.items()])

    def fail(self, dandiset: str, failure: Failure) -> None:
        """Remember that a Dandiset could not be synced; what is known of it stays."""
        with suppress(DiskError):
            self._write(_FAIL, [[dandiset, json.dumps(asdict(failure))]])

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


_COLUMNS = ("row", "versions", "branch", "hosts", "findings", "verified")
_PUT = (
    f"INSERT INTO dandiset (id, {', '.join(_COLUMNS)}) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
    f"{', '.join(f'{column} = excluded.{column}' for column in _COLUMNS)}, failure = NULL"
)
_FAIL = "INSERT INTO dandiset (id, failure) VALUES (?, ?) ON CONFLICT DO UPDATE SET failure = excluded.failure"


def _make(database: sqlite3.Connection) -> None:
    """The tables, in place of those that another release had."""
    for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
        database.execute(f'DROP TABLE "{name}"')
    for statement in filter(str.strip, _TABLES.split(";\n")):
        database.execute(statement)
    database.execute(f"PRAGMA user_version = {SCHEMA}")


def _values(dandiset: str, facts: Remembered) -> list[Any]:
    findings = json.dumps([asdict(finding) for finding in facts.findings])
    return [dandiset, facts.row, facts.versions, facts.branch, facts.hosts, findings, facts.verified]


def _remembered(
    row: str,
    versions: str,
    branch: str,
    hosts: str,
    findings: str,
    verified: float,
    failure: str | None,
    registered: str,
) -> Remembered:
    found = () if findings == "[]" else tuple(map(_finding, json.loads(findings)))
    failed = Failure(**json.loads(failure)) if failure else None
    return Remembered(row, versions, branch, hosts, found, verified, failed, registered)


def _finding(facts: dict[str, Any]) -> Finding:
    return Finding(**facts | {"kind": Kind(facts["kind"])})
