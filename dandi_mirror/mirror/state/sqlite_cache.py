"""Open and write SQLite files that can be made again at any time, and replace them when they are spoilt.

An ``application_id`` marks each as this program's.  A file with other tables is refused and stays as it is.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Collection, Iterator
from contextlib import closing, contextmanager, suppress

from dandi_mirror.errors import DiskError
from dandi_mirror.files.not_ours import NotOurs
from dandi_mirror.files.own import OwnPath
from dandi_mirror.text import quoted

APPLICATION_ID = 0x444D6972  # "DMir"
Write = Callable[[sqlite3.Connection], None]


@contextmanager
def opened(
    path: OwnPath, tables: Collection[str], *, make: bool = False, **how: object
) -> Iterator[sqlite3.Connection]:
    """Open the file for reading; with ``make``, also for writing, and make it if it does not exist.

    ``tables`` are the tables of this and other releases: a file without the mark is ours if it has no others.

    Raises:
        NotOurs: the file is a link, or a database of another program.
        sqlite3.Error, OSError: it cannot be opened.
    """
    if make:
        _make(path)
    for ending in ("-journal", "-wal", "-shm", ""):
        path.beside(path.name + ending).check()
    # for reading too: a run that was killed may have left something to be rolled back
    where = f"{path.path.absolute().as_uri()}?mode=rw"
    with closing(sqlite3.connect(where, uri=True, timeout=30, **how)) as database:  # type: ignore[call-overload]
        _check_ours(path, database, tables, mark=make)
        yield database


def write(path: OwnPath, tables: Collection[str], change: Write) -> None:
    """Change the file in one transaction; if it is spoilt, set it aside and make the change in a new one.

    Raises:
        DiskError: the file cannot be written, or is not ours.
    """
    try:
        try:
            _write(path, tables, change)
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError:
            path.set_aside()
            _write(path, tables, change)
    except (sqlite3.Error, OSError) as error:
        raise DiskError.of(path, error) from error


def forget(path: OwnPath, tables: Collection[str]) -> None:
    """Remove the file, so that it can be made again; if it is spoilt, keep a copy under another name.

    Raises:
        NotOurs: it is not ours to remove.
        OSError: it cannot be removed.
    """
    try:
        if path.check():
            with opened(path, tables):
                pass
    except sqlite3.DatabaseError:
        path.set_aside()
    path.unlink()


def _write(path: OwnPath, tables: Collection[str], change: Write) -> None:
    with opened(path, tables, make=True) as database, database:
        change(database)


def _make(path: OwnPath) -> None:
    if path.check():
        return
    with suppress(FileExistsError):
        # SQLite would make it for nobody else to write, whatever umask and folder say
        os.close(path.open(os.O_RDWR | os.O_CREAT | os.O_EXCL))


def _check_ours(path: OwnPath, database: sqlite3.Connection, tables: Collection[str], *, mark: bool) -> None:
    (application,) = database.execute("PRAGMA application_id").fetchone()
    if application == APPLICATION_ID:
        return
    names = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")]
    strange = [name for name in names if not name.startswith("sqlite_") and name not in tables]
    if strange or application:
        raise NotOurs(
            f"{path} is a database of something else{f' (it has a table {strange[0]!a})' if strange else ''}, and"
            f" dandi-mirror keeps one of its own there; move it away: mv {quoted(path)} {quoted(f'{path}.away')}"
        )
    if mark:
        database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
