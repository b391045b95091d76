"""Looking at the repository of a Zarr with git."""

from __future__ import annotations

from pathlib import Path

from tests.conftest import run


def git(folder: Path, *arguments: str) -> str:
    """What git says."""
    return run("git", "-C", str(folder), *arguments).stdout.strip()


def check(repository: Path) -> None:
    """git has no complaint about any object, and no object is left over."""
    assert run("git", "-C", str(repository), "fsck", "--strict", "--no-dangling").stdout == ""


def refs(repository: Path) -> dict[str, str]:
    lines = git(repository, "for-each-ref", "--format=%(refname) %(objectname)").splitlines()
    return {name: oid for name, _, oid in (line.partition(" ") for line in lines)}
