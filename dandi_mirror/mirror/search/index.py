"""The search index of a mirror: every asset record of every version, in one SQLite file with full text.

Local and derived: made from the datasets' git, brought up to date by comparing refs, and made anew when it is missing,
spoilt or another release's.  A file of records that versions share is read once, and so is an asset.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256

from dandi_mirror.errors import DiskError, MirrorError
from dandi_mirror.files.own import OwnPath
from dandi_mirror.mirror.search.index_rows import ABOUT, FIELDS, Rows
from dandi_mirror.mirror.state import sqlite_cache
from dandi_mirror.mirror.state.layout import Mirror
from dandi_mirror.model import is_version_id
from dandi_mirror.repo.git import history

SCHEMA = 1
_TABLES = (
    "CREATE TABLE dandiset (number INTEGER PRIMARY KEY, id TEXT UNIQUE, refs TEXT, name TEXT, created TEXT,"
    " modified TEXT, published TEXT)",
    "CREATE TABLE version (number INTEGER PRIMARY KEY, dandiset INT, name TEXT, oid TEXT, seconds INT)",
    "CREATE TABLE part (number INTEGER PRIMARY KEY, dandiset INT, oid TEXT, UNIQUE (dandiset, oid))",
    "CREATE TABLE holds (version INT, part INT, PRIMARY KEY (version, part)) WITHOUT ROWID",
    "CREATE INDEX held ON holds (part)",
    "CREATE TABLE member (part INT, asset INT, PRIMARY KEY (part, asset)) WITHOUT ROWID",
    "CREATE INDEX membership ON member (asset)",
    "CREATE TABLE facts (number INTEGER PRIMARY KEY, text TEXT UNIQUE)",
    "CREATE TABLE asset (number INTEGER PRIMARY KEY, dandiset INT, path TEXT, id BLOB, sha256 BLOB, size INT,"
    " type TEXT, facts INT, current INT DEFAULT 0)",
    "CREATE INDEX asset_of ON asset (dandiset)",
    "CREATE INDEX asset_id ON asset (id)",
    "CREATE INDEX asset_sha256 ON asset (sha256)",
    f"CREATE VIRTUAL TABLE words USING fts5(path, {', '.join(FIELDS)}, content='',"
    " tokenize='unicode61 remove_diacritics 2')",
    f"CREATE VIRTUAL TABLE about USING fts5({', '.join(ABOUT)}, tokenize='unicode61 remove_diacritics 2')",
    f"PRAGMA user_version = {SCHEMA}",
)
_SHADOWS = ("data", "idx", "content", "docsize", "config")
_NAMES = (
    *("dandiset", "version", "part", "holds", "member", "facts", "asset", "words", "about"),
    *(f"{name}_{part}" for name in ("words", "about") for part in _SHADOWS),
)
Tell = Callable[[str, str], None]
"""Called with a Dandiset and what is done with it."""


@dataclass(frozen=True, slots=True)
class Freshness:
    """What bringing the index up to date came to."""

    brought: list[str] = field(default_factory=list)
    """Dandisets that had moved."""
    stale: list[str] = field(default_factory=list)
    """Dandisets that have moved and are in the index as they were: it cannot be written, or they cannot be read."""
    why: str = ""


def path_of(mirror: Mirror) -> OwnPath:
    """Where the index is."""
    return mirror.own / "search.sqlite"


@contextmanager
def opened(path: OwnPath) -> Iterator[sqlite3.Connection]:
    """The index as it is, to be read.

    Raises:
        MirrorError: this Python's SQLite has no full text.
    """
    try:
        with sqlite_cache.opened(path, _NAMES) as database:
            yield database
    except (sqlite3.OperationalError, OSError) as error:
        raise _named(path, error) from error


def bring_up(mirror: Mirror, tell: Tell) -> Freshness:
    """Bring the index up to date; each Dandiset that has moved in a transaction of its own.

    Raises:
        DiskError: there is none, and none can be made.
    """
    path = path_of(mirror)
    try:
        return _bring_up(mirror, path, tell)
    except (sqlite3.OperationalError, OSError) as error:
        failure = _named(path, error)
        stale = _stale(mirror, path) if isinstance(failure, DiskError) else None
        if stale is None:
            raise failure from error
        return Freshness(stale=stale, why=str(failure))
    except sqlite3.DatabaseError:
        try:
            path.set_aside()
            return _bring_up(mirror, path, tell)
        except (sqlite3.Error, OSError) as error:
            raise DiskError.of(path, error) from error


def _named(path: OwnPath, error: Exception) -> MirrorError:
    if "no such module" in str(error):
        return MirrorError(f"the SQLite of this Python has no FTS5 ({error}); use a Python that is built with it")
    return DiskError.of(path, error)


def _stale(mirror: Mirror, path: OwnPath) -> list[str] | None:
    """Which Dandisets have moved since the index was written; None if it cannot be read either."""
    try:
        with opened(path) as database:
            if not _is_ours(database):
                return None
            known = dict(database.execute("SELECT id, refs FROM dandiset").fetchall())
    except (sqlite3.Error, OSError, MirrorError):
        return None
    now = _refs(mirror)
    return sorted(name for name in now.keys() | known.keys() if now.get(name) != known.get(name))


def _bring_up(mirror: Mirror, path: OwnPath, tell: Tell) -> Freshness:
    now = _refs(mirror)
    mirror.make_own()
    with sqlite_cache.opened(path, _NAMES, make=True, isolation_level=None) as database:
        # it need not survive a power cut: what is lost or spoilt of it is only made again
        database.execute("PRAGMA synchronous = OFF")
        if not _is_ours(database):
            _make(database)
        known = dict(database.execute("SELECT id, refs FROM dandiset").fetchall())
        moved = sorted(name for name in now.keys() | known.keys() if now.get(name) != known.get(name))
        failed: dict[str, str] = {}
        for dandiset in moved:
            tell(dandiset, "to the search index")
            try:
                with _transaction(database):
                    rows = Rows(database, mirror.dataset(dandiset), dandiset)
                    if dandiset in now:
                        rows.bring_up(now[dandiset])
                    else:
                        rows.forget()
            except (MirrorError, ValueError, KeyError, TypeError) as error:
                # a repository that is broken, or records that a person has changed, keep nobody from the others
                failed[dandiset] = str(error) if isinstance(error, MirrorError) else "its records cannot be read"
        if len(moved) > len(known) // 2:
            database.execute("INSERT INTO words (words) VALUES ('optimize')")
    brought = [dandiset for dandiset in moved if dandiset not in failed]
    return Freshness(brought, list(failed), next(iter(failed.values()), ""))


def _is_ours(database: sqlite3.Connection) -> bool:
    return bool(database.execute("PRAGMA user_version").fetchone() == (SCHEMA,))


@contextmanager
def _transaction(database: sqlite3.Connection) -> Iterator[None]:
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        database.execute("ROLLBACK")
        raise
    database.execute("COMMIT")


def _make(database: sqlite3.Connection) -> None:
    with _transaction(database):
        if _is_ours(database):
            return  # another process was quicker
        names = database.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND sql IS NOT NULL").fetchall()
        for (name,) in sorted(names, key=lambda row: row[0] not in {"words", "about"}):
            if database.execute("SELECT 1 FROM sqlite_master WHERE name = ?", [name]).fetchone():
                database.execute(f'DROP TABLE "{name}"')
        for statement in _TABLES:
            database.execute(statement)


def _refs(mirror: Mirror) -> dict[str, str]:
    """Of each Dandiset, what its branch and its versions' tags hold, as one string; starts no git."""
    found = {}
    for dandiset in mirror.dandisets():
        # one that stands elsewhere counts as moved, and is named when it is to be read
        refs = {} if mirror.is_strange(dandiset) else mirror.dataset(dandiset).refs_in_files()
        ours = {ref: oid for ref, oid in refs.items() if ref in history.BRANCHES or is_version_id(ref[10:])}
        found[dandiset] = sha256(repr(sorted(ours.items())).encode()).hexdigest()
    return found
