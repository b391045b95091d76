"""The files of asset records in a version's tree: JSON Lines, split by a hash of the asset's path.

There is one file ``.dandi/assets.jsonl`` if all records fit into it.  Otherwise there are sixteen parts
``.dandi/assets/0.jsonl`` … ``f.jsonl``, by the first digit of the SHA-256 of the asset's path, and a part that is still
too large is a folder of sixteen in turn.  So a change of k assets changes about k files, each small enough for any
host, and two versions share the files in which they agree.
"""

from __future__ import annotations

from array import array
from bisect import bisect
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import accumulate
from typing import NamedTuple, Self

from dandi_mirror.mirror.format.record_spool import Spool, length_of
from dandi_mirror.model import SpoolHandle
from dandi_mirror.repo.git.stream import FILE, NewFile

OWN_TOP = (".dandi/", ".datalad/")
OWN_FILES = (".gitattributes", ".gitmodules", "dandiset.yaml")
TOP = ".dandi/assets"
LARGEST_PART = 256 * 1024  # bytes; a part with one record may be larger
_DIGITS = "0123456789abcdef"
_DEEPEST = 16
"""Digits of a path's SHA-256 that may name a part; paths that share them all stay together."""


class StoredRecord(NamedTuple):
    """Where the canonical record of a path is; a tuple, because there is one for each asset."""

    path: str
    handle: SpoolHandle | None
    """In the spool; None: in the branch's tree, from which it was not read again."""
    length: int
    """Bytes."""

    @classmethod
    def in_spool(cls, path: str, handle: SpoolHandle) -> Self:
        """One that the spool has."""
        return cls(path, handle, length_of(handle))


@dataclass(frozen=True, slots=True)
class RecordFile(NewFile):
    """One part, whose content is read from the spool when it is needed."""

    spool: Spool
    handles: tuple[SpoolHandle, ...]
    """Of its records, sorted by path."""
    mode: bytes = FILE

    def content(self) -> bytes:
        """The lines of the file."""
        return b"".join(self.spool.get(handle) + b"\n" for handle in self.handles)


def path_digest(path: str) -> str:
    """The digest that decides which part has a path's record."""
    return sha256(path.encode(errors="surrogateescape")).hexdigest()


def record_files(spool: Spool, records: Iterable[StoredRecord]) -> Iterator[tuple[str, RecordFile]]:
    """The parts, by their paths in the tree, for records of distinct paths that are all in the spool."""
    for name, members in record_parts(records):
        handles = (record.handle for record in sorted(members, key=in_order))
        yield name, RecordFile(spool, tuple(handle for handle in handles if handle is not None))


def in_order(record: StoredRecord) -> bytes:
    """The key by which the records of a part are sorted: the bytes of their paths, as git sorts."""
    return record.path.encode()


def record_parts(records: Iterable[StoredRecord]) -> Iterator[tuple[str, list[StoredRecord]]]:
    """The paths of the parts in the tree, with their records, which are not in order yet."""
    # by the digits that may count, as a number: a string of them would take twice its room
    placed = sorted((int(path_digest(record.path)[:_DEEPEST], 16), record) for record in records)
    ends = array("q", accumulate((record.length + 1 for _, record in placed), initial=0))
    yield from _parts(placed, ends, "", 0, len(placed))


def _parts(
    placed: Sequence[tuple[int, StoredRecord]], ends: Sequence[int], digits: str, start: int, end: int
) -> Iterator[tuple[str, list[StoredRecord]]]:
    """The parts below ``digits``, of the records from ``start`` to ``end``; ``ends[i]`` bytes come before the i-th."""
    if ends[end] - ends[start] <= LARGEST_PART or end - start == 1 or len(digits) == _DEEPEST:
        yield "/".join([TOP, *digits]) + ".jsonl", [record for _, record in placed[start:end]]
        return
    for digit in _DIGITS:
        behind = int(f"{digits}{digit}".ljust(_DEEPEST, "f"), 16) + 1
        below = bisect(placed, behind, start, end, key=_number)
        if start < below:
            yield from _parts(placed, ends, digits + digit, start, below)
        start = below


def _number(placed: tuple[int, StoredRecord]) -> int:
    return placed[0]


def record_part_of(path: str, parts: Container[str]) -> str | None:
    """Which of the parts of a tree may hold the record of ``path``."""
    digest = path_digest(path)
    names = [TOP, *(f"{TOP}/{'/'.join(digest[:depth])}" for depth in range(1, _DEEPEST + 1))]
    return next((f"{name}.jsonl" for name in names if f"{name}.jsonl" in parts), None)


def is_part(path: str) -> bool:
    """Whether a path of a version's tree is a part's."""
    return path.startswith(TOP + "/") or path == TOP + ".jsonl"


def is_asset_path(path: str) -> bool:
    """Whether a path of a version's tree is an asset's, not one of the mirror's own files."""
    return not path.startswith(OWN_TOP) and path not in OWN_FILES
