"""The assets of a draft as the last sync admitted them, so that the next sync reads only what has changed.

The file can be deleted at any time.  Without it, or with one of another release, branch or setting, the next run
reads everything.  An asset counts as unchanged if the archive lists it with the same id, path, size and ``modified``.
Two changes of a record do not move ``modified``: a checksum that arrives (an asset without one is never in this file),
and the end of an embargo (a sync of a Dandiset that was embargoed does not use this file).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from operator import attrgetter

from dandi_mirror.errors import DiskError
from dandi_mirror.files.own import OwnPath
from dandi_mirror.mirror.format.admission import ContentHosts
from dandi_mirror.mirror.state import sqlite_cache
from dandi_mirror.mirror.state.asset_rows import INDEXES, NAMES, TABLES, is_admitted, read_assets, write_assets
from dandi_mirror.mirror.state.known_draft import DraftAssets, DraftTotals, KnownDraft
from dandi_mirror.model import Asset

SCHEMA = 3
"""Of the tables; a file of another one is as good as none."""


class AssetCache:
    """The file of one Dandiset in ``.dandi-mirror/known``."""

    def __init__(self, path: OwnPath) -> None:
        self._path = path

    def fits(self, state: str) -> bool:
        """Whether the file was written in this ``state``."""
        try:
            with self._open() as database:
                return bool(database.execute("SELECT state FROM state").fetchone() == (f"{SCHEMA} {state}",))
        except (OSError, sqlite3.DatabaseError):
            return False

    def listed(self) -> float:
        """When the whole listing of the draft was last read, in seconds since 1970; 0 if that is not known."""
        try:
            with self._open() as database:
                return float(database.execute("SELECT listed FROM state").fetchone()[0])
        except (OSError, sqlite3.DatabaseError, ValueError, TypeError):
            return 0.0

    def load(self, hosts: ContentHosts) -> dict[str, Asset]:
        """The assets by id, without their records; none if anything in the file is not as :meth:`store` writes it.

        ``hosts`` are those to which a content URL may point.
        """
        try:
            with self._open() as database:
                assets = {asset.asset_id: asset for asset in read_assets(database)}
            return assets if all(is_admitted(asset, hosts) for asset in assets.values()) else {}
        except (OSError, sqlite3.DatabaseError, ValueError, TypeError, KeyError):
            return {}

    def known(self, hosts: ContentHosts) -> KnownDraft | None:
        """The same assets, to be asked by key; None if the file cannot be used.  The caller closes it."""
        try:
            with self._open() as database:
                totals = DraftTotals.read(database.execute("SELECT totals FROM state").fetchone()[0])
            # another thread may write the file later, and this one is asked before
            database = sqlite3.connect(f"{self._path.path.absolute().as_uri()}?mode=ro", uri=True, timeout=30)
            return KnownDraft(database, totals, hosts) if totals else None
        except (OSError, sqlite3.DatabaseError, TypeError):
            return None

    def store(
        self, state: str, assets: Mapping[str, Asset], before: Mapping[str, Asset], listed: float, entries: int
    ) -> None:
        """Remember the assets (by path) in a new ``state``; ``before`` is what :meth:`load` returned.

        ``listed`` says when the whole listing was read, in seconds since 1970; ``entries`` how many it has, with those
        of assets that were refused or wait.

        Raises:
            DiskError: the file cannot be written.
        """
        if isinstance(assets, DraftAssets):
            changed, gone = list(assets.changed.values()), [asset.asset_id for asset in assets.replaced]
            totals, anew = assets.totals, False
        else:
            now = {asset.asset_id for asset in assets.values()}
            changed = [asset for asset in assets.values() if asset.record is not None or asset.asset_id not in before]
            gone = [asset_id for asset_id in before if asset_id not in now]
            totals, anew = DraftTotals.of(assets.values()), not before
        totals.listed = entries
        self._store(changed, gone, (f"{SCHEMA} {state}", listed, totals.as_text()), anew=anew)

    def _store(self, changed: list[Asset], gone: Collection[str], state: tuple[object, ...], *, anew: bool) -> None:
        changed.sort(key=attrgetter("asset_id"))  # SQLite appends then, and need not look for each one's place
        try:
            if anew:
                sqlite_cache.forget(self._path, NAMES)
            with self._open(make=True) as database:
                if anew:
                    database.executescript(TABLES)
                database.execute("DELETE FROM state")
                database.executemany("DELETE FROM asset WHERE asset_id = ?", ([asset_id] for asset_id in gone))
                write_assets(database, changed)
                database.execute("INSERT INTO state VALUES (?, ?, ?)", state)
                if anew:
                    # faster than to keep them up to date row by row
                    for index in filter(None, map(str.strip, INDEXES.split(";"))):
                        database.execute(index)
        except (sqlite3.Error, OSError) as error:
            with suppress(OSError):
                self._path.unlink()
            raise DiskError.of(self._path, error) from error

    @contextmanager
    def _open(self, *, make: bool = False) -> Iterator[sqlite3.Connection]:
        with sqlite_cache.opened(self._path, NAMES, make=make) as database, database:
            # the file need not survive a power cut: the next run reads again whatever is lost
            database.execute("PRAGMA synchronous = OFF")
            yield database
