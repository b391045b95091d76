"""For whom git makes the files of a repository, by ``core.sharedRepository``; what else we write follows it."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

from dandi_mirror.repo.git.process import git

_GROUP = {"true", "yes", "on", "1", "group"}
_ALL = {"2", "all", "world", "everybody"}


def sharing(path: Path) -> Callable[[int], int]:
    """What becomes of a folder's permissions in a repository at ``path``, which need not be there yet."""
    there = next(folder for folder in (path, *path.parents) if folder.is_dir())
    said = git(there, "config", "--get", "--default", "false", "core.sharedRepository").decode().strip().lower()
    if said.startswith("0") and said.strip("0"):
        exact = int(said, 8)
        return lambda mode: _folder(exact & 0o666)
    added = 0o660 if said in _GROUP else 0o664 if said in _ALL else 0
    return lambda mode: _folder(mode & 0o777 | added) if added else mode


def _folder(mode: int) -> int:
    """The permissions of a folder: who may read may go in, and what is made in it is the group's."""
    return mode | (mode & 0o444) >> 2 | stat.S_ISGID
