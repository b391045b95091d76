"""The log of past runs: a file a run in ``.dandi-mirror/log``, JSON Lines, outside every dataset.

A run with the same result as the one before gets no file of its own; a counter beside the earlier file grows instead.
So neither a cron job that runs every few minutes nor an archive that is down for a week pushes older results out of
the rotation.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from dandi_mirror.errors import DiskError
from dandi_mirror.files.own import OwnPath, own_path
from dandi_mirror.model import spell_time

Facts = dict[str, Any]
"""A JSON record."""

_TYPES: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("action", "began", "dandiset", "last", "message", "mode", "said", "status", "versions"), (str,)),
    **dict.fromkeys(("content", "error", "exit_code", "impossible", "notneeded", "ok", "received"), (int,)),
    **dict.fromkeys(("requests", "runs"), (int,)),
    "asked": (str, list),
    "seconds": (int, float),
}
"""The types of the facts that a run counts, compares or shows."""
_TOO_LARGE = 1 << 63


class RunLog:
    """Writes the log of one run."""

    def __init__(self, folder: Path | OwnPath, keep: int, first: Mapping[str, object]) -> None:
        """Keep at most ``keep`` files after the run; ``first`` says what the run was asked for."""
        began = datetime.now(UTC)
        self._folder, self._keep = own_path(folder), keep
        self.path = self._folder / f"{began:%Y%m%dT%H%M%S.%f}Z-{os.getpid()}.jsonl"
        who = {"began": spell_time(began), "pid": os.getpid(), "host": socket.gethostname()}
        self._waiting: list[Mapping[str, object]] = [{"action": "run", **who, **first}]
        self._standing: list[object] = []
        self._changed = False

    def add(self, record: Facts, *, news: bool) -> None:
        """Add the record of one Dandiset; ``news`` says that it has more than the run before reported.

        From the first news on, each record is written at once, so that a killed run leaves a log.

        Raises:
            DiskError: the file cannot be written.
        """
        if record["exit_code"]:
            found = sorted({(finding["version"], finding["kind"], finding["path"]) for finding in record["findings"]})
            self._standing.append([record["dandiset"], record["exit_code"], found])
        if news or record["exit_code"]:
            self._waiting.append(record)
        self._changed = self._changed or record["status"] == "ok"
        if news or self.path.exists():
            self._write()

    def end(self, summary: Facts, *, failed: bool = False) -> None:
        """Write how the run ended, or count it as one more like the last; ``failed`` says that the whole run failed.

        Raises:
            DiskError: a file cannot be written.
        """
        if failed:
            self._standing.append(["", summary["exit_code"], []])
        result = sha256(json.dumps(sorted(self._standing, key=repr)).encode()).hexdigest()
        before = next((run for run in past_runs(self._folder) if run.path != self.path), None)
        try:
            if not self._changed and before and before.end and before.end.get("said") == result:
                self.path.unlink()
                again = {"runs": before.again + 1, "last": summary["ended"], "seconds": summary["seconds"]}
                _again(before.path).replace(json.dumps(again).encode())
                return
            self._waiting.append({**summary, "said": result})
            self._write()
            for old in self._folder.names(".jsonl")[::-1][self._keep :]:
                _again(self._folder / old).unlink()
                (self._folder / old).unlink()
        except OSError as error:
            raise DiskError.of(self._folder, error) from error

    def _write(self) -> None:
        try:
            lines = (json.dumps(record, ensure_ascii=True) + "\n" for record in self._waiting)
            self.path.append("".join(lines).encode())
        except OSError as error:
            raise DiskError.of(self.path, error) from error
        self._waiting.clear()


@dataclass(frozen=True, slots=True)
class PastRun:
    """A run that left a log."""

    path: OwnPath
    first: Facts
    """What the run was asked for, when it began, and its process."""
    records: list[Facts] = field(default_factory=list)
    """The records of the Dandisets that had something to report."""
    end: Facts | None = None
    """How it ended; None if it is still running, or was killed."""
    again: int = 0
    """Number of later runs with the same result."""
    last: str = ""
    """When the last of these ended."""

    @property
    def name(self) -> str:
        """The name by which ``dandi-mirror runs`` shows it."""
        return self.path.name.removesuffix(".jsonl")


def past_runs(folder: Path | OwnPath) -> Iterator[PastRun]:
    """Yield the runs that left a log, the latest first."""
    folder = own_path(folder)
    for name in reversed(folder.names(".jsonl")):
        if run := read_run(folder / name):
            yield run


def read_run(path: OwnPath) -> PastRun | None:
    """Read a run's log; None if the file is missing or is not a log."""
    try:
        lines = [_record(line) for line in path.read().decode().splitlines()]
    except (OSError, DiskError, ValueError):
        return None
    # the last line of a killed run may be incomplete
    records = [line for line in lines if line]
    if not records or records[0].get("action") != "run":
        return None
    end = records[-1] if records[-1].get("action") == "summary" else None
    again = _read_again(path)
    return PastRun(path, records[0], records[1 : -1 if end else None], end, again.get("runs", 0), again.get("last", ""))


def _record(line: str) -> Facts | None:
    """What a line says, without facts of another type than those that are shown have; None if it says nothing.

    The mirror, and so its logs, may be somebody else's.
    """
    try:
        found = json.loads(line, parse_int=_number)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None
    return {name: value for name, value in found.items() if isinstance(value, _TYPES.get(name, object))}


def _number(digits: str) -> int:
    number = int(digits)
    if not -_TOO_LARGE < number < _TOO_LARGE:
        raise ValueError(f"{digits[:20]}… is not a number of a log")
    return number


def _read_again(path: OwnPath) -> Facts:
    try:
        return _record(_again(path).read().decode()) or {}
    except (OSError, DiskError, ValueError):
        return {}


def _again(path: OwnPath) -> OwnPath:
    return path.beside(path.name.removesuffix(".jsonl") + ".again")
