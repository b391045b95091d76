"""What each dataset keeps of its last complete sync, in a file in its ``.git``; a lost index is made from these."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import orjson

from dandi_mirror.errors import DiskError
from dandi_mirror.files.own import own_path
from dandi_mirror.mirror.state.index import SCHEMA
from dandi_mirror.mirror.state.remembered import STORED_ENTRY, RememberedDandiset, remembered_of

NAME = "dandi-mirror-sync.json"
_KEPT = ("versions", "branch", "hosts", "verified", "content_hosts", "zarrs", "zarr_totals")
_FIELDS = (STORED_ENTRY, *_KEPT, "findings")
_NEW = {"zarrs": "", "zarr_totals": ""}
"""What the release before did not keep: it mirrored no Zarrs."""
_READABLE = (SCHEMA, 4, 3)


def write(git_dir: Path, facts: RememberedDandiset) -> None:
    """Write the file of a dataset; if a power cut spoils it, the next run does without.

    Raises:
        DiskError: the file cannot be written.
    """
    kept = {STORED_ENTRY: facts.entry} | {name: getattr(facts, name) for name in _KEPT}
    content = json.dumps({"schema": SCHEMA, **kept, "findings": [asdict(finding) for finding in facts.findings]})
    try:
        own_path(git_dir / NAME).replace(content.encode(), to_disk=False)
    except OSError as error:
        raise DiskError.of(git_dir / NAME, error) from error


def forget(git_dir: Path, dandiset: str) -> None:
    """Remove the file, because the last sync failed: should the index be lost, the next run reads the Dandiset."""
    if read(git_dir, dandiset):
        with suppress(OSError):
            own_path(git_dir / NAME).unlink()


def read(git_dir: Path, dandiset: str) -> RememberedDandiset | None:
    """What the file says; None if it is missing, spoilt, of another Dandiset or of a release with another schema."""
    try:
        facts = orjson.loads(own_path(git_dir / NAME).read())
    except (OSError, DiskError, ValueError):
        return None
    if not isinstance(facts, dict) or facts.get("schema") not in _READABLE:
        return None
    facts = (_NEW if facts["schema"] != SCHEMA else {}) | facts
    if not facts.keys() >= {*_FIELDS}:
        return None
    return remembered_of(dandiset, {name: facts[name] for name in _FIELDS})
