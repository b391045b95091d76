"""Where asset records stand in a version's tree: JSON Lines, split by a hash of the path.

One file ``.dandi/assets.jsonl`` while all records fit into it; else sixteen parts ``.dandi/assets/0.jsonl`` …
``f.jsonl`` by the first digit of the SHA-256 of the asset's path, a part that is still too large being a
folder of sixteen in turn.  So a change of k assets touches about k files, each small enough for any host,
and two versions share the files in which they agree.
"""

from __future__ import annotations

from array import array
from bisect import bisect
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import accumulate

from dandi_mirror.mirror.format.record_spool import Spool
from dandi_mirror.repo.git.stream import FILE, Made

OWN_TOP = (".dandi/", ".datalad/")
OWN_FILES = (".gitattributes", "dandiset.yaml")
TOP = ".dandi/assets"
LARGEST_PART = 256 * 1024  # bytes; a part with one record may be larger
_DIGITS = "0123456789abcdef"
_DEEPEST = 16
"""Digits of a path's SHA-256 that may name a part; paths that share them all stay together."""
_LENGTH = (1 << 24) - 1


Record = tuple[str, int]
"""A path and the handle of its canonical record in the spool."""


@dataclass(frozen=True, slots=True)
class RecordFile(Made):
    """One part, made of the spool's bytes when they are asked for."""

    spool: Spool
    handles: tuple[int, ...]
    """Of its records, sorted by path."""
    mode: bytes = FILE

    def content(self) -> bytes:
        """Its lines."""
        return b"".join(self.spool.get(handle) + b"\n" for handle in self.handles)


def record_length(handle: int) -> int:
    """Bytes of the record behind a handle; below zero, a handle is the length of a record that is elsewhere."""
    return handle & _LENGTH if handle >= 0 else -handle


def path_digest(path: str) -> str:
    """What decides in which part a path's record stands."""
    return sha256(path.encode()).hexdigest()


def record_files(spool: Spool, records: Iterable[Record]) -> Iterator[tuple[str, RecordFile]]:
    """The parts, by their paths in the tree, for records of distinct paths."""
    for name, members in record_parts(records):
        yield name, RecordFile(spool, tuple(handle for _, handle in sorted(members, key=in_order)))


def in_order(record: Record) -> bytes:
    """What the records of a part are sorted by: their paths' bytes, as git sorts."""
    return record[0].encode()


def record_parts(records: Iterable[Record]) -> Iterator[tuple[str, list[Record]]]:
    """The parts' paths in the tree with their members, which are not in order yet."""
    # by the digits that may count, as a number: a string of them would take twice its room
    placed = sorted((int(path_digest(record[0])[:_DEEPEST], 16), record) for record in records)
    ends = array("q", accumulate((record_length(handle) + 1 for _, (_, handle) in placed), initial=0))
    yield from _parts(placed, ends, "", 0, len(placed))


def _parts(
    placed: Sequence[tuple[int, Record]], ends: Sequence[int], digits: str, start: int, end: int
) -> Iterator[tuple[str, list[Record]]]:
    """Those below ``digits``, of the records from ``start`` to ``end``; before the i-th stand ``ends[i]`` bytes."""
    if ends[end] - ends[start] <= LARGEST_PART or end - start == 1 or len(digits) == _DEEPEST:
        yield "/".join([TOP, *digits]) + ".jsonl", [record for _, record in placed[start:end]]
        return
    for digit in _DIGITS:
        behind = int(f"{digits}{digit}".ljust(_DEEPEST, "f"), 16) + 1
        below = bisect(placed, behind, start, end, key=_number)
        if start < below:
            yield from _parts(placed, ends, digits + digit, start, below)
        start = below


def _number(placed: tuple[int, Record]) -> int:
    return placed[0]


def part_of(path: str, parts: Container[str]) -> str | None:
    """Which of the parts of a tree may hold the record of ``path``."""
    digest = path_digest(path)
    names = [TOP, *(f"{TOP}/{'/'.join(digest[:depth])}" for depth in range(1, _DEEPEST + 1))]
    return next((f"{name}.jsonl" for name in names if f"{name}.jsonl" in parts), None)


def is_part(path: str) -> bool:
    """Whether a path of a version's tree is one of the parts."""
    return path.startswith(TOP + "/") or path == TOP + ".jsonl"


def is_asset_path(path: str) -> bool:
    """Whether a path of a version's tree is an asset's, not one of the mirror's own files."""
    return not path.startswith(OWN_TOP) and path not in OWN_FILES
