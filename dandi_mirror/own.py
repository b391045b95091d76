"""The program's own files and folders: opened without following links, and only if they may be ours.

A mirror or a clone may come from somebody else, with a link where one of our files would be.  So each of our files is
opened relative to its folder, each folder relative to the one above it, up to a top that the user has named.  What is
a link, no regular file, or another user's is refused by name.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from dandi_mirror.errors import DiskError

_SAFE = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_SHARED = stat.S_ISGID | stat.S_IWGRP
"""What git gives to the folders of a repository that is shared (``core.sharedRepository``)."""


class NotOurs(DiskError):
    """Something that is not ours stands where a file or folder of ours would be."""


@dataclass(frozen=True, slots=True)
class OwnPath:
    """A file or folder of ours below a ``top``, which alone may be reached through links."""

    top: Path
    parts: tuple[str, ...]

    def __truediv__(self, name: str) -> OwnPath:
        """What is called ``name`` in this folder."""
        return OwnPath(self.top, (*self.parts, name))

    def __fspath__(self) -> str:
        """The path; only to be shown, or given to a program after :meth:`check`."""
        return os.path.join(self.top, *self.parts)  # noqa: PTH118

    def __str__(self) -> str:
        """The path, to be shown."""
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
        """The folder that this is in."""
        return OwnPath(self.top, self.parts[:-1])

    def beside(self, name: str) -> OwnPath:
        """What is called ``name`` in the same folder."""
        return self.parent / name

    # --- folders ------------------------------------------------------------------------------------------------

    @contextmanager
    def opened_folder(self, *, make: bool = False) -> Iterator[int]:
        """This folder's descriptor; with ``make``, those that are missing are made.

        Raises:
            NotOurs: one on the way is a link, a file, or another user's.
            OSError: the folder is not there, or cannot be opened or made.
        """
        if make:
            self.top.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.top, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for depth, part in enumerate(self.parts, 1):
                inner = _open_folder(descriptor, part, OwnPath(self.top, self.parts[:depth]), make)
                os.close(descriptor)
                descriptor = inner
            yield descriptor
        finally:
            os.close(descriptor)

    def make_folder(self, sharing: Callable[[int], int] = int) -> None:
        """Make this folder, unless it is there; ``sharing`` gives the permissions that it is to have.

        Raises as :meth:`opened_folder`.
        """
        with self.opened_folder(make=True) as folder:
            held = stat.S_IMODE(os.fstat(folder).st_mode)
            if (wanted := sharing(held)) != held:
                os.fchmod(folder, wanted)

    def is_folder(self) -> bool:
        """Whether this folder is there.

        Raises:
            NotOurs: something else is.
        """
        try:
            with self.opened_folder():
                return True
        except (FileNotFoundError, NotADirectoryError):
            return False

    def names(self, ending: str = "") -> list[str]:
        """What is in this folder, sorted; nothing when it is not there."""
        try:
            with self.opened_folder() as folder:
                return sorted(name for name in os.listdir(folder) if name.endswith(ending))  # noqa: PTH208
        except OSError:
            return []

    def clear(self) -> None:
        """Remove this folder and all that is in it, as far as that can be done; links in it are not followed."""
        with suppress(OSError), self.parent.opened_folder() as folder:
            shutil.rmtree(self.name, ignore_errors=True, dir_fd=folder)

    # --- files --------------------------------------------------------------------------------------------------

    def open(self, flags: int, mode: int = 0o666) -> int:
        """A descriptor of this file; with ``O_CREAT``, it and its folder are made with the permissions of the folder.

        Raises:
            NotOurs: it is a link, no regular file, or another user's; or its folder is not ours.
            OSError: it cannot be opened.
        """
        with self.parent.opened_folder(make=bool(flags & os.O_CREAT)) as folder:
            return self._open(folder, flags, mode)

    def _open(self, folder: int, flags: int, mode: int) -> int:
        if flags & os.O_EXCL:
            return self._make(folder, flags, mode)
        try:
            # looked at before anything is cut off
            descriptor = os.open(self.name, flags & ~(os.O_CREAT | os.O_TRUNC) | _SAFE, dir_fd=folder)
        except FileNotFoundError:
            if not flags & os.O_CREAT:
                raise
            return self._make(folder, flags, mode)
        except OSError as error:
            raise _refusal(self, error) from error
        try:
            _check(self, os.fstat(descriptor), os.fstat(folder), stat.S_ISREG)
            os.set_blocking(descriptor, True)
            if flags & os.O_TRUNC:
                os.ftruncate(descriptor, 0)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def _make(self, folder: int, flags: int, mode: int) -> int:
        try:
            descriptor = os.open(self.name, flags | os.O_EXCL | os.O_CLOEXEC, mode, dir_fd=folder)
        except FileExistsError:
            if flags & os.O_EXCL:
                raise
            return self._open(folder, flags, mode)  # another process was quicker
        held = os.fstat(folder).st_mode
        if mode & 0o077 and held & _SHARED == _SHARED:
            os.fchmod(descriptor, held & 0o666)
        return descriptor

    def check(self) -> bool:
        """Whether this file is there, for what opens it by its path; raises as :meth:`open`.

        It is not opened: to close it again would take away the locks that this process has on it.
        """
        try:
            with self.parent.opened_folder() as folder:
                return self._look(folder)
        except (FileNotFoundError, NotADirectoryError):
            return False

    def exists(self) -> bool:
        """Whether anything of this name is there; nothing is opened."""
        return os.path.lexists(self)

    def read(self) -> bytes:
        """What is in this file; raises as :meth:`open`."""
        with os.fdopen(self.open(os.O_RDONLY), "rb") as file:
            return file.read()

    def append(self, content: bytes) -> None:
        """Add to this file, which need not be there yet; raises as :meth:`open`."""
        with os.fdopen(self.open(os.O_WRONLY | os.O_CREAT | os.O_APPEND), "wb") as file:
            file.write(content)

    def replace(self, content: bytes, *, mode: int = 0, to_disk: bool = True) -> None:
        """Write this file, so that a reader has the old one or the new one, whole; raises as :meth:`open`."""
        made = self.beside(f".{self.name}.{os.getpid()}")
        with self.parent.opened_folder(make=True) as folder:
            with suppress(FileNotFoundError):
                os.unlink(made.name, dir_fd=folder)  # left by a process that was killed; or a link
            self._look(folder)
            try:
                with os.fdopen(made._open(folder, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666), "wb") as file:
                    file.write(content)
                    file.flush()
                    if mode:
                        os.fchmod(file.fileno(), mode)
                    if to_disk:
                        os.fsync(file.fileno())
                os.rename(made.name, self.name, src_dir_fd=folder, dst_dir_fd=folder)
            except BaseException:
                with suppress(OSError):
                    os.unlink(made.name, dir_fd=folder)
                raise

    def _look(self, folder: int) -> bool:
        try:
            facts = os.stat(self.name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return False
        _check(self, facts, os.fstat(folder), stat.S_ISREG)
        return True

    def unlink(self) -> None:
        """Remove this file, or a link in its place, if it is there.

        Raises:
            NotOurs: its folder is not ours.
            OSError: it cannot be removed.
        """
        with suppress(FileNotFoundError), self.parent.opened_folder() as folder:
            os.unlink(self.name, dir_fd=folder)

    def set_aside(self) -> OwnPath:
        """Give this file another name, under which nobody looks for it; the name."""
        aside = self.beside(f"{self.name}.spoilt")
        with self.parent.opened_folder() as folder, suppress(FileNotFoundError):
            os.rename(self.name, aside.name, src_dir_fd=folder, dst_dir_fd=folder)
        return aside


def own_path(path: Path | OwnPath) -> OwnPath:
    """A file of ours in a folder that the user has named."""
    return path if isinstance(path, OwnPath) else OwnPath(path.parent, (path.name,))


def own_folder(top: Path) -> OwnPath:
    """The folder in which a mirror keeps what is local and derived."""
    return OwnPath(top, (".dandi-mirror",))


def _open_folder(above: int, part: str, path: OwnPath, make: bool) -> int:
    while True:
        try:
            descriptor = os.open(part, _FOLDER, dir_fd=above)
            break
        except FileNotFoundError:
            if not make:
                raise
            _make_folder(above, part)
        except OSError as error:
            raise _refusal(path, error) from error
    try:
        _check(path, os.fstat(descriptor), os.fstat(above), stat.S_ISDIR)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _make_folder(above: int, part: str) -> None:
    with suppress(FileExistsError):
        os.mkdir(part, dir_fd=above)
        if (held := os.fstat(above).st_mode) & _SHARED == _SHARED:
            os.chmod(part, stat.S_IMODE(held), dir_fd=above)


def _check(path: OwnPath, facts: os.stat_result, above: os.stat_result, kind: Callable[[int], bool]) -> None:
    """Refuse what is of another kind, or another user's than the folder's: unless a group shares that folder."""
    if not kind(facts.st_mode):
        raise _strange(path, facts.st_mode)
    shared = above.st_mode & stat.S_IWGRP and not above.st_mode & (stat.S_IWOTH | stat.S_ISVTX)
    if facts.st_uid not in {os.geteuid(), 0, above.st_uid} and not shared:
        raise NotOurs(
            f"{path} belongs to another user (number {facts.st_uid}), and the folder that it is in is not shared with"
            f" a group; look at it, then take it away: rm -r {path}"
        )


def _refusal(path: OwnPath, error: OSError) -> OSError | NotOurs:
    """What an error at opening is to the user: something strange that is there, or what the system says."""
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        return error
    wanted = error.errno in {errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.ENXIO, errno.EMLINK}
    return _strange(path, mode) if wanted else error


def _strange(path: OwnPath, mode: int) -> NotOurs:
    if stat.S_ISLNK(mode):
        why = "is a link, and dandi-mirror follows none to files of its own; see where it leads"
    elif stat.S_ISDIR(mode):
        why = "is a folder, where dandi-mirror keeps a file of its own; look into it"
    elif stat.S_ISREG(mode):
        why = "is a file, where dandi-mirror keeps a folder of its own; look at it"
    else:
        why = "is no regular file, and dandi-mirror keeps one of its own there"
    return NotOurs(f"{path} {why}, then move it away: mv {path} {path}.away")
