"""The search index of a mirror: every asset record of every version, in one SQLite file with full-text search.

The index is local and derived from the datasets' git.  It is updated where refs have changed, and made again if it is
missing, damaged or from another release.  A file of records that several versions share is read only once.
"""

from __future__ import annotations

import shlex
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256

from dandi_mirror.errors import DiskError, MirrorError
from dandi_mirror.files.own import OwnPath
from dandi_mirror.mirror.search import blobs
from dandi_mirror.mirror.search.columns import ABOUT, FIELDS
from dandi_mirror.mirror.state import sqlite_cache
from dandi_mirror.mirror.state.layout import Mirror
from dandi_mirror.model import is_version_id
from dandi_mirror.repo.git import history

SCHEMA = 3
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
    "CREATE TABLE zarr (version INT, path TEXT, id TEXT, checksum TEXT)",
    "CREATE INDEX zarr_of ON zarr (version)",
    f"CREATE VIRTUAL TABLE words USING fts5(path, {', '.join(FIELDS)}, content='',"
    " tokenize='unicode61 remove_diacritics 2')",
    f"CREATE VIRTUAL TABLE about USING fts5({', '.join(ABOUT)}, tokenize='unicode61 remove_diacritics 2')",
    *blobs.TABLES,
    f"PRAGMA user_version = {SCHEMA}",
)
_SHADOWS = ("data", "idx", "content", "docsize", "config")
_NAMES = (
    *("dandiset", "version", "part", "holds", "member", "facts", "asset", "zarr", "words", "about"),
    *blobs.NAMES,
    *(f"{name}_{part}" for name in ("words", "about") for part in _SHADOWS),
)
Tell = Callable[[str, str], None]
"""Called with a Dandiset and what is being done with it."""


@dataclass(frozen=True, slots=True)
class Freshness:
    """The result of updating the index."""

    updated: list[str] = field(default_factory=list)
    """Dandisets that had changed and were indexed again."""
    stale: list[str] = field(default_factory=list)
    """Dandisets that changed, but are in the index as before: the index cannot be written, or they cannot be read."""
    why: str = ""
    """Why some are stale."""


def path_of(mirror: Mirror) -> OwnPath:
    """Return the path of the index."""
    return mirror.own / "search.sqlite"


@contextmanager
def opened(path: OwnPath) -> Iterator[sqlite3.Connection]:
    """Open the index for reading, without updating it.

    Raises:
        MirrorError: the SQLite of this Python has no full-text search.
        DiskError: the index cannot be opened.
    """
    try:
        with sqlite_cache.opened(path, _NAMES) as database:
            yield database
    except (sqlite3.OperationalError, OSError) as error:
        raise _named(path, error) from error


def update_index(mirror: Mirror, tell: Tell) -> Freshness:
    """Update the index; each changed Dandiset in a transaction of its own.

    Raises:
        DiskError: there is no index, and it cannot be made.
    """
    path = path_of(mirror)
    try:
        return _update(mirror, path, tell)
    except (sqlite3.OperationalError, OSError) as error:
        failure = _named(path, error)
        stale = _stale(mirror, path) if isinstance(failure, DiskError) else None
        if stale is None and not path.exists() and isinstance(failure, DiskError):
            command = shlex.join(["dandi-mirror", "search", "-d", str(mirror.path)])
            raise DiskError(f"there is no search index yet, and it cannot be made here: {failure}; "
                            f"whoever may write there makes it: {command}") from error  # fmt: skip
        if stale is None:
            raise failure from error
        return Freshness(stale=stale, why=str(failure))
    except sqlite3.DatabaseError:
        try:
            path.set_aside()
            return _update(mirror, path, tell)
        except (sqlite3.Error, OSError) as error:
            raise DiskError.of(path, error) from error


def _named(path: OwnPath, error: Exception) -> MirrorError:
    """Return an error of SQLite or the system as one of ours."""
    if "no such module" in str(error):
        return MirrorError(f"the SQLite of this Python has no FTS5 ({error}); use a Python whose SQLite has it")
    return DiskError.of(path, error)


def _stale(mirror: Mirror, path: OwnPath) -> list[str] | None:
    """Return the Dandisets that changed since the index was written; None if it cannot be read either."""
    try:
        with opened(path) as database:
            if not _is_ours(database):
                return None
            known = dict(database.execute("SELECT id, refs FROM dandiset").fetchall())
    except (sqlite3.Error, OSError, MirrorError):
        return None
    now = _refs(mirror)
    return sorted(name for name in now.keys() | known.keys() if now.get(name) != known.get(name))


def _update(mirror: Mirror, path: OwnPath, tell: Tell) -> Freshness:
    now = _refs(mirror)
    mirror.make_own()
    with sqlite_cache.opened(path, _NAMES, make=True, isolation_level=None) as database:
        # it need not survive a power cut: a damaged index is simply made again
        database.execute("PRAGMA synchronous = OFF")
        if not _is_ours(database):
            _make(database)
        known = dict(database.execute("SELECT id, refs FROM dandiset").fetchall())
        changed = sorted(name for name in now.keys() | known.keys() if now.get(name) != known.get(name))
        failed = {dandiset: why for dandiset in changed if (why := _read(database, mirror, dandiset, now, tell))}
        if len(changed) > len(known) // 2:
            database.execute("INSERT INTO words (words) VALUES ('optimize')")
    updated = [dandiset for dandiset in changed if dandiset not in failed]
    return Freshness(updated, list(failed), next(iter(failed.values()), ""))


def _read(database: sqlite3.Connection, mirror: Mirror, dandiset: str, now: Mapping[str, str], tell: Tell) -> str:
    """Bring one Dandiset's rows up to date; return why that failed, or nothing."""
    # imported late: most questions find nothing that has changed
    from dandi_mirror.mirror.search.index_rows import DandisetRows

    tell(dandiset, "updating the search index")
    try:
        with _transaction(database):
            rows = DandisetRows(database, mirror.dataset(dandiset), dandiset)
            if dandiset in now:
                rows.update(now[dandiset])
            else:
                rows.forget()
    except (MirrorError, ValueError, KeyError, TypeError) as error:
        # one damaged repository does not keep the others out of the index
        return str(error) if isinstance(error, MirrorError) else "its records cannot be read"
    return ""


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
            return  # another process has made it meanwhile
        names = database.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND sql IS NOT NULL").fetchall()
        for (name,) in sorted(names, key=lambda row: row[0] not in {"words", "about"}):
            if database.execute("SELECT 1 FROM sqlite_master WHERE name = ?", [name]).fetchone():
                database.execute(f'DROP TABLE "{name}"')
        for statement in _TABLES:
            database.execute(statement)


def _refs(mirror: Mirror) -> dict[str, str]:
    """Return a digest of each Dandiset's branch and version tags; starts no git."""
    found = {}
    for dandiset in mirror.dandisets():
        # a dataset that is not this mirror's own counts as changed, and reading it reports why
        refs = {} if mirror.is_strange(dandiset) else mirror.dataset(dandiset).refs_in_files()
        ours = {ref: oid for ref, oid in refs.items() if ref in history.BRANCHES or is_version_id(ref[10:])}
        found[dandiset] = sha256(repr(sorted(ours.items())).encode()).hexdigest()
    return found
