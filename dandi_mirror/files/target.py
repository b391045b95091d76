"""Writing below a folder that the user has named, and nowhere else: the folder stays open, and no link is followed.

The folder may be somebody else's clone, or one in which other people can write.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from dandi_mirror.files.opening import open_folder, open_top, replacement, walk

_NO_FOLDER = {errno.ENOTDIR, errno.ELOOP}


class InTheWay(OSError):
    """A link or a file stands where a folder should be, or a path leads out of its folder."""


def components(path: str) -> tuple[str, ...]:
    """The names that a path below a folder consists of.

    Raises:
        InTheWay: the path leads out of the folder.
    """
    names = path.split("/")
    if any(name in {"", ".", ".."} or "\0" in name for name in names):
        raise InTheWay(errno.EINVAL, "this path leads out of the folder", path)
    return tuple(names)


class TargetFolder:
    """An open folder, and files below it by their paths; a context manager."""

    def __init__(self, top: Path) -> None:
        """``top`` exists.  It may be reached through links, because the user has named it."""
        self.top = top
        self._descriptor = open_top(top)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._descriptor)

    @contextmanager
    def folder(self, path: str, *, make: bool = False) -> Iterator[int]:
        """Open the folder at ``path``, or the top if that is empty; with ``make``, make the folders that are missing.

        Raises:
            InTheWay: a link or a file is in the way.
            OSError: the folder does not exist, or cannot be made.
        """

        def enter(above: int, names: tuple[str, ...]) -> int:
            if make:
                with suppress(FileExistsError):
                    os.mkdir(names[-1], dir_fd=above)
            try:
                return open_folder(above, names[-1])
            except OSError as error:
                if error.errno not in _NO_FOLDER:
                    raise
                words = "a link or a file stands where this folder should be"
                raise InTheWay(errno.ENOTDIR, words, str(self.top.joinpath(*names))) from error

        names = components(path) if path else ()
        with walk(os.dup(self._descriptor), names, enter) as descriptor:
            yield descriptor

    @contextmanager
    def place(self, path: str, *, make: bool = False) -> Iterator[tuple[str, int]]:
        """The name of a file and its open folder, for functions that take ``dir_fd``."""
        *folders, name = components(path)
        with self.folder("/".join(folders), make=make) as descriptor:
            yield name, descriptor

    def move(self, source: str, target: str) -> None:
        """Move a file or folder, and make the folders of ``target``; replaces a file or link of that name."""
        with self.place(source) as (name, there), self.place(target, make=True) as (new, here):
            os.replace(name, new, src_dir_fd=there, dst_dir_fd=here)

    def remove(self, path: str) -> None:
        """Remove a file, if it exists."""
        with suppress(FileNotFoundError), self.place(path) as (name, descriptor):
            os.unlink(name, dir_fd=descriptor)

    def remove_empty(self, path: str) -> None:
        """Remove a folder, if it is empty."""
        with suppress(OSError), self.place(path) as (name, descriptor):
            os.rmdir(name, dir_fd=descriptor)

    def write(self, path: str, content: bytes) -> None:
        """Write a file, completely or not at all; replaces a file or link of that name."""
        with self.place(path, make=True) as (name, descriptor), replacement(name, descriptor) as file:
            file.write(content)
