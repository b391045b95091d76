"""What a dataset itself has of its last complete sync, in a file beside git's own; a lost index is made of these."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import orjson

from dandi_mirror.errors import DiskError
from dandi_mirror.mirror.index import SCHEMA, Remembered
from dandi_mirror.model import Finding, Kind

NAME = "dandi-mirror-sync.json"
_KEPT = ("row", "versions", "branch", "hosts", "verified")


def write(git_dir: Path, facts: Remembered) -> None:
    """Leave it in a repository; if a power cut spoils the file, it is as good as none.

    Raises:
        DiskError: the file cannot be written.
    """
    kept = {name: getattr(facts, name) for name in _KEPT}
    content = json.dumps({"schema": SCHEMA, **kept, "findings": [asdict(finding) for finding in facts.findings]})
    temporary = git_dir / f"{NAME}.new"
    try:
        temporary.write_text(content)
        temporary.replace(git_dir / NAME)
    except OSError as error:
        raise DiskError(f"{git_dir / NAME}: {error.strerror}") from error


def forget(git_dir: Path) -> None:
    """Let the next run look at the dataset anew, should the index be lost: its last sync failed."""
    with suppress(OSError):
        (git_dir / NAME).unlink()


def read(git_dir: Path) -> Remembered | None:
    """What was left; None if nothing was, or not by a release that keeps the same."""
    try:
        facts = orjson.loads((git_dir / NAME).read_bytes())
        if facts["schema"] != SCHEMA:
            return None
        findings = tuple(Finding(**found | {"kind": Kind(found["kind"])}) for found in facts["findings"])
        return Remembered(findings=findings, **{name: facts[name] for name in _KEPT})
    except (OSError, ValueError, KeyError, TypeError):
        return None
