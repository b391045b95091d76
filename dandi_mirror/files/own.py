"""The program's own files and folders: opened without following links, and only if nobody else can have put them there.

A mirror or a clone may come from somebody else, with a link in place of one of the program's files.  So the program
opens each file relative to its folder, and each folder relative to the one above it, from a top that the user has
named.  It refuses links, special files and other users' files, and the message names them.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from dandi_mirror.files.not_ours import NotOurs, check_own, refusal
from dandi_mirror.files.opening import new_file, open_file, open_folder, open_top, replacement, walk

SHARED = stat.S_ISGID | stat.S_IWGRP
"""The permissions that git gives to the folders of a shared repository (``core.sharedRepository``)."""


@dataclass(frozen=True, slots=True)
class OwnPath:
    """The path of one of the program's files or folders below a ``top``; only ``top`` may be reached through links."""

    top: Path
    parts: tuple[str, ...]

    def __truediv__(self, name: str) -> OwnPath:
        """The file or folder ``name`` in this folder."""
        return OwnPath(self.top, (*self.parts, name))

    def __fspath__(self) -> str:
        """The path, for a message, or for a program after :meth:`check`."""
        return os.path.join(self.top, *self.parts)  # noqa: PTH118

    def __str__(self) -> str:
        """The path, for a message."""
        return os.fspath(self)

    @property
    def path(self) -> Path:
        """The path; see :meth:`__fspath__`."""
        return Path(self)

    @property
    def name(self) -> str:
        """The last part."""
        return self.parts[-1]

    @property
    def parent(self) -> OwnPath:
        """The folder that contains this file or folder."""
        return OwnPath(self.top, self.parts[:-1])

    def beside(self, name: str) -> OwnPath:
        """The file or folder ``name`` in the same folder."""
        return self.parent / name

    @contextmanager
    def opened_folder(self, *, make: bool = False) -> Iterator[int]:
        """This folder's descriptor; with ``make``, the folders that are missing are made.

        Raises:
            NotOurs: a folder on the way is a link, a file, or another user's.
            OSError: the folder does not exist, or cannot be opened or made.
        """
        if make:
            self.top.mkdir(parents=True, exist_ok=True)

        def enter(above: int, names: tuple[str, ...]) -> int:
            return _enter(above, OwnPath(self.top, names), make)

        with walk(open_top(self.top), self.parts, enter) as descriptor:
            yield descriptor

    def make_folder(self, sharing: Callable[[int], int] = int) -> None:
        """Make this folder, unless it exists; ``sharing`` changes its permissions.

        Raises as :meth:`opened_folder`.
        """
        with self.opened_folder(make=True) as folder:
            mode = stat.S_IMODE(os.fstat(folder).st_mode)
            if (wanted := sharing(mode)) != mode:
                os.fchmod(folder, wanted)

    def is_folder(self) -> bool:
        """Whether this folder exists.

        Raises:
            NotOurs: something else has its name.
        """
        try:
            with self.opened_folder():
                return True
        except (FileNotFoundError, NotADirectoryError):
            return False

    def is_own_folder(self) -> bool:
        """Whether this folder exists and is ours; if something else has its name, it is not."""
        try:
            return self.is_folder()
        except NotOurs:
            return False

    def names(self, ending: str = "") -> list[str]:
        """The names in this folder, sorted; none if it does not exist."""
        try:
            with self.opened_folder() as folder:
                return sorted(name for name in os.listdir(folder) if name.endswith(ending))  # noqa: PTH208
        except OSError:
            return []

    def clear(self) -> None:
        """Remove this folder and everything in it, as far as possible, without following links."""
        with suppress(OSError), self.parent.opened_folder() as folder:
            shutil.rmtree(self.name, ignore_errors=True, dir_fd=folder)

    def open(self, flags: int, mode: int = 0o666) -> int:
        """A descriptor of this file; with ``O_CREAT``, makes it and its folder with the permissions of the folder.

        Raises:
            NotOurs: it is a link, a special file, or another user's; or so is its folder.
            OSError: it cannot be opened.
        """
        with self.parent.opened_folder(make=bool(flags & os.O_CREAT)) as folder:
            return self.open_in(folder, flags, mode)

    def open_in(self, folder: int, flags: int, mode: int = 0o666) -> int:
        """As :meth:`open`, where this file's folder is open already; does not make that folder."""
        if flags & os.O_EXCL:
            return _make(self.name, folder, flags, mode)
        try:
            return open_file(self.name, flags, lambda facts: self._check(folder, facts), folder)
        except FileNotFoundError:
            if not flags & os.O_CREAT:
                raise
        except OSError as error:
            raise refusal(self, error) from error
        try:
            return _make(self.name, folder, flags, mode)
        except FileExistsError:
            return self.open_in(folder, flags, mode)  # another process was quicker

    def _check(self, folder: int, facts: os.stat_result) -> None:
        check_own(self, facts, os.fstat(folder), stat.S_ISREG)

    def check(self) -> bool:
        """Whether this file exists, before a library opens it by its path; raises as :meth:`open`."""
        # not opened: closing it again would release the locks that this process has on it
        try:
            with self.parent.opened_folder() as folder:
                return self._look(folder)
        except (FileNotFoundError, NotADirectoryError):
            return False

    def exists(self) -> bool:
        """Whether anything has this name; does not open it."""
        return os.path.lexists(self)

    def read(self) -> bytes:
        """The content of this file; raises as :meth:`open`."""
        with os.fdopen(self.open(os.O_RDONLY), "rb") as file:
            return file.read()

    def append(self, content: bytes) -> None:
        """Append to this file; makes it if necessary; raises as :meth:`open`."""
        with os.fdopen(self.open(os.O_WRONLY | os.O_CREAT | os.O_APPEND), "wb") as file:
            file.write(content)

    def replace(self, content: bytes, *, mode: int = 0, to_disk: bool = True) -> None:
        """Write this file so that every reader sees the old or the new content, complete; raises as :meth:`open`."""
        with self.replacing(mode=mode, to_disk=to_disk) as file:
            file.write(content)

    @contextmanager
    def replacing(self, *, mode: int = 0, to_disk: bool = True) -> Iterator[BinaryIO]:
        """A new file, which takes the place of this one if the block ends without an error; as :meth:`replace`."""
        with self.parent.opened_folder(make=True) as folder:
            self._look(folder)
            with replacement(self.name, folder, _make) as file:
                yield file
                file.flush()
                if mode:
                    os.fchmod(file.fileno(), mode)
                if to_disk:
                    os.fsync(file.fileno())

    def _look(self, folder: int) -> bool:
        try:
            facts = os.stat(self.name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return False
        self._check(folder, facts)
        return True

    def unlink(self) -> None:
        """Remove this file, or a link in its place, if it exists.

        Raises:
            NotOurs: its folder is a link, a file, or another user's.
            OSError: it cannot be removed.
        """
        with suppress(FileNotFoundError), self.parent.opened_folder() as folder:
            os.unlink(self.name, dir_fd=folder)

    def set_aside(self) -> OwnPath:
        """Rename this file, so that no run reads it again; the new path."""
        aside = self.beside(f"{self.name}.spoilt")
        with self.parent.opened_folder() as folder, suppress(FileNotFoundError):
            os.rename(self.name, aside.name, src_dir_fd=folder, dst_dir_fd=folder)
        return aside


def own_path(path: Path | OwnPath) -> OwnPath:
    """One of the program's files, in a folder that the user has named."""
    return path if isinstance(path, OwnPath) else OwnPath(path.parent, (path.name,))


def own_path_in_own_folder(path: Path) -> OwnPath:
    """One of the program's files, in one of the program's folders, which is in a folder that the user has named."""
    return OwnPath(path.parent.parent, (path.parent.name, path.name))


def own_folder(top: Path) -> OwnPath:
    """The folder in which a mirror keeps local files that it can rebuild."""
    return OwnPath(top, (".dandi-mirror",))


def _make(name: str, folder: int, flags: int = os.O_WRONLY, mode: int = 0o666) -> int:
    """Make a file, writable for the group if the folder is shared; the descriptor."""
    descriptor = new_file(name, folder, flags, mode)
    above = os.fstat(folder).st_mode
    if mode & 0o077 and above & SHARED == SHARED:
        os.fchmod(descriptor, above & 0o666)
    return descriptor


def _enter(above: int, path: OwnPath, make: bool) -> int:
    """Open one of the program's folders; with ``make``, make it first if necessary."""
    while True:
        try:
            descriptor = open_folder(above, path.name)
            break
        except FileNotFoundError:
            if not make:
                raise
            _make_folder(above, path.name)
        except OSError as error:
            raise refusal(path, error) from error
    try:
        check_own(path, os.fstat(descriptor), os.fstat(above), stat.S_ISDIR)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _make_folder(above: int, name: str) -> None:
    with suppress(FileExistsError):
        os.mkdir(name, dir_fd=above)
        if (mode := os.fstat(above).st_mode) & SHARED == SHARED:
            os.chmod(name, stat.S_IMODE(mode), dir_fd=above)
