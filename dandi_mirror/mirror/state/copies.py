"""What a mirror remembers of its siblings: their repositories, when their claims were last proved, and which were not.

The file can be deleted at any time; then no sibling counts until it is fetched and challenged again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from dandi_mirror.files.own import OwnPath, own_path
from dandi_mirror.mirror.state import sqlite_cache

_NAMES = ("repository", "proof", "struck")
_TABLES = """
CREATE TABLE IF NOT EXISTS repository (
    sibling TEXT, dandiset TEXT, uuid TEXT NOT NULL, fetched REAL NOT NULL, keys INTEGER NOT NULL,
    PRIMARY KEY (sibling, dandiset));
CREATE TABLE IF NOT EXISTS proof (
    sibling TEXT PRIMARY KEY, ended REAL NOT NULL, asked INTEGER NOT NULL, failed INTEGER NOT NULL,
    claims INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS struck (uuid TEXT, key TEXT, why TEXT NOT NULL, PRIMARY KEY (uuid, key));
"""


@dataclass(frozen=True, slots=True)
class Proof:
    """The last challenge of a sibling."""

    ended: float
    """Seconds since 1970."""
    asked: int
    """Claims that were looked at."""
    failed: int
    """Claims that turned out to be wrong; if there are any, none of the sibling's claims counts."""
    claims: int = 0
    """All claims that it had then, of which some were looked at."""


@dataclass(frozen=True, slots=True)
class KnownCopies:
    """Everything that is remembered."""

    uuids: dict[tuple[str, str], str] = field(default_factory=dict)
    """(Sibling, Dandiset or id of a Zarr) → UUID of its repository."""
    fetched: dict[tuple[str, str], float] = field(default_factory=dict)
    """(Sibling, Dandiset or id of a Zarr) → when its location logs were last fetched, in seconds since 1970."""
    claims: dict[str, int] = field(default_factory=dict)
    """Sibling → how many keys it says it has, as last fetched."""
    proofs: dict[str, Proof] = field(default_factory=dict)
    """Sibling → its last challenge."""
    struck: dict[str, dict[str, str]] = field(default_factory=dict)
    """UUID → key → why the claim is not believed, until a challenge proves it."""


class CopiesFile:
    """The file ``.dandi-mirror/copies.sqlite`` of a mirror."""

    def __init__(self, path: Path | OwnPath) -> None:
        self._path = own_path(path)

    def read(self) -> KnownCopies:
        """All of it; nothing if the file is missing or cannot be read."""
        known = KnownCopies()
        try:
            with sqlite_cache.opened(self._path, _NAMES) as database:
                for name, dandiset, uuid, when, keys in database.execute("SELECT * FROM repository"):
                    known.uuids[str(name), str(dandiset)] = str(uuid)
                    known.fetched[str(name), str(dandiset)] = float(when)
                    known.claims[str(name)] = known.claims.get(str(name), 0) + int(keys)
                for name, ended, *counts in database.execute("SELECT * FROM proof"):
                    known.proofs[str(name)] = Proof(float(ended), *map(int, counts))
                for uuid, key, why in database.execute("SELECT * FROM struck"):
                    known.struck.setdefault(str(uuid), {})[str(key)] = str(why)
        except (OSError, sqlite3.Error, TypeError, ValueError):
            return KnownCopies()
        return known

    def put_repository(self, sibling: str, dandiset: str, uuid: str, when: float, keys: int) -> None:
        """Remember a repository of a sibling, when it was fetched, and how many keys it says it has.

        Raises:
            DiskError: the file cannot be written.
        """
        self._change(
            "INSERT OR REPLACE INTO repository VALUES (?, ?, ?, ?, ?)", [(sibling, dandiset, uuid, when, keys)]
        )

    def forget_repository(self, sibling: str, dandiset: str) -> None:
        """Forget a repository that a sibling does not have any more; raises as :meth:`put_repository`."""
        self._change("DELETE FROM repository WHERE sibling = ? AND dandiset = ?", [(sibling, dandiset)])

    def put_proof(self, sibling: str, proof: Proof) -> None:
        """Remember a challenge; raises as :meth:`put_repository`."""
        values = (sibling, proof.ended, proof.asked, proof.failed, proof.claims)
        self._change("INSERT OR REPLACE INTO proof VALUES (?, ?, ?, ?, ?)", [values])

    def strike(self, uuid: str, keys: Iterable[tuple[str, str]]) -> None:
        """Remember claims (key, why) that were found wrong; raises as :meth:`put_repository`."""
        self._change("INSERT OR REPLACE INTO struck VALUES (?, ?, ?)", [(uuid, key, why) for key, why in keys])

    def unstrike(self, uuid: str, keys: Iterable[str]) -> None:
        """Believe claims again that a challenge has proved; raises as :meth:`put_repository`."""
        self._change("DELETE FROM struck WHERE uuid = ? AND key = ?", [(uuid, key) for key in keys])

    def _change(self, statement: str, rows: list[tuple[object, ...]]) -> None:
        def change(database: sqlite3.Connection) -> None:
            for table in _TABLES.split(";")[:-1]:
                database.execute(table)
            database.executemany(statement, rows)

        if rows:
            sqlite_cache.write(self._path, _NAMES, change)
