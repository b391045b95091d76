"""Read many objects of a repository through one git process."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dandi_mirror.errors import DiskError, MirrorError
from dandi_mirror.repo.git import process
from dandi_mirror.repo.git.process import DamagedError, GitError, PartialCloneError

_COMMAND = ("cat-file", "--batch-command", "--buffer")
_BATCH = 1024
LARGEST = 64 << 20
"""Bytes of an object; in a repository from somebody else, an object may be larger than the memory."""
_PIECE = 1 << 20


class ObjectReader:
    """A running ``git cat-file``, which reads a batch of names before it answers."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        # a pipe that nobody empties would fill up and stop git
        try:
            self._said = tempfile.TemporaryFile()  # noqa: SIM115
        except OSError as error:
            raise DiskError.of(tempfile.gettempdir(), error) from error
        self._child = process.start(folder, _COMMAND, stderr=self._said.fileno())
        self._owed = 0

    @property
    def owes(self) -> bool:
        """Whether git still has to answer: somebody asked, and did not read on."""
        return self._owed > 0

    def read(self, names: list[str], most: int = LARGEST, instead: bytes | None = None) -> Iterator[bytes | None]:
        """The content of each named file, in order; None if it does not exist or is a folder.

        Names are object ids or ``ref:path`` without a newline.  A file of more than ``most`` bytes gives ``instead``.

        Raises:
            GitError: a file is larger than that, and nothing is to be given instead.
            DamagedError: git cannot read an object.
            PartialCloneError: git would have to ask for an object.
        """
        for start in range(0, len(names), _BATCH):
            batch = names[start : start + _BATCH]
            self._ask(batch)
            yield from (self._one(name, most, instead) for name in batch)

    def commit(self, name: str) -> bytes | None:
        """A commit as git keeps it; None if there is none of this name.  Raises as :meth:`read`."""
        self._ask([name])
        return self._one(name, LARGEST, None, b"commit")

    def _ask(self, names: list[str]) -> None:
        assert self._child.stdin is not None
        asked = "".join(f"contents {name}\n" for name in names).encode(errors="surrogateescape")
        try:
            self._child.stdin.write(asked + b"flush\n")
            self._child.stdin.flush()
        except BrokenPipeError:
            raise self._cut_off() from None
        self._owed += len(names)

    def _one(self, name: str, most: int, instead: bytes | None, wanted: bytes = b"blob") -> bytes | None:
        found = self._answer(name, most, instead, wanted)
        self._owed -= 1
        return found

    def _answer(self, name: str, most: int, instead: bytes | None, wanted: bytes) -> bytes | None:
        assert self._child.stdout is not None
        header = self._child.stdout.readline()
        if header.endswith(b" missing\n") or header.endswith(b" ambiguous\n"):
            self._check_damage()
            return None
        if not header.endswith(b"\n"):
            raise self._cut_off()
        kind, size = header.split(b" ")[-2], int(header.split(b" ")[-1])
        if kind != wanted or size > most:
            self._pass_over(size + 1)
            if kind == wanted and instead is None:
                raise GitError(f"{self._folder}: {name:.200} has {size:,} bytes, but a sync puts no file of more than "
                               f"{most:,} into git; do not use this repository, get the Dandiset again")  # fmt: skip
            return instead if kind == wanted else None
        content = self._child.stdout.read(size + 1)
        if len(content) <= size:
            raise self._cut_off()
        return content[:-1]

    def _check_damage(self) -> None:
        """Raise what git says if it calls an object missing that is damaged, or that it could ask for."""
        if os.fstat(self._said.fileno()).st_size:
            self._said.seek(0)
            error = process.failure(self._folder, _COMMAND, 0, self._said.read())
            if isinstance(error, DamagedError | PartialCloneError):
                raise error

    def _pass_over(self, count: int) -> None:
        assert self._child.stdout is not None
        while count:
            if not (piece := self._child.stdout.read(min(count, _PIECE))):
                raise self._cut_off()
            count -= len(piece)

    def _cut_off(self) -> MirrorError:
        """git has died; its own words say why."""
        self._child.communicate()
        self._said.seek(0)
        return process.failure(self._folder, _COMMAND, self._child.returncode, self._said.read())

    def close(self) -> None:
        """End the program."""
        self._child.kill()
        self._child.communicate()
        self._said.close()


class _Kept(threading.local):
    """The process that a thread keeps, while nobody uses it."""

    folder: Path | None = None
    """None: the thread keeps none now, or somebody uses it."""
    reader: ObjectReader | None = None

    def set(self, folder: Path | None, reader: ObjectReader | None) -> None:
        self.folder, self.reader = folder, reader


_kept = _Kept()


@contextmanager
def one_reader(folder: Path) -> Iterator[None]:
    """Within the block, this thread reads the objects of a repository through one process, from when it needs one."""
    _kept.set(folder, None)
    try:
        yield
    finally:
        if reader := _kept.reader:
            reader.close()
        _kept.set(None, None)


@contextmanager
def opened_reader(folder: Path) -> Iterator[ObjectReader]:
    """A reader of a repository: that of :func:`one_reader`, or, if somebody uses that already, a new one."""
    is_kept, reader = _kept.folder == folder, _kept.reader
    if is_kept:
        _kept.set(None, None)
    else:
        reader = None
    reader = reader or ObjectReader(folder)
    can_stay = False
    try:
        yield reader
        can_stay = is_kept and not reader.owes
    finally:
        if not can_stay:
            reader.close()
        if is_kept:
            _kept.set(folder, reader if can_stay else None)
