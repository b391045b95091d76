"""Opening files and folders relative to a folder that is already open, so that no link on the way is followed."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

LARGEST = 64 << 20
"""Bytes of the largest file that :func:`read_file` reads."""
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NO_PIPE = os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
_FILE = _NO_PIPE | os.O_NOFOLLOW
_SMALL = 1 << 16  # bytes
_LONGEST_NAME = 200  # bytes; the rest is for the ending of a temporary name


def open_top(path: Path) -> int:
    """Open a folder that the user has named, which may be reached through links; the descriptor."""
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def open_folder(above: int, name: str) -> int:
    """Open a folder in an open folder; the descriptor.

    Raises:
        OSError: ENOTDIR or ELOOP if a link or a file has this name.
    """
    return os.open(name, _FOLDER, dir_fd=above)


@contextmanager
def walk(top: int, names: tuple[str, ...], enter: Callable[[int, tuple[str, ...]], int]) -> Iterator[int]:
    """Go from an open folder into one below it, name by name; the last folder's descriptor.

    ``enter(above, names)`` opens the last of ``names`` in the folder ``above``.  Closes all descriptors, ``top`` too.
    """
    descriptor = top
    try:
        for depth in range(1, len(names) + 1):
            inner = enter(descriptor, names[:depth])
            os.close(descriptor)
            descriptor = inner
        yield descriptor
    finally:
        os.close(descriptor)


def open_file(name: str | Path, flags: int, check: Callable[[os.stat_result], None], folder: int | None = None) -> int:
    """Open an existing file, which is no link, and let ``check`` refuse it before anything is cut off; the descriptor.

    Never waits for the other end of a pipe.

    Raises:
        OSError: it does not exist, is a link, or cannot be opened; and whatever ``check`` raises.
    """
    descriptor = os.open(name, flags & ~(os.O_CREAT | os.O_TRUNC) | _FILE, dir_fd=folder)
    try:
        check(os.fstat(descriptor))
        os.set_blocking(descriptor, True)
        if flags & os.O_TRUNC:
            os.ftruncate(descriptor, 0)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def open_to_read(path: str | Path, *, links: bool = False) -> int:
    """Open a file of a repository that somebody else may have made; the descriptor.

    Never waits for the other end of a pipe.  A link in its last part is followed only with ``links``: it could lead to
    any file, whose content would get into a message.

    Raises:
        OSError: it does not exist, is such a link, or cannot be opened.
    """
    return os.open(path, os.O_RDONLY | (_NO_PIPE if links else _FILE))


def new_file(name: str, folder: int, flags: int = os.O_WRONLY, mode: int = 0o666) -> int:
    """Make a file in an open folder; the descriptor.

    Raises:
        FileExistsError: something of this name exists, if only a link.
    """
    return os.open(name, flags | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode, dir_fd=folder)


@contextmanager
def replacement(name: str, folder: int, make: Callable[[str, int], int] = new_file) -> Iterator[BinaryIO]:
    """A temporary file, which gets the name of a file or link in the open folder if the block ends without an error."""
    made = f".{os.fsdecode(os.fsencode(name)[:_LONGEST_NAME])}.{os.getpid()}"
    with suppress(FileNotFoundError):
        os.unlink(made, dir_fd=folder)  # left by a process that was killed; or a link
    try:
        with os.fdopen(make(made, folder), "wb") as file:
            yield file
        os.rename(made, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with suppress(OSError):
            os.unlink(made, dir_fd=folder)
        raise


def open_regular(path: str | Path) -> int:
    """Open a regular file, which is no link, device or pipe; the descriptor.

    Raises:
        OSError: it is something else, does not exist, or cannot be opened.
    """
    return open_file(path, os.O_RDONLY, _check_regular)


def read_file(path: Path, most: int = LARGEST) -> bytes | None:
    """The content of a file in a work tree; None if it does not exist, or is a link, no file, or above ``most`` bytes.

    Does not read a device or a pipe, which somebody may have put there.
    """
    try:
        descriptor = open_regular(path)
    except (OSError, ValueError):
        return None
    with os.fdopen(descriptor, "rb") as file:
        content = read_at_most(file, most + 1)
    return content if len(content) <= most else None


def read_at_most(file: BinaryIO, most: int) -> bytes:
    """The first ``most`` bytes of a file, most often all of a small one: ``read`` takes memory for ``most`` first."""
    content = file.read(min(most, _SMALL))
    return content + file.read(most - _SMALL) if len(content) == _SMALL else content


def _check_regular(facts: os.stat_result) -> None:
    if not stat.S_ISREG(facts.st_mode):
        raise OSError(errno.EINVAL, "not a regular file")


def read_text(path: Path) -> str:
    """The text of a file, as :func:`read_file`; empty where that gives None.  Other bytes than UTF-8 are surrogates."""
    return (read_file(path) or b"").decode(errors="surrogateescape")
