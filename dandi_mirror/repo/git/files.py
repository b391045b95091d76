"""What the files of a repository say, without starting git: a run asks it for every Dandiset of a mirror.

By names and not by ``Path``, which would take most of the time of a run with nothing to do.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple


def place_of(text: str | Path) -> Path:
    """Where a path as it is typed leads, without following what it names itself: a link of git-annex is meant.

    A ``..`` after a link is the folder above the one that the link leads to, as it is to the system.
    """
    path = Path(text)
    if ".." not in path.parts:
        return Path(os.path.abspath(path))  # noqa: PTH100
    return path.resolve() if path.name == ".." else path.parent.resolve() / path.name


class Look(NamedTuple):
    """By what a file that nobody has written to since is known again."""

    size: int
    changed: int
    """Its modification time, in nanoseconds."""
    inode: int
    device: int


def look(file: Path) -> Look:
    """A file, or what a link leads to, as it is; it is not read."""
    facts = file.stat()
    return Look(facts.st_size, facts.st_mtime_ns, facts.st_ino, facts.st_dev)


def git_dir_of(path: Path) -> Path:
    """Where the refs, objects and settings of a work tree are: also of a further one, or of one that is a submodule."""
    own = path / ".git"
    try:
        if stat.S_ISREG(os.stat(own).st_mode):  # noqa: PTH116
            own = path / own.read_text().removeprefix("gitdir:").strip()
        return (own / (own / "commondir").read_text().strip()).resolve()
    except OSError:
        return own


def read_ref(git_dir: str, name: str) -> str | None:
    """The object id that a ref holds; None if there is no such ref."""
    if (held := _held(f"{git_dir}/{name}")) is not None:
        return held
    try:
        packed = Path(git_dir, "packed-refs").read_text()
    except OSError:
        return None
    lines = (line.partition(" ") for line in packed.splitlines())
    return next((oid for oid, _, ref in lines if ref == name), None)


def has_ref(git_dir: str, name: str) -> bool:
    """Whether there is such a ref, whatever it holds."""
    return os.path.exists(f"{git_dir}/{name}") or read_ref(git_dir, name) is not None  # noqa: PTH110


def loose_refs(git_dir: str, folder: str) -> Iterator[tuple[str, str]]:
    """The refs below a folder (``refs/tags``) that stand in files of their own, and what these hold."""
    try:
        with os.scandir(f"{git_dir}/{folder}") as entries:
            found = [(f"{folder}/{entry.name}", entry.is_dir()) for entry in entries]
    except OSError:
        return
    for name, is_folder in found:
        if is_folder:
            yield from loose_refs(git_dir, name)
        elif held := _held(f"{git_dir}/{name}"):
            yield name, held


def _held(file: str) -> str | None:
    try:
        # of a .git that somebody else made: a link could lead to any file, and what it holds into a message
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            return os.read(descriptor, 4096).decode(errors="replace").strip()
        finally:
            os.close(descriptor)
    except OSError:
        return None


def is_repository(git_dir: str) -> bool:
    """Whether a whole repository is there; one whose making was cut off lacks some of this."""
    try:
        files = [os.stat(f"{git_dir}/{name}") for name in ("HEAD", "config", "objects/info")]  # noqa: PTH116
    except (FileNotFoundError, NotADirectoryError):
        return False
    return files[0].st_size > 0 and files[1].st_size > 0 and stat.S_ISDIR(files[2].st_mode)


def locks_in(git_dir: Path) -> Iterator[Path]:
    """The locks of git on its files and refs, whoever holds them or has left them."""
    yield from git_dir.glob("*.lock")
    yield from (git_dir / "refs").rglob("*.lock")


def is_filled(file: Path) -> bool:
    """Whether there is such a file, and something in it."""
    try:
        return file.stat().st_size > 0
    except FileNotFoundError:
        return False
