"""Put a file into a work tree: complete, verified, and never over another file."""

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
from dandi_mirror.repo.git.disk import sync_to_disk
from dandi_mirror.repo.git.files import FileStamp, stamp_of
from dandi_mirror.upload.read.worker_process import FileError

_PIECE = 1 << 20
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS}


@dataclass(frozen=True, slots=True)
class SourceState:
    """A source file: its stamp and digest when it was read."""

    look: FileStamp
    sha256: str


def digest(file: Path) -> str:
    """The SHA-256 of a file, or of the target of a link."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def read(file: Path) -> SourceState:
    """Read a file for its digest.

    Raises:
        FileError: it changed while it was read.
    """
    before, sha256 = stamp_of(file), digest(file)
    if stamp_of(file) != before:
        raise FileError("it changes while it is read; wait until it is complete")
    return SourceState(before, sha256)


def copy(source: Path, target: Path) -> SourceState:
    """Copy a file with its modification time and read the copy again; returns the state of the source.

    Raises:
        FileError: the source changed while it was read, or the copy differs.
    """
    before = stamp_of(source)
    sha256 = copy_bytes(source, target, before)
    sync_to_disk(target)
    check_copy(target, sha256)
    return SourceState(before, sha256)


def copy_bytes(source: Path, target: Path, seen: FileStamp) -> str:
    """Copy a file that looked like ``seen``; returns the digest of what was read.  Nothing is synced to disk.

    Raises:
        FileError: the source changed while it was read.
    """
    sha256 = hashlib.sha256()
    with source.open("rb") as original, target.open("xb") as made:
        while piece := original.read(_PIECE):
            sha256.update(piece)
            made.write(piece)
    os.utime(target, ns=(seen.changed, seen.changed))
    if stamp_of(source) != seen:
        raise FileError("it changes while it is read; wait until it is complete")
    return sha256.hexdigest()


def check_copy(made: Path, sha256: str) -> None:
    """Read a copy again.

    Raises:
        FileError: it has another digest.
    """
    if digest(made) != sha256:
        raise FileError(f"its copy at {made} differs from it; check this disk for errors")


def unchanged(file: Path, seen: SourceState) -> bool:
    """Whether a file is unchanged since it was read."""
    try:
        return stamp_of(file) == seen.look
    except OSError:
        return False


def put(made: Path, root: Path, target: str) -> bool:
    """Move a file to its name below ``root``; returns False, and does nothing, if that name is taken.

    Raises:
        FileError: something on the way is not a folder.
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


def put_folder(made: Path, root: Path, target: str) -> None:
    """Move a folder to its name below ``root``, all of it at once.

    Raises:
        FileError: that name is taken, or something on the way is not a folder.
    """
    with _open(root, target) as (name, folder):
        if _is_there(name, folder):
            raise FileError(f"{root / target} exists; nothing is overwritten")
        os.rename(made, name, dst_dir_fd=folder)  # over a folder that has come meanwhile, this fails


def put_link(source: Path, root: Path, target: str) -> bool:
    """As :func:`put`, with a link to a file elsewhere."""
    with _open(root, target) as (name, folder):
        try:
            os.symlink(source, name, dir_fd=folder)
        except FileExistsError:
            return False
    return True


@contextmanager
def _open(root: Path, target: str) -> Iterator[tuple[str, int]]:
    """The name at the end of a path below ``root``, and the open folder that it is in; missing folders are made."""
    try:
        with TargetFolder(root) as below, below.place(target, make=True) as place:
            yield place
    except InTheWay as error:
        raise FileError(f"{error.filename} is in the way, it is not a folder") from error


def _is_there(name: str, folder: int) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def make_folders(root: Path, target: str) -> Path:
    """Make the folders of a path below ``root``; returns the full path.

    Raises:
        FileError: something on the way is not a folder.
    """
    with _open(root, target):
        return root / target


@contextmanager
def staging(folder: OwnPath) -> Iterator[Path]:
    """An empty folder for unfinished files; whatever a killed run left there is deleted."""
    try:
        folder.clear()
        folder.make_folder()
    except OSError as error:
        raise DiskError.of(folder, error) from error
    try:
        yield folder.path
    finally:
        folder.clear()
