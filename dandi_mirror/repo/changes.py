"""What a person has changed in a work tree since the last sync."""

from __future__ import annotations

from pathlib import Path

from dandi_mirror.repo.process import NO_FILTER, git

_BY_SYNC = "^Dandi-Modified: "
"""A line that the commits of a sync have, and no others."""


def last_sync(folder: Path) -> str:
    """The newest commit of a sync that what is checked out stands on; empty if there is none."""
    return git(folder, "log", "-1", "--format=%H", f"--grep={_BY_SYNC}", "HEAD").decode().strip()


def changed(folder: Path) -> list[str]:
    """Files, also untracked ones, that are not as the last sync left them; removed ones too.

    Where no sync has been, what is checked out is what they are compared with.
    """
    base = last_sync(folder) or "HEAD"
    differing = git(folder, *NO_FILTER, "diff", "--name-only", "--no-renames", "-z", base, "--")
    fresh = git(folder, "ls-files", "--others", "--exclude-standard", "-z")
    names = {*differing.split(b"\0"), *fresh.split(b"\0")} - {b""}
    return sorted(name.decode(errors="surrogateescape") for name in names)


def files(folder: Path) -> list[str]:
    """Every file of a work tree that git has or would add."""
    listing = git(folder, "ls-files", "--cached", "--others", "--exclude-standard", "-z")
    return sorted({name.decode(errors="surrogateescape") for name in listing.split(b"\0")[:-1]})
