"""What the files of asset records hold together, by their object ids, so that a comparison need not read all of them.

An object id says what is in a file, so what is remembered of one stays true in every version and Dandiset.  The file
can be deleted at any time.

Of large versions, five numbers are kept: to add up what thousands of files hold takes longer than all else that a
question needs.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Mapping
from contextlib import suppress

import msgspec

from dandi_mirror.errors import DiskError
from dandi_mirror.files.own import OwnPath
from dandi_mirror.mirror.state import sqlite_cache

MOST = 500_000
"""Files that are remembered; with more, the memory begins anew."""
MANY, MOST_VERSIONS = 64, 10_000
"""Files of records from which the numbers of a version are remembered, and how many versions."""
_NAMES = ("part", "version")
_TABLE = "CREATE TABLE IF NOT EXISTS part (oid TEXT PRIMARY KEY, totals BLOB) WITHOUT ROWID"
_VERSIONS = "CREATE TABLE IF NOT EXISTS version (key TEXT PRIMARY KEY, numbers BLOB) WITHOUT ROWID"
_AT_ONCE = 500


class PartTotals(msgspec.Struct, frozen=True, array_like=True):
    """What one file of records holds."""

    files: int
    size: int
    """Bytes of these files; of Zarrs as their records say."""
    refused: int
    """Records that are not valid."""
    subjects: dict[str, int]
    """Files by subject."""
    sessions: list[tuple[str, str, int]]
    """Subject, session and number of files."""
    zarrs: list[tuple[str, int]] = []
    """Path and size of each Zarr."""


class Numbers(msgspec.Struct, frozen=True, array_like=True):
    """What all files of records of a version hold."""

    files: int
    size: int
    """Bytes."""
    refused: int
    subjects: int
    sessions: int


_NUMBERS = msgspec.json.Decoder(Numbers)
_DECODER = msgspec.json.Decoder(PartTotals)


class PartTotalsFile:
    """The file ``.dandi-mirror/totals.sqlite`` of a mirror."""

    def __init__(self, path: OwnPath) -> None:
        self._path = path

    def read(self, oids: Collection[str]) -> dict[str, PartTotals]:
        """What is remembered of these files; of all others, and if the file cannot be read, nothing."""
        wanted, found = sorted(oids), dict[str, PartTotals]()
        with suppress(OSError, sqlite3.Error), sqlite_cache.opened(self._path, _NAMES) as database:
            for start in range(0, len(wanted), _AT_ONCE):
                some = wanted[start : start + _AT_ONCE]
                places = ", ".join("?" * len(some))
                for oid, totals in database.execute(f"SELECT * FROM part WHERE oid IN ({places})", some):
                    with suppress(msgspec.MsgspecError, TypeError, UnicodeError):
                        found[oid] = _DECODER.decode(totals)
        return found

    def version(self, key: str) -> Numbers | None:
        """The numbers of a version, if they are remembered; ``key`` says which files of records it has."""
        with suppress(OSError, sqlite3.Error, msgspec.MsgspecError, TypeError, UnicodeError):
            with sqlite_cache.opened(self._path, _NAMES) as database:
                row = database.execute("SELECT numbers FROM version WHERE key = ?", [key]).fetchone()
            return _NUMBERS.decode(row[0]) if row else None
        return None

    def add_version(self, key: str, numbers: Numbers) -> None:
        """Remember the numbers of a version, if the file can be written."""

        def change(database: sqlite3.Connection) -> None:
            database.execute(_VERSIONS)
            (count,) = database.execute("SELECT count(*) FROM version").fetchone()
            if count >= MOST_VERSIONS:
                database.execute("DELETE FROM version")
            database.execute("INSERT OR REPLACE INTO version VALUES (?, ?)", [key, msgspec.json.encode(numbers)])

        with suppress(DiskError):
            sqlite_cache.write(self._path, _NAMES, change)

    def add(self, totals: Mapping[str, PartTotals]) -> None:
        """Remember more files, if the file can be written."""
        rows = [(oid, msgspec.json.encode(of)) for oid, of in totals.items()]

        def change(database: sqlite3.Connection) -> None:
            database.execute(_TABLE)
            (count,) = database.execute("SELECT count(*) FROM part").fetchone()
            if count + len(rows) > MOST:
                database.execute("DELETE FROM part")
            database.executemany("INSERT OR REPLACE INTO part VALUES (?, ?)", rows)

        if rows:
            with suppress(DiskError):
                sqlite_cache.write(self._path, _NAMES, change)
