"""What a mirror remembers between runs so that a run with nothing to do asks nothing of the datasets.

Local and derived: it can be deleted at any time, and the next run then looks at everything again.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from dandi_mirror.errors import DiskError
from dandi_mirror.model import DandisetRow, Finding, Kind, VersionRow, spell_time

_SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Remembered:
    """What the last complete sync of one Dandiset saw and left."""

    row: str
    """The archive's row then, as :func:`row_key` spells it."""
    versions: str
    """Which versions were asked for: ``all``, ``published``, ``latest``, ``draft``."""
    branch: str
    """What the branch held after it."""
    hosts: str
    """Where content URLs pointed to."""
    findings: tuple[Finding, ...]

    @property
    def unfinished(self) -> bool:
        """Whether something was left that another look may complete, though the archive moves no timestamp."""
        again = {Kind.PENDING, Kind.TEXT, Kind.HELD, Kind.WORKTREE}
        return any(finding.kind in again for finding in self.findings)


def row_key(row: DandisetRow) -> str:
    """Everything by which a Dandiset's row can differ, as one string."""
    return json.dumps([row.identifier, row.embargo_status, _version(row.draft), _version(row.published)])


def _version(row: VersionRow | None) -> list[object] | None:
    if row is None:
        return None
    times = [spell_time(row.created), spell_time(row.modified)]
    return [row.version, row.name, row.asset_count, row.size, row.status, *times]


class Index:
    """The file ``.dandi-mirror/index.sqlite`` of a mirror."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def get(self, dandiset: str) -> Remembered | None:
        """What is remembered of a Dandiset; None also when the file is missing or not ours."""
        if not self._path.exists():
            return None
        try:
            with self._open() as database:
                found = database.execute("SELECT facts FROM dandiset WHERE id = ?", [dandiset]).fetchone()
            return _remembered(found[0]) if found else None
        except (sqlite3.DatabaseError, ValueError, TypeError, KeyError):
            return None

    def put(self, dandiset: str, facts: Remembered) -> None:
        """Remember a Dandiset.

        Raises:
            DiskError: the file cannot be written.
        """
        try:
            self._write(dandiset, facts)
        except sqlite3.OperationalError as error:
            raise DiskError(f"{self._path}: {error}") from error
        except sqlite3.DatabaseError:
            # spoilt or of another release: it is only a memory, so start a new one
            try:
                self._path.unlink(missing_ok=True)
                self._write(dandiset, facts)
            except (sqlite3.Error, OSError) as error:
                raise DiskError(f"{self._path}: {error}") from error

    def _write(self, dandiset: str, facts: Remembered) -> None:
        with self._open() as database:
            database.execute("CREATE TABLE IF NOT EXISTS dandiset (id TEXT PRIMARY KEY, facts TEXT NOT NULL)")
            database.execute(f"PRAGMA user_version = {_SCHEMA}")
            database.execute("INSERT OR REPLACE INTO dandiset VALUES (?, ?)", [dandiset, json.dumps(asdict(facts))])

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self._path, timeout=30)) as database, database:
            yield database


def _remembered(text: str) -> Remembered:
    facts = json.loads(text)
    findings = tuple(Finding(**finding | {"kind": Kind(finding["kind"])}) for finding in facts.pop("findings"))
    return Remembered(**facts, findings=findings)
