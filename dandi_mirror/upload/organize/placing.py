"""A file put into a work tree: whole, verified, and never over another one."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dandi_mirror.errors import DiskError
from dandi_mirror.files.own import OwnPath
from dandi_mirror.files.target import InTheWay, TargetFolder
from dandi_mirror.repo.git.files import Look, look
from dandi_mirror.upload.read.reader import FileError

_PIECE = 1 << 20
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS}


@dataclass(frozen=True, slots=True)
class Seen:
    """A file as it was read."""

    look: Look
    sha256: str


def digest(file: Path) -> str:
    """The SHA-256 of what a file, or what a link leads to, holds."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def read(file: Path) -> Seen:
    """A file with its digest.

    Raises:
        FileError: it changed meanwhile.
    """
    before, sha256 = look(file), digest(file)
    if look(file) != before:
        raise FileError("it changes while it is read; wait until it is complete")
    return Seen(before, sha256)


def copy(source: Path, target: Path) -> Seen:
    """Copy a file, and read the copy again; the source as it was.  The copy has its modification time.

    Raises:
        FileError: the source changed meanwhile, or the copy does not hold the same.
    """
    before, sha256 = look(source), hashlib.sha256()
    with source.open("rb") as original, target.open("xb") as made:
        while piece := original.read(_PIECE):
            sha256.update(piece)
            made.write(piece)
        made.flush()
        os.fsync(made.fileno())
    os.utime(target, ns=(before.changed, before.changed))
    if look(source) != before:
        raise FileError("it changes while it is read; wait until it is complete")
    if digest(target) != sha256.hexdigest():
        raise FileError(f"its copy at {target} does not hold the same; look after this disk")
    return Seen(before, sha256.hexdigest())


def unchanged(file: Path, seen: Seen) -> bool:
    """Whether a file is still the one that was read."""
    try:
        return look(file) == seen.look
    except OSError:
        return False


def put(made: Path, root: Path, target: str) -> bool:
    """Let a file have its name below ``root``, unless there is something of that name; whether it has it now.

    Raises:
        FileError: something on the way is no folder.
    """
    with _open(root, target) as (name, folder):
        try:
            os.link(made, name, dst_dir_fd=folder)
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            if _is_there(name, folder):
                return False
            os.rename(made, name, dst_dir_fd=folder)
            return True
    made.unlink()
    return True


def put_link(source: Path, root: Path, target: str) -> bool:
    """The same with a link to a file elsewhere."""
    with _open(root, target) as (name, folder):
        try:
            os.symlink(source, name, dir_fd=folder)
        except FileExistsError:
            return False
    return True


@contextmanager
def _open(root: Path, target: str) -> Iterator[tuple[str, int]]:
    """The name of a place below ``root``, and its folder, open; folders on the way to it are made."""
    try:
        with TargetFolder(root) as below, below.place(target, make=True) as place:
            yield place
    except InTheWay as error:
        raise FileError(f"{error.filename} is in the way, it is no folder") from error


def _is_there(name: str, folder: int) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def make_folders(root: Path, target: str) -> Path:
    """The place of a path below ``root``, with the folders on the way to it.

    Raises:
        FileError: something on the way is no folder.
    """
    with _open(root, target):
        return root / target


@contextmanager
def staging(folder: OwnPath) -> Iterator[Path]:
    """An empty folder for files in the making; what a killed run left in it goes."""
    try:
        folder.clear()
        folder.make_folder()
    except OSError as error:
        raise DiskError.of(folder, error) from error
    try:
        yield folder.path
    finally:
        folder.clear()
