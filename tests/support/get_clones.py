"""Clones for the tests of get, and what came."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from tests.conftest import MirrorOfTest, run

SIZE = 1000


def subject(identifier: str, species: str, sex: str) -> dict[str, Any]:
    return {
        "encodingFormat": "application/x-nwb",
        "wasAttributedTo": [{
            "schemaKey": "Participant", "identifier": identifier,
            "species": {"schemaKey": "SpeciesType", "name": species}, "sex": {"schemaKey": "SexType", "name": sex},
        }],
    }  # fmt: skip


def clone_of(mirror: MirrorOfTest, path: Path, *, offline: bool = True) -> Path:
    """A clone of the mirror's dataset; ``offline`` from the mirror's own content."""
    mirror.git_clone(path)
    run("git", "annex", "init", "-q", "clone", cwd=path)
    return path


def came(records: list[dict[str, Any]], top: Path) -> list[str]:
    done = [record for record in records if record.get("action") == "get" and record["status"] == "ok"]
    return sorted(os.path.relpath(record["path"], top) for record in done)


def here(folder: Path) -> list[str]:
    return run("git", "annex", "find", "--in=here", cwd=folder).stdout.splitlines()


def asked(mirror: MirrorOfTest) -> list[str]:
    """Paths of the requests for content."""
    return [
        request.path for request in mirror.server.requests if "/blobs/" in request.path or "/assets/" in request.path
    ]
