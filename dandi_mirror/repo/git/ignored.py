"""Find the files that git ignores, and by which rule: git and git-annex skip them without a message."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from dandi_mirror.repo.git.process import git, start

_AT_ONCE = 200
"""Paths in one command; each may have some thousand bytes."""


def ignored(folder: Path, paths: Iterable[str]) -> dict[str, str]:
    """The paths that git ignores, whether they exist or not, each with the reason; tracked paths are never ignored.

    If git cannot tell (a path leads through a link) the result is empty: look at the index afterwards.
    """
    if not (names := b"".join(os.fsencode(path) + b"\0" for path in paths)):
        return {}
    child = start(folder, ("check-ignore", "--verbose", "-z", "--stdin"))
    output, _ = child.communicate(names)
    words = [os.fsdecode(word) for word in output.split(b"\0")]
    rules = zip(words[::4], words[1::4], words[2::4], words[3::4], strict=False)
    return {path: _reason(file, line, rule) for file, line, rule, path in rules if not rule.startswith("!")}


def _reason(file: str, line: str, rule: str) -> str:
    return f"git ignores it, by the rule {rule!r} in line {line} of {file}; remove that rule and run this again"


def ignored_files(folder: Path) -> list[str]:
    """All files of a work tree that git ignores; for a folder that it ignores completely, the name of the folder."""
    listing = git(folder, "ls-files", "-z", "--others", "--ignored", "--exclude-standard", "--directory")
    return sorted(os.fsdecode(name) for name in listing.split(b"\0")[:-1])


def in_index(folder: Path, paths: Iterable[str]) -> set[str]:
    """The paths among ``paths`` that the index has."""
    names = list(paths)
    found = set()
    for first in range(0, len(names), _AT_ONCE):
        some = names[first : first + _AT_ONCE]
        listing = git(folder, "--literal-pathspecs", "ls-files", "--cached", "-z", "--", *some)
        found |= {os.fsdecode(name) for name in listing.split(b"\0")[:-1]}
    return found
