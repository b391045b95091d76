"""Where asset records stand in a version's tree: JSON Lines, split by a hash of the path.

One file ``.dandi/assets.jsonl`` while all records fit into it; else sixteen parts ``.dandi/assets/0.jsonl`` …
``f.jsonl`` by the first digit of the SHA-256 of the asset's path, a part that is still too large being a
folder of sixteen in turn.  So a change of k assets touches about k files, each small enough for any host,
and two versions share the files in which they agree.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256

from dandi_mirror.mirror.spool import Spool
from dandi_mirror.repo.stream import FILE, Made

OWN_TOP = (".dandi/", ".datalad/")
OWN_FILES = (".gitattributes", "dandiset.yaml")
TOP = ".dandi/assets"
LARGEST_PART = 256 * 1024  # bytes; a part with one record may be larger
_DIGITS = "0123456789abcdef"
_LENGTH = (1 << 24) - 1


@dataclass(frozen=True, slots=True)
class Record:
    """An asset's canonical record, by where it belongs and where its bytes are kept."""

    digest: str
    """SHA-256 of the path, in hexadecimal digits."""
    path: str
    handle: int
    """Of its bytes in the spool; the length is in the low 24 bits."""


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


def record_files(spool: Spool, records: Iterable[tuple[str, int]]) -> Iterator[tuple[str, RecordFile]]:
    """The parts, by their paths in the tree, for (path, handle) pairs of distinct paths."""
    for name, members in record_parts(records):
        yield name, RecordFile(spool, tuple(record.handle for record in members))


def record_parts(records: Iterable[tuple[str, int]]) -> Iterator[tuple[str, list[Record]]]:
    """The parts' paths in the tree with their members sorted by path, for (path, handle) pairs."""
    all_records = [Record(path_digest(path), path, handle) for path, handle in records]
    yield from _parts(TOP, all_records, 0)


def _parts(name: str, records: list[Record], depth: int) -> Iterator[tuple[str, list[Record]]]:
    size = sum(record_length(record.handle) + 1 for record in records)
    if size <= LARGEST_PART or len(records) == 1:
        # by bytes, as git sorts
        records.sort(key=lambda record: record.path.encode())
        yield f"{name}.jsonl", records
        return
    below: dict[str, list[Record]] = {digit: [] for digit in _DIGITS}
    for record in records:
        below[record.digest[depth]].append(record)
    for digit in _DIGITS:
        if below[digit]:
            yield from _parts(f"{name}/{digit}", below[digit], depth + 1)


def part_of(path: str, parts: Container[str]) -> str | None:
    """Which of the parts of a tree may hold the record of ``path``."""
    digest = path_digest(path)
    names = [TOP, *(f"{TOP}/{'/'.join(digest[:depth])}" for depth in range(1, 17))]
    return next((f"{name}.jsonl" for name in names if f"{name}.jsonl" in parts), None)


def is_part(path: str) -> bool:
    """Whether a path of a version's tree is one of the parts."""
    return path.startswith(TOP + "/") or path == TOP + ".jsonl"


def is_asset_path(path: str) -> bool:
    """Whether a path of a version's tree is an asset's, not one of the mirror's own files."""
    return not path.startswith(OWN_TOP) and path not in OWN_FILES
