"""Read the files of a repository without starting git: a run does this for every Dandiset of a mirror.

Paths are strings: making ``Path`` objects would take most of the time of a run with nothing to do.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from dandi_mirror.files.opening import open_to_read, read_file, read_text

LONGEST_NOTE = 1 << 16
"""Bytes of a file ``.git``."""


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


def stamps_of(places: Iterable[str]) -> list[FileStamp | None]:
    """The stamp of each file or folder; None for what does not exist."""
    return [_stamp(place) for place in places]


def _stamp(place: str) -> FileStamp | None:
    try:
        facts = os.stat(place)  # noqa: PTH116
    except OSError:
        return None
    return FileStamp(facts.st_size, facts.st_mtime_ns, facts.st_ino, facts.st_dev)


def noted_git_dir(top: Path) -> Path:
    """The folder that the file ``.git`` of a work tree names: that of a submodule or a linked work tree.

    Raises:
        OSError: the file is no such note, but larger, or cannot be read.
    """
    note = read_file(top / ".git", LONGEST_NOTE)
    if note is None:
        raise OSError(errno.EINVAL, "its .git does not name a repository")
    return top / note.decode(errors="surrogateescape").removeprefix("gitdir:").strip()


def git_dir_of(path: Path) -> Path:
    """The folder with the refs, objects and settings of a work tree, also of a submodule or a linked work tree."""
    own = path / ".git"
    try:
        if stat.S_ISREG(os.stat(own).st_mode):  # noqa: PTH116
            own = noted_git_dir(path)
        if not (inside := read_text(own / "commondir").strip()):
            return own
        shared = (own / inside).resolve()
    except (OSError, ValueError):
        return own
    return shared if own.resolve().parent == shared / "worktrees" else own  # another is refused before git starts


def read_ref(git_dir: str, name: str) -> str | None:
    """The object id of a ref; None if the ref does not exist."""
    if (value := _value(f"{git_dir}/{name}")) is not None:
        return value
    lines = (line.partition(" ") for line in packed_refs(Path(git_dir)))
    return next((oid for oid, _, ref in lines if ref == name), None)


def packed_refs(git_dir: Path) -> list[str]:
    """The lines of the file in which git keeps most refs; none if there is no such file, or a pipe in its place."""
    return read_text(git_dir / "packed-refs").splitlines()


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
        elif value := _value(f"{git_dir}/{name}"):
            yield name, value


def _value(file: str) -> str | None:
    try:
        descriptor = open_to_read(file)
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
    # ours stay: whoever holds one has the file open
    yield from (lock for lock in git_dir.glob("*.lock") if not lock.name.startswith("dandi-mirror"))
    yield from (git_dir / "refs").rglob("*.lock")


def is_filled(file: Path) -> bool:
    """Whether a file exists and is not empty."""
    try:
        return file.stat().st_size > 0
    except FileNotFoundError:
        return False
