"""Read the files of a repository without starting git: a run does this for every Dandiset of a mirror.

Paths are strings: making ``Path`` objects would take most of the time of a run with nothing to do.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple


def absolute_path(text: str | Path) -> Path:
    """The absolute path that a typed path means, without following a link in its last part.

    A user who names a link of git-annex means the link.  A ``..`` after a link is the folder above the target of the
    link, as for the system.
    """
    path = Path(text)
    if ".." not in path.parts:
        return Path(os.path.abspath(path))  # noqa: PTH100
    return path.resolve() if path.name == ".." else path.parent.resolve() / path.name


class FileStamp(NamedTuple):
    """Facts by which we see whether somebody has written to a file since."""

    size: int
    changed: int
    """Modification time in nanoseconds."""
    inode: int
    device: int


def stamp_of(file: Path) -> FileStamp:
    """The stamp of a file, or of the target of a link; the content is not read."""
    facts = file.stat()
    return FileStamp(facts.st_size, facts.st_mtime_ns, facts.st_ino, facts.st_dev)


def git_dir_of(path: Path) -> Path:
    """The folder with the refs, objects and settings of a work tree, also of a submodule or a linked work tree."""
    own = path / ".git"
    try:
        if stat.S_ISREG(os.stat(own).st_mode):  # noqa: PTH116
            own = path / own.read_text().removeprefix("gitdir:").strip()
        return (own / (own / "commondir").read_text().strip()).resolve()
    except OSError:
        return own


def read_ref(git_dir: str, name: str) -> str | None:
    """The object id of a ref; None if the ref does not exist."""
    if (held := _held(f"{git_dir}/{name}")) is not None:
        return held
    try:
        packed = Path(git_dir, "packed-refs").read_text()
    except OSError:
        return None
    lines = (line.partition(" ") for line in packed.splitlines())
    return next((oid for oid, _, ref in lines if ref == name), None)


def has_ref(git_dir: str, name: str) -> bool:
    """Whether a ref exists, whatever its value is."""
    return os.path.exists(f"{git_dir}/{name}") or read_ref(git_dir, name) is not None  # noqa: PTH110


def loose_refs(git_dir: str, folder: str) -> Iterator[tuple[str, str]]:
    """The refs below a folder such as ``refs/tags`` that have files of their own, with their values."""
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
        # in a .git that somebody else made, a link could lead to any file, and its content would get into a message
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            return os.read(descriptor, 4096).decode(errors="replace").strip()
        finally:
            os.close(descriptor)
    except OSError:
        return None


def is_repository(git_dir: str) -> bool:
    """Whether there is a complete repository; one whose creation was interrupted lacks some of these files."""
    try:
        files = [os.stat(f"{git_dir}/{name}") for name in ("HEAD", "config", "objects/info")]  # noqa: PTH116
    except (FileNotFoundError, NotADirectoryError):
        return False
    return files[0].st_size > 0 and files[1].st_size > 0 and stat.S_ISDIR(files[2].st_mode)


def locks_in(git_dir: Path) -> Iterator[Path]:
    """git's lock files for its files and refs, also those that a dead git left."""
    yield from git_dir.glob("*.lock")
    yield from (git_dir / "refs").rglob("*.lock")


def is_filled(file: Path) -> bool:
    """Whether a file exists and is not empty."""
    try:
        return file.stat().st_size > 0
    except FileNotFoundError:
        return False
