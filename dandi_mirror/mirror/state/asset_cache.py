"""What the last sync admitted of a draft, so that a change costs its change and not the whole listing.

Local and derived, as the index is: without it, or with one of another release, branch or setting, the next
run reads everything.  An asset is believed to be as it was when its row still has the same id, path, size and
``modified``: the archive moves ``modified`` with every change of a record but two.  A checksum that arrives
is one; an asset that waits for it is never known.  The end of an embargo is the other; an embargoed Dandiset
is not mirrored, so nothing of it is known.
"""

from __future__ import annotations

import sqlite3
from array import array
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from operator import attrgetter

from dandi_mirror.errors import DiskError
from dandi_mirror.mirror.format.annex_metadata import shared_pair
from dandi_mirror.mirror.format.records import record_length
from dandi_mirror.mirror.state import sqlite_cache
from dandi_mirror.model import Asset
from dandi_mirror.own import OwnPath

# a field's value is shared by thousands of assets, so each is written once
_TABLES = """
CREATE TABLE asset (asset_id TEXT PRIMARY KEY, path TEXT, modified TEXT, size INT, key TEXT, url TEXT,
                    fields BLOB, published INT, record INT) WITHOUT ROWID;
CREATE TABLE pair (number INTEGER PRIMARY KEY, field TEXT, value TEXT);
CREATE TABLE state (state TEXT);
"""
_NAMES = ("asset", "pair", "state")


class Known:
    """The file of one Dandiset in ``.dandi-mirror/known``."""

    def __init__(self, path: OwnPath) -> None:
        self._path = path

    def fits(self, state: str) -> bool:
        """Whether the file was written in this ``state``."""
        try:
            with self._open() as database:
                return bool(database.execute("SELECT state FROM state").fetchone() == (state,))
        except (OSError, sqlite3.DatabaseError):
            return False

    def load(self) -> dict[str, Asset]:
        """The assets by id; none if the file is spoilt.

        Their records are not here: ``record`` is the negative length of each, in bytes.
        """
        try:
            with self._open() as database:
                return {asset.asset_id: asset for asset in _assets(database)}
        except (OSError, sqlite3.DatabaseError, ValueError, KeyError):
            return {}

    def store(self, state: str, assets: Mapping[str, Asset], before: Mapping[str, Asset]) -> None:
        """Remember the assets (by path) in a new ``state``; ``before`` is what :meth:`load` gave.

        Raises:
            DiskError: the file cannot be written.
        """
        now = {asset.asset_id for asset in assets.values()}
        changed = [asset for asset in assets.values() if asset.record >= 0 or asset.asset_id not in before]
        changed.sort(key=attrgetter("asset_id"))  # SQLite appends then, and need not look for each one's place
        try:
            if not before:
                sqlite_cache.forget(self._path, _NAMES)
            with self._open(make=True) as database:
                if not before:
                    database.executescript(_TABLES)
                database.execute("DELETE FROM state")
                database.executemany(
                    "DELETE FROM asset WHERE asset_id = ?", ([gone] for gone in before if gone not in now)
                )
                rows = _rows(changed, _numbers(database, changed))
                database.executemany("INSERT OR REPLACE INTO asset VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
                database.execute("INSERT INTO state VALUES (?)", [state])
        except (sqlite3.Error, OSError) as error:
            with suppress(OSError):
                self._path.unlink()
            raise DiskError.of(self._path, error) from error

    @contextmanager
    def _open(self, *, make: bool = False) -> Iterator[sqlite3.Connection]:
        with sqlite_cache.opened(self._path, _NAMES, make=make) as database, database:
            # it need not survive a power cut: what is lost or stale of it is only read again
            database.execute("PRAGMA synchronous = OFF")
            yield database


def _numbers(database: sqlite3.Connection, assets: Collection[Asset]) -> dict[tuple[str, str], int]:
    """The number of each pair of the assets' fields; new ones are written."""
    numbers = {(field, value): number for number, field, value in database.execute("SELECT * FROM pair")}
    pairs: set[tuple[str, str]] = set()
    for asset in assets:
        pairs.update(asset.fields)
    new = dict(zip(sorted(pairs - numbers.keys()), range(len(numbers), len(numbers) + len(pairs)), strict=False))
    database.executemany("INSERT INTO pair VALUES (?, ?, ?)", ((number, *pair) for pair, number in new.items()))
    return numbers | new


def _rows(assets: Collection[Asset], numbers: Mapping[tuple[str, str], int]) -> Iterator[tuple[object, ...]]:
    for asset in assets:
        yield (
            asset.asset_id, asset.path, asset.modified, asset.size, asset.key, asset.content_url,
            array("I", map(numbers.__getitem__, asset.fields)), asset.published, record_length(asset.record),
        )  # fmt: skip


def _assets(database: sqlite3.Connection) -> Iterator[Asset]:
    pairs = {number: shared_pair(field, value) for number, field, value in database.execute("SELECT * FROM pair")}
    pair = pairs.__getitem__
    for asset_id, path, modified, size, key, url, fields, published, length in database.execute("SELECT * FROM asset"):
        numbers = array("I", fields)
        yield Asset(path, asset_id, modified, size, key, url, -length, tuple(map(pair, numbers)), bool(published))
