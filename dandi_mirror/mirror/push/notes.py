"""What a sibling held when it was last pushed to and looked at, so that a push with nothing to do asks nobody.

Local and derived: it can be deleted at any time, and the next push then asks the siblings.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping

from dandi_mirror.config import Sibling
from dandi_mirror.files.own import OwnPath
from dandi_mirror.mirror.state import sqlite_cache

_TABLES = ("pushed",)


class Notes:
    """The notes on one sibling in ``.dandi-mirror/pushed.sqlite``; none on what it was under another URL."""

    def __init__(self, path: OwnPath, sibling: Sibling) -> None:
        self._path = path
        # one that is private no more has never been asked about
        self._sibling = json.dumps([sibling.name, sibling.url, sibling.private])

    def all(self) -> dict[str, dict[str, str]]:
        """Dandiset (empty: the superdataset) → ref → object id; empty also when the file is missing or not ours."""
        try:
            with sqlite_cache.opened(self._path, _TABLES) as database:
                rows = database.execute("SELECT part, refs FROM pushed WHERE sibling = ?", [self._sibling]).fetchall()
            return {part: dict(json.loads(refs)) for part, refs in rows}
        except (OSError, sqlite3.DatabaseError, ValueError, TypeError):
            return {}

    def put(self, part: str, refs: Mapping[str, str]) -> None:
        """Note what the sibling holds of one part.

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
