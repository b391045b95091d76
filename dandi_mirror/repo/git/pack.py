"""Write git objects straight into a pack, whose ids are computed here; ``git index-pack`` checks and installs it.

For a repository of which every object is known: ``git fast-import`` would look up each path in trees that it holds, and
takes more than twice as long.  Format: git's page gitformat-pack.
"""

from __future__ import annotations

import mmap
import os
import shutil
import zlib
from bisect import bisect_left
from collections.abc import Container, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha1
from pathlib import Path
from typing import BinaryIO

from dandi_mirror.repo.git import process
from dandi_mirror.repo.git.stream import object_id

_TYPES = {b"commit": 1 << 4, b"tree": 2 << 4, b"blob": 3 << 4}
_HEADER = b"PACK\0\0\0\2"
_INDEX = b"\xfftOc\0\0\0\2"
_FANOUT = 8 + 256 * 4  # bytes of an index before the sorted ids
_OID = 20  # bytes
_PIECE = 1 << 20


class PackWriter:
    """A pack that is being written into an empty file."""

    def __init__(self, file: BinaryIO, known: Container[bytes] = ()) -> None:
        """``known`` are the ids of objects that the repository has; they are left out."""
        self._file = file
        self._known = known
        self._seen: set[bytes] = set()
        self.count = 0
        """Objects in the pack."""
        file.write(_HEADER + bytes(4))

    def put(self, kind: bytes, content: bytes) -> bytes:
        """Write an object, unless it is there already; its id."""
        oid = object_id(kind, content)
        if oid not in self._seen:
            self._seen.add(oid)
            self._write(kind, content, oid)
        return oid

    def put_new(self, kind: bytes, content: bytes) -> bytes:
        """Write an object that was not :meth:`put` before; so it need not be remembered."""
        oid = object_id(kind, content)
        self._write(kind, content, oid)
        return oid

    def _write(self, kind: bytes, content: bytes, oid: bytes) -> None:
        if self._known and oid in self._known:
            return
        self.count += 1
        size = len(content)
        first, size = _TYPES[kind] | size & 15, size >> 4
        head = bytearray()
        while size:
            head.append(first | 0x80)
            first, size = size & 0x7F, size >> 7
        head.append(first)
        self._file.write(head + zlib.compress(content, 1))

    def close(self) -> None:
        """Complete the pack: the count of its objects, and its checksum."""
        file = self._file
        file.seek(len(_HEADER))
        file.write(self.count.to_bytes(4, "big"))
        file.seek(0)
        digest = sha1(usedforsecurity=False)
        while piece := file.read(_PIECE):
            digest.update(piece)
        file.write(digest.digest())


def install(git_dir: Path, pack: BinaryIO) -> None:
    """Let a repository have the objects of a pack; git checks each, and they are on disk when this returns.

    Raises:
        DiskError, GitError: it has none of them.
    """
    pack.seek(0)
    arguments = ("index-pack", "--stdin")
    child = process.start(git_dir, arguments)
    assert child.stdin is not None
    with suppress(BrokenPipeError):  # its own words say why
        shutil.copyfileobj(pack, child.stdin, _PIECE)
    _, errors = child.communicate()
    if child.returncode:
        raise process.failure(git_dir, arguments, child.returncode, errors)


class PackedObjects(Container[bytes]):
    """The ids of the objects in the packs of a repository."""

    def __init__(self, tables: list[mmap.mmap]) -> None:
        self._tables = tables

    def __contains__(self, oid: object) -> bool:
        """Whether a pack has the object with this id of 20 bytes."""
        return isinstance(oid, bytes) and any(_has(table, oid) for table in self._tables)


@contextmanager
def packed_objects(git_dir: Path) -> Iterator[PackedObjects]:
    """Look up objects in the indexes of a repository's packs; starts no git."""
    tables = []
    try:
        for path in sorted((git_dir / "objects" / "pack").glob("*.idx")):
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                tables.append(mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ))
            finally:
                os.close(descriptor)
        yield PackedObjects([table for table in tables if table[:8] == _INDEX])
    finally:
        for table in tables:
            table.close()


def _has(table: mmap.mmap, oid: bytes) -> bool:
    def named(place: int) -> bytes:
        return table[_FANOUT + place * _OID : _FANOUT + (place + 1) * _OID]

    def up_to(first: int) -> int:
        return int.from_bytes(table[8 + first * 4 : 12 + first * 4], "big")

    start, end = up_to(oid[0] - 1) if oid[0] else 0, up_to(oid[0])
    place = bisect_left(range(end), oid, start, end, key=named)
    return place < end and named(place) == oid
