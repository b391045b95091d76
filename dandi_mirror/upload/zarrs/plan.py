"""Compare the entries of a Zarr here with those in the archive: what to send, delete and keep.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

SAFE_SHARE = 0.5
"""The share of a Zarr's entries that may be deleted without a question."""
BATCH = 255
"""Entries for which the stock client asks for URLs at a time."""
BATCH_BYTES = 256 << 20
"""Bytes of the entries of a batch, unless it has only one: their URLs expire."""


class ComparedEntry(Protocol):
    """A file of a Zarr."""

    @property
    def path(self) -> str:
        """Relative to the Zarr."""

    @property
    def size(self) -> int:
        """Bytes."""

    @property
    def md5(self) -> str:
        """In hexadecimal digits."""


@dataclass(frozen=True, slots=True)
class EntryChanges:
    """What an upload does to the entries of one Zarr; paths are relative to it."""

    first: tuple[str, ...] = ()
    """Deleted before anything is sent: a file where a folder is to be, or the reverse."""
    put: tuple[int, ...] = ()
    """Sent: positions in the list of the entries here."""
    last: tuple[str, ...] = ()
    """Deleted after all is sent."""
    here: int = 0
    """How many entries there are here."""
    there: int = 0
    """How many entries the archive has."""

    @property
    def is_empty(self) -> bool:
        """Whether the archive has exactly what is here."""
        return not (self.first or self.put or self.last)

    @property
    def deleted(self) -> int:
        """How many entries are deleted."""
        return len(self.first) + len(self.last)

    @property
    def is_unsafe(self) -> bool:
        """Whether so much is deleted that the folder here may be incomplete."""
        return self.deleted > self.there * SAFE_SHARE

    def words(self) -> str:
        """``12 of 60,000 chunks changed``; for a new Zarr, how many there are."""
        if not self.there:
            return f"{self.here:,} chunk{'' if self.here == 1 else 's'}"
        gone = f", {self.deleted:,} deleted" if self.deleted else ""
        return f"{len(self.put):,} of {self.here:,} chunks changed{gone}"


def plan_entries(ours: Sequence[ComparedEntry], theirs: Mapping[str, tuple[int, str]]) -> EntryChanges:
    """The changes that make the archive's entries (size and ETag by path) those that are here."""
    put = tuple(number for number, entry in enumerate(ours) if theirs.get(entry.path) != (entry.size, entry.md5))
    paths = {entry.path for entry in ours}
    gone = sorted(theirs.keys() - paths)
    if not gone:
        return EntryChanges((), put, (), len(ours), len(theirs))
    folders = {folder for path in paths for folder in _folders(path)}
    first = tuple(path for path in gone if path in folders or not paths.isdisjoint(_folders(path)))
    last = tuple(path for path in gone if path not in set(first))
    return EntryChanges(first, put, last, len(ours), len(theirs))


def _folders(path: str) -> Iterator[str]:
    at = path.find("/")
    while at >= 0:
        yield path[:at]
        at = path.find("/", at + 1)


def batches(sizes: Iterable[tuple[int, int]], most: int = BATCH) -> Iterator[list[int]]:
    """Split entries (position and bytes of each) into batches of at most so many, each for one request for URLs."""
    batch: list[int] = []
    total, most = 0, min(most, BATCH)
    for number, size in sizes:
        if batch and (len(batch) == most or total + size > BATCH_BYTES):
            yield batch
            batch, total = [], 0
        batch.append(number)
        total += size
    if batch:
        yield batch
