"""Remember the refs of a sibling after a push, so that a push with nothing to do makes no request.

The file is local and derived: if it is deleted, the next push asks the siblings again.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping

from dandi_mirror.config import Sibling
from dandi_mirror.files.own import OwnPath
from dandi_mirror.mirror.state import sqlite_cache

_TABLES = ("pushed",)


class SiblingNotes:
    """The notes on one sibling in ``.dandi-mirror/pushed.sqlite``; with another URL, a sibling has none."""

    def __init__(self, path: OwnPath, sibling: Sibling) -> None:
        self._path = path
        # for a sibling that is not private any more, the archive has never been asked
        self._sibling = json.dumps([sibling.name, sibling.url, sibling.private])

    def all(self) -> dict[str, dict[str, str]]:
        """Return Dandiset (empty: the superdataset) → ref → object id; nothing if the file cannot be read."""
        try:
            with sqlite_cache.opened(self._path, _TABLES) as database:
                rows = database.execute("SELECT part, refs FROM pushed WHERE sibling = ?", [self._sibling]).fetchall()
            return {part: dict(json.loads(refs)) for part, refs in rows}
        except (OSError, sqlite3.DatabaseError, ValueError, TypeError):
            return {}

    def put(self, part: str, refs: Mapping[str, str]) -> None:
        """Note the sibling's refs of one dataset.

        Raises:
            DiskError: the file cannot be written.
        """

        def change(database: sqlite3.Connection) -> None:
            database.execute(
                "CREATE TABLE IF NOT EXISTS pushed"
                " (sibling TEXT, part TEXT, refs TEXT NOT NULL, PRIMARY KEY (sibling, part))"
            )
            database.execute("INSERT OR REPLACE INTO pushed VALUES (?, ?, ?)", [self._sibling, part, json.dumps(refs)])

        sqlite_cache.write(self._path, _TABLES, change)
