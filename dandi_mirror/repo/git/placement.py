"""Check that a repository is really in its folder, and that no link, file or setting leads from there to another place.

A sync that writes to ``000123`` in a mirror must write to that folder.  A mirror that came from somebody else may have
a link there, a ``.git`` that names a repository of the user, or settings that name another work tree.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from dandi_mirror.files.opening import read_text
from dandi_mirror.model import is_dandiset_id
from dandi_mirror.paths import DANDISET_YAML
from dandi_mirror.repo.git.files import noted_git_dir
from dandi_mirror.repo.git.git_folder import Repository, why_elsewhere

_INSIDE = ("HEAD", "config", "refs", "refs/heads", "refs/tags", "objects", "packed-refs", "index")
_WORKTREE = re.compile(r"^\s*worktree\s*=\s*(.+?)\s*$", re.M)


def why_strange(folder: str) -> str:
    """Why the repository of a folder would be another one; empty if it is the folder's own, or does not exist."""
    mode = _mode(folder)
    if stat.S_ISLNK(mode):
        return f"it is a link to {os.readlink(folder)}"  # noqa: PTH115
    if mode and not stat.S_ISDIR(mode):
        return "it is not a folder"
    return why_strange_git(folder) if mode else ""


def why_strange_git(folder: str) -> str:
    """As :func:`why_strange`, for a folder that may itself be a link."""
    own = f"{folder}/.git"
    mode = _mode(own)
    if stat.S_ISLNK(mode):
        return f"its .git is a link to {os.readlink(own)}"  # noqa: PTH115
    if stat.S_ISREG(mode):
        if reason := _why_strange_note(Path(folder)):
            return reason
        own = str(noted_git_dir(Path(folder)))
    elif not stat.S_ISDIR(mode):
        return "its .git is not a folder" if mode else ""
    if _mode(f"{own}/commondir"):
        return "it is a work tree of another repository"
    if elsewhere := why_elsewhere(Repository(Path(folder), Path(own))):
        return f"its {elsewhere}"
    strange = next((name for name in _INSIDE if stat.S_ISLNK(_mode(f"{own}/{name}"))), "")
    return f".git/{strange} in it is a link to {os.readlink(f'{own}/{strange}')}" if strange else ""  # noqa: PTH115


def is_linked(folder: str) -> bool:
    """Whether a folder or its ``.git`` is a link; fast, for a run that checks thousands."""
    return os.path.islink(folder) or os.path.islink(f"{folder}/.git")  # noqa: PTH114


def left_behind(path: Path) -> Path | None:
    """The Dandiset's folder, or the mirror's, out of which a link in it leads, on the way to a path; None if none does.

    Whoever made that folder chose where the link leads, not the person who typed the path.
    """
    real = Path(os.path.realpath(path))
    for folder, name in _on_the_way(path):
        member = is_dandiset_id(name) and os.path.lexists(folder / ".git")
        if (member or os.path.lexists(folder / DANDISET_YAML)) and not real.is_relative_to(os.path.realpath(folder)):
            return folder
    return None


def _on_the_way(path: Path) -> Iterator[tuple[Path, str]]:
    """Each folder above a path, from the root down, and the name in it that leads on to the path."""
    parts = Path(os.path.abspath(path)).parts  # noqa: PTH100
    return ((Path(*parts[:number]), parts[number]) for number in range(1, len(parts)))


def _why_strange_note(folder: Path) -> str:
    """The same for a ``.git`` file: git makes one for a submodule, and the submodule's repository names this folder.

    Of a repository elsewhere, nothing is opened.
    """
    try:
        inside = noted_git_dir(folder)
        found = _WORKTREE.search(read_text(inside / "config")) if _placed_git_dir(folder) else None
        if found and (inside / found[1]).resolve() == folder.resolve():
            return ""
    except (OSError, ValueError):
        return "its .git is a file that does not name a repository"
    return f"its .git is a file that names the repository {os.path.realpath(inside)}"


def _placed_git_dir(top: Path) -> Path | None:
    """The git folder of a work tree, if it is where git puts it; None if it is elsewhere.  Opens files ``.git`` only.

    git puts that of a submodule into ``modules`` of the repository around it.
    """
    own = top / ".git"
    mode = _mode(str(own))
    if stat.S_ISDIR(mode):
        return own
    inside = Path(os.path.realpath(noted_git_dir(top) if stat.S_ISREG(mode) else own))
    above = next((folder for folder in Path(os.path.realpath(top)).parents if _mode(f"{folder}/.git")), None)
    around = _placed_git_dir(above) if above else None
    return inside if around and inside.is_relative_to(Path(os.path.realpath(around), "modules")) else None


def _mode(path: str) -> int:
    """The mode of the file at a path; 0 if there is nothing."""
    try:
        return os.lstat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return 0
