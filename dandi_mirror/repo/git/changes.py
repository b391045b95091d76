"""The paths that differ between two states, as git's raw form of a difference tells them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from dandi_mirror.repo.git.dataset import Dataset
from dandi_mirror.repo.git.process import NO_FILTER, git

_FORM = ("-z", "--raw", "--no-abbrev", "--no-renames")
_RAW = re.compile(rb":(\d+) (\d+) ([0-9a-f]+) ([0-9a-f]+) (\w+)\0([^\0]+)\0")


@dataclass(frozen=True, slots=True)
class Change:
    """A path that differs: mode and object id, all zeros where it is not there, or of a work tree not known."""

    path: bytes
    old: tuple[bytes, bytes]
    new: tuple[bytes, bytes]
    status: bytes
    """git's letter: ``A``, ``D``, ``M``, ``T``, ``U``."""


def changes(dataset: Dataset, command: str, *arguments: str) -> Iterator[Change]:
    """What a git command that compares tells, one after the other: a first check-out may have a million of them.

    Raises:
        DiskError, GitError: it failed.
    """
    for found in _RAW.finditer(git(dataset.path, *NO_FILTER, command, *_FORM, *arguments)):
        old_mode, new_mode, old, new, status, path = found.groups()
        yield Change(path, (old_mode, old), (new_mode, new), status)
