"""Write a ``git fast-import`` stream: values that format themselves as its commands.  Pure except :class:`Importer`.

Source: git-fast-import(1).  ``feature done`` makes git refuse an incomplete stream.
"""

from __future__ import annotations

import fcntl
import hashlib
import re
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Protocol

from dandi_mirror.errors import DiskError, MirrorError
from dandi_mirror.repo.git import process

IDENTITY = b"dandi-mirror <noreply@dandi-mirror.invalid>"
"""Author, committer and tagger of every commit and tag that a mirror writes."""

FILE = b"100644"
LINK = b"120000"
GITLINK = b"160000"
FOLDER = b"040000"

_NEEDS_QUOTES = re.compile(rb'[\x00-\x1f"\\\x7f]')
_NAMED_ESCAPES = {0x22: b'\\"', 0x5C: b"\\\\", 0x0A: b"\\n"}
_BUFFER = 1 << 17
_PIPE = 1 << 20
"""Bytes in the pipe, so that git can read while we make the next ones."""
# Deltas between neighbours in the stream and full compression cost a third of git's time and save at most a tenth of
# the pack; `git gc` finds better deltas later (docs/performance.md has the figures).
_FAST = ("-c", "pack.compression=1")


def quote(path: str) -> bytes:
    """A path in the format of fast-import: plain, or C-quoted if fast-import could misread a byte."""
    raw = path.encode()
    if not _NEEDS_QUOTES.search(raw):
        return raw
    return b'"' + _NEEDS_QUOTES.sub(lambda found: _escape(found[0][0]), raw) + b'"'


def _escape(byte: int) -> bytes:
    return _NAMED_ESCAPES.get(byte) or b"\\%03o" % byte


def data(content: bytes) -> bytes:
    """A ``data`` command with its length, so that git never takes content for a command."""
    return b"data %d\n%b\n" % (len(content), content)


def blob_id(content: bytes) -> str:
    """The object id that git gives to a file's content."""
    header = b"blob %d\0" % len(content)
    return hashlib.sha1(header + content, usedforsecurity=False).hexdigest()


def when(time: datetime) -> bytes:
    """A date in git's raw format, in whole seconds and UTC."""
    return b"%d +0000" % int(time.timestamp())


_QUESTIONS = 256
"""Questions at a time: few enough that git's answers fit into a pipe while it still reads."""


class TreeEntry(Protocol):
    """A file of a tree: its mode, its object id, and the command that puts it there."""

    @property
    def mode(self) -> bytes:
        """git's mode."""

    def object_id(self) -> str:
        """The object id that it has or will have."""

    def modify(self, path: bytes) -> bytes:
        """The ``M`` command for it at this path, which is quoted already."""


class NewFile:
    """A file or link whose content goes into the stream, right behind its path."""

    __slots__ = ()
    mode: bytes

    def content(self) -> bytes:
        """The content of the file, or the target of the link."""
        raise NotImplementedError

    def object_id(self) -> str:
        """The id of its blob."""
        return blob_id(self.content())

    def modify(self, path: bytes) -> bytes:
        """Its ``M`` command, followed by the content."""
        return b"M %b inline %b\n%b" % (self.mode, path, data(self.content()))


@dataclass(frozen=True, slots=True)
class Inline(NewFile):
    """A file or link whose content is in memory."""

    raw: bytes
    mode: bytes = FILE

    def content(self) -> bytes:
        """The content as given."""
        return self.raw


