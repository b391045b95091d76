"""Find the Dandiset, version and path that a file or folder on this machine belongs to."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path

from dandi_mirror.archive.names import Name, parse
from dandi_mirror.errors import UsageError
from dandi_mirror.files.opening import read_file
from dandi_mirror.paths import DANDISET_YAML
from dandi_mirror.repo.git.files import absolute_path
from dandi_mirror.repo.git.placement import left_behind

_ZARR = ".dandi/zarr-checksum"
"""A repository with this file is that of a Zarr; the Dandiset is the one around it."""
# the id at the top level, as a mirror writes it and as other programs do
_ID = re.compile(r"""^(?:  "id": "|["']?id["']?: *["']?)([A-Za-z][A-Za-z0-9-]*:[0-9]{6}/[0-9a-z.]+)""", re.M)


@dataclass(frozen=True, slots=True)
class LocalDandiset:
    """A Dandiset's repository on this machine, and the part of it that a path means."""

    name: Name
    folder: Path
    """The top of its work tree."""


def clone_at(text: str) -> LocalDandiset | None:
    """The Dandiset of the path ``text``, from the record at the top of its repository; None if it has none.

    A file counts also if its content is not present.
    """
    if not os.path.lexists(text):
        return None
    given = absolute_path(text)
    # the path itself may be a link of git-annex, which stays; its folder may be reached through another link
    path = given.parent.resolve() / given.name if given.name else given
    if top := left_behind(given):
        path = top.resolve() / given.relative_to(top)
    top = top or next((folder for folder in (path, *path.parents) if _is_top(folder)), None)
    if top is None:
        return None
    try:
        found = _ID.search((read_file(top / DANDISET_YAML) or b"").decode(errors="replace"))
        name = parse(found[1]) if found else None
    except UsageError:
        return None
    inside = "" if path == top else str(path.relative_to(top))
    folder = "/" if inside and path.is_dir() and not path.is_symlink() else ""
    return LocalDandiset(replace(name, text=text, path=inside + folder), top) if name else None


def _is_top(folder: Path) -> bool:
    return os.path.lexists(folder / ".git") and not os.path.lexists(folder / _ZARR)
