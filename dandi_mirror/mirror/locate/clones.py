"""Find the Dandiset, version and path that a file or folder on this machine belongs to."""

from __future__ import annotations

import os
import re
import shlex
from dataclasses import dataclass, replace
from pathlib import Path

from dandi_mirror.archive.names import Name, parse
from dandi_mirror.errors import UsageError
from dandi_mirror.files.opening import read_file
from dandi_mirror.paths import DANDISET_YAML
from dandi_mirror.repo.git.dataset import Dataset
from dandi_mirror.repo.git.files import absolute_path, noted_git_dir
from dandi_mirror.repo.git.placement import left_behind
from dandi_mirror.text import quoted

_VIEWS = "views/"
"""How the branches of git-annex's views begin."""
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

    Raises:
        UsageError: the repository that belongs to the folder is somewhere else, and is not there.
    """
    if not os.path.lexists(text):
        return None
    given = absolute_path(text)
    # the path itself may be a link of git-annex, which stays; its folder may be reached through another link
    path = given.parent.resolve() / given.name if given.name else given
    if top := left_behind(given):
        path = top.resolve() / given.relative_to(top)
    top = top or _top_around(path)
    if top is None:
        return None
    _check_repository(top)
    try:
        found = _ID.search((read_file(top / DANDISET_YAML) or b"").decode(errors="replace"))
        name = parse(found[1]) if found else None
    except UsageError:
        return None
    inside = "" if path == top else str(path.relative_to(top))
    folder = "/" if inside and path.is_dir() and not path.is_symlink() else ""
    return LocalDandiset(replace(name, text=text, path=inside + folder), top) if name else None


def view_at(folder: Path) -> str:
    """What to tell who is in a view of git-annex, which has no record of its Dandiset; empty elsewhere."""
    top = _top_around(folder)
    branch = Dataset(top).head_branch() if top else ""
    if not branch.startswith(_VIEWS):
        return ""
    before = branch.removeprefix(_VIEWS).partition("(")[0]
    return (
        f"{top} shows a view of git-annex, which does not have the record of its Dandiset; to end the view: "
        f"git -C {quoted(top)} switch {shlex.quote(before)}"
    )


def _check_repository(top: Path) -> None:
    """Refuse a work tree whose repository has been moved or deleted."""
    place = top / ".git"
    try:
        if place.is_symlink() and not place.exists():
            elsewhere = top / place.readlink()
        elif not place.is_file() or (elsewhere := noted_git_dir(top)).exists():
            return
    except OSError:
        return
    raise UsageError(
        f"{top} is a work tree of a repository that is not there any more, {os.path.normpath(elsewhere)}; if that was "
        "moved, delete this folder, and make it again from the new place: dandi-mirror worktree"
    )


def _top_around(place: Path) -> Path | None:
    return next((folder for folder in (place, *place.parents) if _is_top(folder)), None)


def _is_top(folder: Path) -> bool:
    return os.path.lexists(folder / ".git") and not os.path.lexists(folder / _ZARR)