@dataclass(frozen=True, slots=True)
class ExistingObject:
    """An object that is in the repository or earlier in the stream."""

    oid: str
    mode: bytes = FILE

    def object_id(self) -> str:
        """Its id."""
        return self.oid

    def modify(self, path: bytes) -> bytes:
        """Its ``M`` command with its object id."""
        return b"M %b %b %b\n" % (self.mode, self.oid.encode(), path)


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit to import; its changes are relative to its first parent (``base``)."""

    ref: str
    """The temporary ref that fast-import sets to it."""
    date: datetime
    message: str
    base: str | None = None
    """An object id or ``ref^0``; None for a commit with an empty tree at its start."""
    merge: Sequence[str] = ()
    """Further parents: object ids or refs of this stream."""
    mark: int | None = None
    """A number by which the rest of the stream can name it."""

    def header(self) -> bytes:
        """The ``commit`` command up to where the changes begin."""
        date = when(self.date)
        lines = [
            b"commit %b\n" % self.ref.encode(),
            b"mark :%d\n" % self.mark if self.mark else b"",
            b"author %b %b\n" % (IDENTITY, date),
            b"committer %b %b\n" % (IDENTITY, date),
            data(self.message.encode()),
        ]
        if self.base:
            lines.append(b"from %b\n" % self.base.encode())
        # without a base, name the first parent as a merge, too, so that git does not start from its tree
        lines += [b"merge %b\n" % parent.encode() for parent in self.merge]
        return b"".join(lines)


def tag_object(target: str, name: str, date: datetime, message: str) -> bytes:
    """The content of the object of an annotated tag for the commit ``target``."""
    header = f"object {target}\ntype commit\ntag {name}\ntagger ".encode()
    return header + IDENTITY + b" " + when(date) + b"\n\n" + message.encode()


class Importer:
    """A running ``git fast-import``; at the end of its block the stream ends and we wait; after an error we kill it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._arguments = [*_FAST, "fast-import", "--quiet", "--done", "--date-format=raw", "--depth=0"]
        # git may write to stderr while it reads; it would stop if that were a pipe that fills up
        try:
            self._said = tempfile.TemporaryFile()  # noqa: SIM115
        except OSError as error:
            raise DiskError(f"{tempfile.gettempdir()}: {error.strerror}") from error
        self._child = self._start()
        self._parts: list[bytes] = []
        self._held = 0

    def _start(self) -> subprocess.Popen[bytes]:
        child = process.start(self._folder, self._arguments, stderr=self._said.fileno())
        assert child.stdin is not None
        if hasattr(fcntl, "F_SETPIPE_SZ"):
            with suppress(OSError):  # the system limits a user's memory in pipes
                fcntl.fcntl(child.stdin.fileno(), fcntl.F_SETPIPE_SZ, _PIPE)
        return child

    def __enter__(self) -> Importer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._said:
            if kind is None:
                self.finish()
            elif self._child.returncode is None:
                self._child.kill()
                self._child.communicate()

    def finish(self) -> None:
        """End the stream and wait until git has written all of it to disk; a second call does nothing."""
        if self._child.returncode is not None:
            return
        self._write(b"done\n")
        self._flush()
        self._child.communicate()
        if self._child.returncode:
            raise self._failure()

    def restart(self) -> None:
        """Continue with a new git: one keeps all names of its stream in a table of fixed size, and slows down.

        Marks are lost; refs keep their values.
        """
        self.finish()
        self._child = self._start()

    def blob(self, content: bytes) -> str:
        """Import the content of a file without putting it into a tree; return its object id."""
        self._write(b"blob\n" + data(content))
        return blob_id(content)

    def commit(self, commit: Commit, removed: Iterable[str], files: Iterable[tuple[str, TreeEntry]]) -> None:
        """Import a commit: first the removals, then the files that are new or changed."""
        self.begin(commit)
        for path in removed:
            self.remove(path)
        for path, entry in files:
            self.put(path, entry)
        self.end()

    def begin(self, commit: Commit) -> None:
        """Begin a commit; until :meth:`end`, only :meth:`put`, :meth:`write` and :meth:`remove` may follow."""
        self._write(commit.header())

    def put(self, path: str, entry: TreeEntry) -> None:
        """Set a file of the current commit; it replaces whatever the path held."""
        self._write(entry.modify(quote(path)))

    def write(self, path: bytes, content: bytes) -> None:
        """Set a regular file of the current commit; ``path`` is quoted already."""
        self._write(b"M 100644 inline %b\ndata %d\n%b\n" % (path, len(content), content))

    def remove(self, path: str) -> None:
        """Remove a file from the current commit."""
        self._write(b"D %b\n" % quote(path))

    def end(self) -> None:
        """End the current commit."""
        self._write(b"\n")

    def ids(self, mark: int, paths: Sequence[str]) -> list[str]:
        """The object ids of paths in a marked commit of this stream, in order; empty for a path that does not exist."""
        assert self._child.stdout is not None
        found: list[str] = []
        for start in range(0, len(paths), _QUESTIONS):
            batch = paths[start : start + _QUESTIONS]
            for path in batch:
                self._write(b"ls :%d %b\n" % (mark, quote(path)))
            self._flush()
            for _ in batch:
                # mode, type, id, tab, path; or "missing" and the path; nothing if git has died
                answer = self._child.stdout.readline().split()
                if not answer:
                    raise self._failure()
                found.append(answer[2].decode() if answer[0] != b"missing" else "")
        return found

    def _write(self, piece: bytes) -> None:
        self._parts.append(piece)
        self._held += len(piece)
        if self._held >= _BUFFER:
            self._flush()

    def _flush(self) -> None:
        assert self._child.stdin is not None
        try:
            self._child.stdin.write(b"".join(self._parts))
            self._child.stdin.flush()
        except BrokenPipeError:
            raise self._failure() from None
        finally:
            self._parts, self._held = [], 0

    def _failure(self) -> MirrorError:
        """The error for a git that died, with git's own message."""
        self._child.communicate()
        self._said.seek(0)
        return process.failure(self._folder, self._arguments, self._child.returncode, self._said.read())
