"""What a dataset itself has of its last complete sync, in a file beside git's own; a lost index is made of these."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import orjson

from dandi_mirror.errors import DiskError
from dandi_mirror.mirror.state.index import SCHEMA, Remembered
from dandi_mirror.model import Finding, Kind
from dandi_mirror.own import own_path

NAME = "dandi-mirror-sync.json"
_KEPT = ("row", "versions", "branch", "hosts", "verified")


def write(git_dir: Path, facts: Remembered) -> None:
    """Leave it in a repository; if a power cut spoils the file, it is as good as none.

    Raises:
        DiskError: the file cannot be written.
    """
    kept = {name: getattr(facts, name) for name in _KEPT}
    content = json.dumps({"schema": SCHEMA, **kept, "findings": [asdict(finding) for finding in facts.findings]})
    try:
        own_path(git_dir / NAME).replace(content.encode(), to_disk=False)
    except OSError as error:
        raise DiskError(f"{git_dir / NAME}: {error.strerror}") from error


def forget(git_dir: Path, dandiset: str) -> None:
    """Let the next run look at the dataset anew, should the index be lost: its last sync failed."""
    if read(git_dir, dandiset):
        with suppress(OSError):
            own_path(git_dir / NAME).unlink()


def read(git_dir: Path, dandiset: str) -> Remembered | None:
    """What was left; None if nothing was, of another Dandiset, or not by a release that keeps the same."""
    try:
        facts = orjson.loads(own_path(git_dir / NAME).read())
        if facts["schema"] != SCHEMA or (facts["row"] and orjson.loads(facts["row"])["identifier"] != dandiset):
            return None
        findings = tuple(Finding(**found | {"kind": Kind(found["kind"])}) for found in facts["findings"])
        return Remembered(findings=findings, **{name: facts[name] for name in _KEPT})
    except (OSError, DiskError, ValueError, KeyError, TypeError):
        return None
