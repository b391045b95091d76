"""Whether a repository stands where it is, or a link or a note of git leads from there to another one.

Who writes to ``000123`` in a mirror means what is in that folder.  A mirror that came from somebody else may have a
link there, or a ``.git`` that names a repository of the user's.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

_INSIDE = ("HEAD", "config", "refs", "refs/heads", "refs/tags", "objects", "packed-refs", "index")
_WORKTREE = re.compile(r"^\s*worktree\s*=\s*(.+?)\s*$", re.M)


def why_strange(folder: str) -> str:
    """Why the repository of a folder would be another one; empty if it is the folder's own, or none is there."""
    mode = _mode(folder)
    if stat.S_ISLNK(mode):
        return f"it is a link to {os.readlink(folder)}"  # noqa: PTH115
    if mode and not stat.S_ISDIR(mode):
        return "it is no folder"
    return why_strange_git(folder) if mode else ""


def why_strange_git(folder: str) -> str:
    """The same for a folder that may itself be reached through a link."""
    own = f"{folder}/.git"
    mode = _mode(own)
    if stat.S_ISLNK(mode):
        return f"its .git is a link to {os.readlink(own)}"  # noqa: PTH115
    if stat.S_ISREG(mode):
        return _why_strange_note(Path(folder))
    if not stat.S_ISDIR(mode):
        return "its .git is no folder" if mode else ""
    if _mode(f"{own}/commondir"):
        return "it is a work tree of another repository"
    strange = next((name for name in _INSIDE if stat.S_ISLNK(_mode(f"{own}/{name}"))), "")
    return f".git/{strange} in it is a link to {os.readlink(f'{own}/{strange}')}" if strange else ""  # noqa: PTH115


def is_linked(folder: str) -> bool:
    """Whether a folder, or its ``.git``, is a link; quick, for a run that looks at thousands."""
    return os.path.islink(folder) or os.path.islink(f"{folder}/.git")  # noqa: PTH114


def _why_strange_note(folder: Path) -> str:
    """A ``.git`` that is a file: git makes one for a submodule, whose repository then says that this is its folder."""
    try:
        inside = folder / (folder / ".git").read_text(errors="replace").removeprefix("gitdir:").strip()
        found = _WORKTREE.search((inside / "config").read_text(errors="replace"))
        if found and (inside / found[1]).resolve() == folder.resolve() and not _mode(str(inside / "commondir")):
            return ""
    except (OSError, ValueError):
        return "its .git is a file that names no repository"
    return f"its .git is a file that names the repository {inside.resolve()}"


def _mode(path: str) -> int:
    """What kind of thing is at a path; 0 for nothing."""
    try:
        return os.lstat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return 0
