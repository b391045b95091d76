"""What a mirror remembers of its verifications: when each Dandiset was verified, how, and where the next share begins.

The file can be deleted at any time; then the shares begin anew.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dandi_mirror.errors import IntegrityError
from dandi_mirror.files.own import OwnPath, own_path
from dandi_mirror.mirror.state import sqlite_cache

_NAMES = ("verified", "damaged")
_TABLES = """
CREATE TABLE IF NOT EXISTS verified (
    dandiset TEXT PRIMARY KEY, ended REAL NOT NULL, how TEXT NOT NULL, found INTEGER NOT NULL,
    exit_code INTEGER NOT NULL, urls REAL NOT NULL DEFAULT 0, content REAL NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS damaged (
    dandiset TEXT PRIMARY KEY, since REAL NOT NULL, how TEXT NOT NULL, found INTEGER NOT NULL);
"""


@dataclass(frozen=True, slots=True)
class Verification:
    """The last verification of a Dandiset."""

    ended: float
    """Seconds since 1970."""
    how: str
    """What was compared: ``archive``, ``urls``, ``content``, …, separated by blanks."""
    found: int = 0
    """Differences."""
    exit_code: int = 0
    urls: float = 0.0
    """Where the next share of URLs begins, from 0 to 1."""
    content: float = 0.0
    """The same for content."""


@dataclass(frozen=True, slots=True)
class Damage:
    """What a verification found damaged, and none has found whole since."""

    since: float
    """When it was found, in seconds since 1970."""
    how: str
    """How it was found, as in :class:`Verification`."""
    found: int
    """Differences of the last verification that found some."""


def covers(how: str, before: str) -> bool:
    """Whether a verification compares all that another one may have found: of URLs and content, all and not a share."""
    words = set(how.split())
    wanted = {word if ":" not in word else f"{word.partition(':')[0]}:1" for word in before.split()}
    return wanted <= words


class Verifications:
    """The file ``.dandi-mirror/verified.sqlite`` of a mirror."""

    def __init__(self, path: Path | OwnPath) -> None:
        self._path = own_path(path)

    def read(self) -> Mapping[str, Verification]:
        """The last verification of each Dandiset; nothing if the file is missing or cannot be read."""
        try:
            with sqlite_cache.opened(self._path, _NAMES) as database:
                rows = database.execute("SELECT dandiset, ended, how, found, exit_code, urls, content FROM verified")
                return {str(name): Verification(*values) for name, *values in rows}
        except (OSError, sqlite3.Error):
            return {}

    def put(self, dandiset: str, verification: Verification) -> None:
        """Remember a verification.

        Raises:
            DiskError: the file cannot be written.
        """
        values = (dandiset, verification.ended, verification.how, verification.found, verification.exit_code,
                  verification.urls, verification.content)  # fmt: skip

        def change(database: sqlite3.Connection) -> None:
            database.executescript(_TABLES)
            database.execute("INSERT OR REPLACE INTO verified VALUES (?, ?, ?, ?, ?, ?, ?)", values)
            _note_damage(database, dandiset, verification)

        sqlite_cache.write(self._path, _NAMES, change)

    def damaged(self) -> Mapping[str, Damage]:
        """The Dandisets that are damaged as far as verifications know; none if the file cannot be read."""
        try:
            with sqlite_cache.opened(self._path, _NAMES) as database:
                rows = database.execute("SELECT dandiset, since, how, found FROM damaged")
                return {str(name): Damage(*values) for name, *values in rows}
        except (OSError, sqlite3.Error):
            return {}


def _note_damage(database: sqlite3.Connection, dandiset: str, verification: Verification) -> None:
    row = database.execute("SELECT since, how, found FROM damaged WHERE dandiset = ?", [dandiset]).fetchone()
    before = Damage(*row) if row else None
    if verification.exit_code == IntegrityError.exit_code:
        since = before.since if before else verification.ended
        how = " ".join(sorted({*verification.how.split(), *(before.how.split() if before else ())}))
        values = (dandiset, since, how, verification.found)
        database.execute("INSERT OR REPLACE INTO damaged VALUES (?, ?, ?, ?)", values)
    elif before and covers(verification.how, before.how):
        database.execute("DELETE FROM damaged WHERE dandiset = ?", [dandiset])
