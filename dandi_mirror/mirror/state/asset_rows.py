"""The tables in which a mirror remembers the assets of a draft: how assets are written to rows and read from them."""

from __future__ import annotations

import re
import sqlite3
import sys
from array import array
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from dandi_mirror.archive.zarr_entry import LARGEST_OBJECT
from dandi_mirror.mirror.format.admission import LARGEST_RECORD, ContentHosts
from dandi_mirror.mirror.format.annex_metadata import shared_pair
from dandi_mirror.model import Asset, is_asset_id
from dandi_mirror.paths import refuse_path

# a field's value is shared by thousands of assets, so each is written once
TABLES = """
CREATE TABLE asset (asset_id TEXT PRIMARY KEY, path TEXT, modified TEXT, size INT, key TEXT, url TEXT,
                    unknown_host TEXT, fields BLOB, published INT, record INT, zarr TEXT, checksum TEXT) WITHOUT ROWID;
CREATE TABLE pair (number INTEGER PRIMARY KEY, field TEXT, value TEXT);
CREATE TABLE state (state TEXT, listed REAL, totals TEXT);
"""
INDEXES = """
CREATE INDEX IF NOT EXISTS asset_path ON asset (path);
CREATE INDEX IF NOT EXISTS asset_modified ON asset (modified);
CREATE INDEX IF NOT EXISTS asset_key ON asset (key);
"""
NAMES = ("asset", "pair", "state")
_KEY = re.compile(r"SHA256E-s([0-9]+)--[0-9a-f]{64}(?:\.[A-Za-z0-9]{1,4}){0,2}")
_AT_ONCE = 500


def write_assets(database: sqlite3.Connection, assets: Collection[Asset]) -> None:
    """Write assets, in the order in which they come."""
    rows = _rows(assets, _numbers(database, assets))
    database.executemany("INSERT OR REPLACE INTO asset VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)


def read_assets(database: sqlite3.Connection, where: str = "", values: Collection[str] = ()) -> Iterator[Asset]:
    """The assets of which a column has one of some values; without a column, all of them.

    Raises:
        ValueError, TypeError, KeyError: a row is not as :func:`write_assets` writes it.
    """
    wanted = sorted(values)
    if not where:
        pairs = {number: _pair(field, value) for number, field, value in database.execute("SELECT * FROM pair")}
        yield from (_asset(row, pairs) for row in database.execute("SELECT * FROM asset"))
    for start in range(0, len(wanted), _AT_ONCE) if where else ():
        some = wanted[start : start + _AT_ONCE]
        places = ", ".join("?" * len(some))
        rows = database.execute(f"SELECT * FROM asset WHERE {where} IN ({places})", some).fetchall()
        pairs = _pairs(database, rows)
        yield from (_asset(row, pairs) for row in rows)


def is_admitted(asset: Asset, hosts: ContentHosts) -> bool:
    """Whether an asset of the file is one that the archive could have listed and a sync would have admitted."""
    size, length = asset.size, asset.record_length
    return (
        is_asset_id(asset.asset_id)
        and refuse_path(asset.path) is None
        and type(size) is int
        and 0 <= size <= LARGEST_OBJECT
        and type(length) is int
        and 0 < length <= LARGEST_RECORD
        and isinstance(asset.modified, str)
        and _has_key(asset)
        and (asset.content_url is None or hosts.admit(asset.content_url) == asset.content_url)
    )


def _numbers(database: sqlite3.Connection, assets: Collection[Asset]) -> dict[tuple[str, str], int]:
    """The number of each pair of the assets' fields; writes new ones."""
    numbers = {(field, value): number for number, field, value in database.execute("SELECT * FROM pair")}
    pairs: set[tuple[str, str]] = set()
    for asset in assets:
        pairs.update(asset.fields)
    new = dict(zip(sorted(pairs - numbers.keys()), range(len(numbers), len(numbers) + len(pairs)), strict=False))
    database.executemany("INSERT INTO pair VALUES (?, ?, ?)", ((number, *pair) for pair, number in new.items()))
    return numbers | new


def _rows(assets: Collection[Asset], numbers: Mapping[tuple[str, str], int]) -> Iterator[tuple[Any, ...]]:
    for asset in assets:
        yield (
            asset.asset_id, asset.path, asset.modified, asset.size, asset.key, asset.content_url,
            asset.unknown_host, array("I", map(numbers.__getitem__, asset.fields)), asset.published,
            asset.record_length, asset.zarr, asset.zarr_checksum,
        )  # fmt: skip


def _pairs(database: sqlite3.Connection, rows: Iterable[tuple[Any, ...]]) -> dict[int, tuple[str, str]]:
    """The pairs of the fields of some rows."""
    wanted: set[int] = set()
    for row in rows:
        wanted.update(array("I", row[7]))
    found = (database.execute("SELECT * FROM pair WHERE number = ?", [number]).fetchone() for number in wanted)
    return {number: _pair(field, value) for number, field, value in filter(None, found)}


def _asset(row: tuple[Any, ...], pairs: Mapping[int, tuple[str, str]]) -> Asset:
    asset_id, path, modified, size, key, url, host, fields, published, length, *zarr = row
    found, held = tuple(map(pairs.__getitem__, array("I", fields))), bool(published)
    host = sys.intern(host)
    return Asset(path, asset_id, modified, size, key, url, host, None, length, found, held, *zarr)


def _pair(field: object, value: object) -> tuple[str, str]:
    if not isinstance(field, str) or not isinstance(value, str):
        raise TypeError("a field of metadata that is no text")
    return shared_pair(field, value)


def _has_key(asset: Asset) -> bool:
    if asset.zarr:
        return is_asset_id(asset.zarr) and not asset.key and isinstance(asset.zarr_checksum, str)
    key = _KEY.fullmatch(asset.key)
    return key is not None and key[1] == str(asset.size) and not asset.zarr_checksum
