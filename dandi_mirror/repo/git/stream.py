"""Write a ``git fast-import`` stream: values that format themselves as its commands.  Pure.

Source: git-fast-import(1).  ``feature done`` makes git refuse an incomplete stream.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from dandi_mirror.repo.git import process

IDENTITY = f"{process.NAME} <{process.EMAIL}>".encode()
"""Author, committer and tagger of every commit and tag that a mirror writes."""

FILE = b"100644"
LINK = b"120000"
GITLINK = b"160000"
FOLDER = b"040000"

_NEEDS_QUOTES = re.compile(rb'[\x00-\x1f"\\\x7f]')
_NAMED_ESCAPES = {0x22: b'\\"', 0x5C: b"\\\\", 0x0A: b"\\n"}


def quote(path: str) -> bytes:
    """A path in the format of fast-import: plain, or C-quoted if fast-import could misread a byte."""
    raw = path.encode(errors="surrogateescape")  # as a path came from git
    if not _NEEDS_QUOTES.search(raw):
        return raw
    return b'"' + _NEEDS_QUOTES.sub(lambda found: _escape(found[0][0]), raw) + b'"'


def _escape(byte: int) -> bytes:
    return _NAMED_ESCAPES.get(byte) or b"\\%03o" % byte


def data(content: bytes) -> bytes:
    """A ``data`` command with its length, so that git never takes content for a command."""
    return b"data %d\n%b\n" % (len(content), content)


def object_id(kind: bytes, content: bytes) -> bytes:
    """The id, 20 bytes, that git gives to an object of a kind: ``blob``, ``tree``, ``commit``, ``tag``."""
    return hashlib.sha1(b"%b %d\0%b" % (kind, len(content), content), usedforsecurity=False).digest()


def blob_id(content: bytes) -> str:
    """The object id that git gives to a file's content."""
    return object_id(b"blob", content).hex()


def when(time: datetime) -> bytes:
    """A date in git's raw format, in whole seconds and UTC."""
    return b"%d +0000" % int(time.timestamp())


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
