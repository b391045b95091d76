"""Read the paths that differ between two states from git's raw diff format."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from dandi_mirror.repo.git.dataset import Dataset
from dandi_mirror.repo.git.process import NO_FILTER, git

_FORM = ("-z", "--raw", "--no-abbrev", "--no-renames")
_RAW = re.compile(rb":(\d+) (\d+) ([0-9a-f]+) ([0-9a-f]+) (\w+)\0([^\0]+)\0")


@dataclass(frozen=True, slots=True)
class PathChange:
    """A path that differs.

    ``old`` and ``new`` are (mode, object id).  Both are zeros if the path does not exist there.  The object id is zeros
    if git does not know it, as for an edited file of a work tree.
    """

    path: bytes
    old: tuple[bytes, bytes]
    new: tuple[bytes, bytes]
    status: bytes
    """git's letter: ``A``, ``D``, ``M``, ``T``, ``U``."""


def changes(dataset: Dataset, command: str, *arguments: str) -> Iterator[PathChange]:
    """The differences that a git command lists, one after the other: a first check-out may have a million.

    Raises:
        DiskError, GitError: git failed.
    """
    for found in _RAW.finditer(git(dataset.path, *NO_FILTER, command, *_FORM, *arguments)):
        old_mode, new_mode, old, new, status, path = found.groups()
        yield PathChange(path, (old_mode, old), (new_mode, new), status)
