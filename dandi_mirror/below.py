"""Files below a folder that is held open, so that no link leads elsewhere: each name is looked up in it.

A folder may be a clone of somebody else's, or one in which another person can write.  So what is written there is
written relative to folders that are open, and what is read there is a regular file of a size that is bounded.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

LARGEST = 64 << 20
"""Bytes of a file that is read as a whole."""
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NO_FOLDER = {errno.ENOTDIR, errno.ELOOP}


class InTheWay(OSError):
    """A link or a file stands where a folder would be, or a path leads out of its folder."""


def components(path: str) -> list[str]:
    """The names of a path below a folder.

    Raises:
        InTheWay: it does not stay below the folder.
    """
    names = path.split("/")
    if any(name in {"", ".", ".."} or "\0" in name for name in names):
        raise InTheWay(errno.EINVAL, "this path leads out of the folder", path)
    return names


class Below:
    """A folder that is open; a context manager."""

    def __init__(self, top: Path) -> None:
        """``top`` is there, and may be reached through links: it is what a person named."""
        self.top = top
        self._descriptor = os.open(top, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._descriptor)

    @contextmanager
    def folder(self, path: str, *, make: bool = False) -> Iterator[int]:
        """The folder at a path below, open; empty: the top itself.  With ``make``, those that are missing are made.

        Raises:
            InTheWay: a link or a file is in the way.
            OSError: it is not there, or cannot be made.
        """
        descriptor = os.dup(self._descriptor)
        try:
            names = components(path) if path else []
            for depth, name in enumerate(names):
                if make:
                    with suppress(FileExistsError):
                        os.mkdir(name, dir_fd=descriptor)
                try:
                    inner = os.open(name, _FOLDER, dir_fd=descriptor)
                except OSError as error:
                    if error.errno not in _NO_FOLDER:
                        raise
                    shown = str(self.top / "/".join(names[: depth + 1]))
                    words = "a link or a file stands where this folder would be"
                    raise InTheWay(errno.ENOTDIR, words, shown) from error
                os.close(descriptor)
                descriptor = inner
            yield descriptor
        finally:
            os.close(descriptor)

    @contextmanager
    def place(self, path: str, *, make: bool = False) -> Iterator[tuple[str, int]]:
        """The name of a file below and its folder, open: for functions that take ``dir_fd``."""
        *folders, name = components(path)
        with self.folder("/".join(folders), make=make) as descriptor:
            yield name, descriptor

    def move(self, source: str, target: str) -> None:
        """Give a file or folder another place; a file, or a link, of that name gives way.  Its folders are made."""
        with self.place(source) as (name, there), self.place(target, make=True) as (new, here):
            os.replace(name, new, src_dir_fd=there, dst_dir_fd=here)

    def remove(self, path: str) -> None:
        """Take a file away, if it is there."""
        with suppress(FileNotFoundError), self.place(path) as (name, descriptor):
            os.unlink(name, dir_fd=descriptor)

    def remove_empty(self, path: str) -> None:
        """Take a folder away, if it is empty."""
        with suppress(OSError), self.place(path) as (name, descriptor):
            os.rmdir(name, dir_fd=descriptor)

    def write(self, path: str, content: bytes) -> None:
        """Make a file, whole or not at all; what has that name gives way."""
        with self.place(path, make=True) as (name, descriptor):
            partial = f".{name[:200]}.{os.getpid()}"
            with suppress(FileNotFoundError):
                os.unlink(partial, dir_fd=descriptor)
            with os.fdopen(new_file(partial, descriptor), "wb") as file:
                file.write(content)
            os.replace(partial, name, src_dir_fd=descriptor, dst_dir_fd=descriptor)


def new_file(name: str, folder: int) -> int:
    """A new file in an open folder, open to be written."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.open(name, flags, 0o666, dir_fd=folder)


def open_own(path: Path, flags: int) -> int:
    """Open a file of our own, made if ``flags`` say so, that is no link and in a folder that is none.

    Raises:
        InTheWay: one of them is a link, or the file is none.
        OSError: it cannot be opened.
    """
    with Below(path.parent.parent) as above, above.folder(path.parent.name) as folder:
        try:
            descriptor = os.open(path.name, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o666, dir_fd=folder)
        except OSError as error:
            if error.errno in {errno.ELOOP, errno.ENXIO}:
                raise InTheWay(errno.ELOOP, "this is a link or no file; take it away", str(path)) from error
            error.filename = str(path)
            raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise InTheWay(errno.EINVAL, "this is no file; take it away", str(path))
    return descriptor


def remove_own(path: Path) -> None:
    """Take a file of our own away, if it is there; a link goes itself."""
    with suppress(FileNotFoundError), Below(path.parent.parent) as above:
        above.remove(f"{path.parent.name}/{path.name}")


def read_file(path: Path, most: int = LARGEST) -> bytes | None:
    """What a file of a work tree holds, up to ``most`` bytes; None if it is a link, no file, larger, or not there.

    A device or a pipe, which somebody may have put there, is not read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError):
        return None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        return None
    with os.fdopen(descriptor, "rb") as file:
        content = file.read(most + 1)
    return content if len(content) <= most else None
