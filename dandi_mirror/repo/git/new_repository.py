"""Make a new repository: by ``git init``, or as a copy of what that has made beside it in this process."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import NamedTuple

from dandi_mirror.repo.git.process import git


class _Made(NamedTuple):
    folders: list[tuple[str, int]]
    """Below the git folder, each after those that contain it, with permissions."""
    files: list[tuple[str, bytes, int]]


_made: dict[tuple[str, int, str], _Made] = {}


def make_repository(path: Path, branch: str) -> None:
    """Make a repository without commits, or complete one whose making was interrupted.

    Raises:
        DiskError, GitError: git failed.
        OSError: a copy cannot be written.
    """
    above = path.parent
    place = str(above), above.stat().st_dev, branch
    git_dir = path / ".git"
    if (known := _made.get(place)) and not os.path.lexists(git_dir):
        _copy(known, git_dir)
        return
    is_new = not os.path.lexists(git_dir)
    git(path, "init", "--quiet", f"--initial-branch={branch}", "--object-format=sha1", "--template=")
    if is_new:
        _made[place] = _read(git_dir)


def _read(git_dir: Path) -> _Made:
    folders, files = [("", _mode(git_dir))], []
    for place in sorted(git_dir.rglob("*")):
        name = place.relative_to(git_dir).as_posix()
        if place.is_dir():
            folders.append((name, _mode(place)))
        else:
            files.append((name, place.read_bytes(), _mode(place)))
    return _Made(folders, files)


def _copy(made: _Made, git_dir: Path) -> None:
    for name, mode in made.folders:
        (git_dir / name).mkdir()
        _set_mode(git_dir / name, mode)
    for name, content, mode in made.files:
        with (git_dir / name).open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        _set_mode(git_dir / name, mode)


def _mode(place: Path) -> int:
    return stat.S_IMODE(place.lstat().st_mode)


def _set_mode(place: Path, mode: int) -> None:
    if _mode(place) != mode:
        place.chmod(mode)
