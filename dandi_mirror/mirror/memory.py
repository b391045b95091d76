"""SQLite files that are only a memory: local, derived, and made anew when they are spoilt."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from dandi_mirror.errors import DiskError

Write = Callable[[sqlite3.Connection], None]


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """The file, in one transaction; waits for others that write to it."""
    with closing(sqlite3.connect(path, timeout=30)) as database, database:
        yield database


def write(path: Path, change: Write) -> None:
    """Change the file in one transaction; a spoilt one is replaced by a new one that has the change.

    Raises:
        DiskError: it cannot be written.
    """
    try:
        with opened(path) as database:
            change(database)
    except sqlite3.OperationalError as error:
        raise DiskError.of(path, error) from error
    except sqlite3.DatabaseError:
        try:
            path.unlink(missing_ok=True)
            with opened(path) as database:
                change(database)
        except (sqlite3.Error, OSError) as error:
            raise DiskError.of(path, error) from error
