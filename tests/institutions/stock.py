"""What stock git-annex says about a mirror."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.conftest import run
from tests.institutions.disks import Unit, repositories

WITHOUT_ARCHIVE = "--untrust=web"
"""The archive is no copy: git-annex then counts only mirrors."""


def annex(git_dir: Path, *arguments: str, code: int | None = 0) -> str:
    """What git-annex prints in a repository."""
    folder = git_dir.parent if git_dir.name == ".git" else git_dir
    return run("git", "-C", str(folder), "annex", *arguments, code=code).stdout


def uuids(mirror: Path) -> dict[str, str]:
    """The UUID of each repository of a mirror, by its name."""
    return {
        name: run("git", "-C", str(git_dir), "config", "annex.uuid", code=None).stdout.strip()
        for name, git_dir in repositories(mirror).items()
    }


def whereis(mirror: Path) -> dict[str, dict[str, frozenset[str]]]:
    """By repository and key: the UUIDs that have it."""
    return {
        name: {
            one["key"]: frozenset(place["uuid"] for place in one["whereis"])
            for one in _records(annex(git_dir, "whereis", "--all", "--json", code=None))
        }
        for name, git_dir in repositories(mirror).items()
    }


def set_numcopies(mirror: Path, least: int) -> None:
    """Type ``git annex numcopies`` in each repository of a mirror."""
    for git_dir in repositories(mirror).values():
        annex(git_dir, "numcopies", str(least))


def too_few(mirror: Path) -> frozenset[Unit]:
    """The content of which ``git annex fsck`` finds fewer copies than numcopies, without the archive."""
    found = set()
    for name, git_dir in repositories(mirror).items():
        said = annex(git_dir, "fsck", "--all", "--json", "--json-error-messages", WITHOUT_ARCHIVE, code=None)
        found |= {(name, one["key"]) for one in _records(said) if not one["success"]}
    return frozenset(found)


def dropped(mirror: Path, unit: Unit) -> bool:
    """Whether ``git annex drop`` lets content go, without the archive."""
    name, key = unit
    said = annex(repositories(mirror)[name], "drop", f"--key={key}", "--json", WITHOUT_ARCHIVE, code=None)
    (record,) = _records(said)
    return bool(record["success"])


def _records(text: str) -> Iterator[dict[str, Any]]:
    return (json.loads(line) for line in text.splitlines())
