"""The assets of a draft as the last sync admitted them, so that the next sync reads only what has changed.

The file can be deleted at any time.  Without it, or with one of another release, branch or setting, the next run
reads everything.  An asset counts as unchanged if the archive lists it with the same id, path, size and ``modified``.
Two changes of a record do not move ``modified``: a checksum that arrives (an asset without one is never in this file),
and the end of an embargo (a sync of a Dandiset that was embargoed does not use this file).
"""

from __future__ import annotations

import re
import sqlite3
import sys
from array import array
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from operator import attrgetter

from dandi_mirror.errors import DiskError
from dandi_mirror.files.own import OwnPath
from dandi_mirror.mirror.format.admission import LARGEST, LARGEST_RECORD, ContentHosts
from dandi_mirror.mirror.format.annex_metadata import shared_pair
from dandi_mirror.mirror.state import sqlite_cache
from dandi_mirror.model import Asset, is_asset_id
from dandi_mirror.paths import refuse_path

# a field's value is shared by thousands of assets, so each is written once
_TABLES = """
CREATE TABLE asset (asset_id TEXT PRIMARY KEY, path TEXT, modified TEXT, size INT, key TEXT, url TEXT,
                    unknown_host TEXT, fields BLOB, published INT, record INT) WITHOUT ROWID;
CREATE TABLE pair (number INTEGER PRIMARY KEY, field TEXT, value TEXT);
CREATE TABLE state (state TEXT);
"""
_KEY = re.compile(r"SHA256E-s([0-9]+)--[0-9a-f]{64}(?:\.[A-Za-z0-9]{1,4}){0,2}")
_NAMES = ("asset", "pair", "state")


class AssetCache:
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

    def load(self, hosts: ContentHosts) -> dict[str, Asset]:
        """The assets by id, without their records; none if anything in the file is not as :meth:`store` writes it.

        ``hosts`` are those to which a content URL may point.
        """
        try:
            with self._open() as database:
                assets = {asset.asset_id: asset for asset in _assets(database)}
            return assets if all(_is_admitted(asset, hosts) for asset in assets.values()) else {}
        except (OSError, sqlite3.DatabaseError, ValueError, TypeError, KeyError):
            return {}

    def store(self, state: str, assets: Mapping[str, Asset], before: Mapping[str, Asset]) -> None:
        """Remember the assets (by path) in a new ``state``; ``before`` is what :meth:`load` returned.

        Raises:
            DiskError: the file cannot be written.
        """
        now = {asset.asset_id for asset in assets.values()}
        changed = [asset for asset in assets.values() if asset.record is not None or asset.asset_id not in before]
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
                database.executemany("INSERT OR REPLACE INTO asset VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
                database.execute("INSERT INTO state VALUES (?)", [state])
        except (sqlite3.Error, OSError) as error:
            with suppress(OSError):
                self._path.unlink()
            raise DiskError.of(self._path, error) from error

    @contextmanager
    def _open(self, *, make: bool = False) -> Iterator[sqlite3.Connection]:
        with sqlite_cache.opened(self._path, _NAMES, make=make) as database, database:
            # the file need not survive a power cut: the next run reads again whatever is lost
            database.execute("PRAGMA synchronous = OFF")
            yield database


def _numbers(database: sqlite3.Connection, assets: Collection[Asset]) -> dict[tuple[str, str], int]:
    """The number of each pair of the assets' fields; writes new ones."""
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
            asset.unknown_host, array("I", map(numbers.__getitem__, asset.fields)), asset.published,
            asset.record_length,
        )  # fmt: skip


def _assets(database: sqlite3.Connection) -> Iterator[Asset]:
    pairs = {number: _pair(field, value) for number, field, value in database.execute("SELECT * FROM pair")}
    pair = pairs.__getitem__
    rows = database.execute("SELECT * FROM asset")
    for asset_id, path, modified, size, key, url, host, fields, published, length in rows:
        found = tuple(map(pair, array("I", fields)))
        yield Asset(path, asset_id, modified, size, key, url, sys.intern(host), None, length, found, bool(published))


def _pair(field: object, value: object) -> tuple[str, str]:
    if not isinstance(field, str) or not isinstance(value, str):
        raise TypeError("a field of metadata that is no text")
    return shared_pair(field, value)


def _is_admitted(asset: Asset, hosts: ContentHosts) -> bool:
    """Whether an asset of the file is one that the archive could have listed and a sync would have admitted."""
    size, length = asset.size, asset.record_length
    return (
        is_asset_id(asset.asset_id)
        and refuse_path(asset.path) is None
        and type(size) is int
        and 0 <= size <= LARGEST
        and type(length) is int
        and 0 < length <= LARGEST_RECORD
        and isinstance(asset.modified, str)
        and (key := _KEY.fullmatch(asset.key)) is not None
        and key[1] == str(size)
        and (asset.content_url is None or hosts.admit(asset.content_url) == asset.content_url)
    )
