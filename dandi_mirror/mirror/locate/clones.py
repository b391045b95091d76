"""Which Dandiset, version and path a file or folder on this machine is: one in a mirror, or in a clone of it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path

from dandi_mirror.archive.names import Name, parse
from dandi_mirror.below import read_file
from dandi_mirror.errors import UsageError
from dandi_mirror.repo.git.files import place_of

RECORD = "dandiset.yaml"
# at the top level of what a mirror writes, and of what others do
_ID = re.compile(r"""^(?:  "id": "|["']?id["']?: *["']?)([A-Za-z][A-Za-z0-9-]*:[0-9]{6}/[0-9a-z.]+)""", re.M)


@dataclass(frozen=True, slots=True)
class Clone:
    """A Dandiset's repository on this machine, and what of it is meant."""

    name: Name
    folder: Path
    """The top of its work tree."""


def clone_at(text: str) -> Clone | None:
    """What the path ``text`` is, by the record at the top of its repository; None if it is of no Dandiset.

    A file whose content is not here counts, for its link is.
    """
    if not os.path.lexists(text):
        return None
    given = place_of(text)
    # but the folder that it is in may be reached through one
    path = given.parent.resolve() / given.name if given.name else given
    top = next((folder for folder in (path, *path.parents) if os.path.lexists(folder / ".git")), None)
    if top is None:
        return None
    try:
        found = _ID.search((read_file(top / RECORD) or b"").decode(errors="replace"))
        name = parse(found[1]) if found else None
    except UsageError:
        return None
    inside = "" if path == top else str(path.relative_to(top))
    folder = "/" if inside and path.is_dir() and not path.is_symlink() else ""
    return Clone(replace(name, text=text, path=inside + folder), top) if name else None
