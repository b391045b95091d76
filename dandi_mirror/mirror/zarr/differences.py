"""What changed between two states of a Zarr: how many entries, in which arrays; no input or output."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from dandi_mirror.archive.zarr_entry import ZarrEntry
from dandi_mirror.mirror.zarr.entries import entry_order
from dandi_mirror.text import some

METADATA = frozenset({".zarray", ".zattrs", ".zgroup", ".zmetadata", "zarr.json"})
"""Names of entries that describe arrays and groups; every other entry counts as a chunk."""
_OF_ARRAYS = frozenset({".zarray", "zarr.json"})


class EntryChange(NamedTuple):
    """An entry that two states do not have in the same way; at least one of them has it."""

    old: ZarrEntry | None
    new: ZarrEntry | None

    @property
    def path(self) -> str:
        """Relative to the Zarr."""
        return (self.new or self.old).path  # type: ignore[union-attr]

    @property
    def kind(self) -> str:
        """``added``, ``removed`` or ``changed``."""
        return "added" if self.old is None else "removed" if self.new is None else "changed"


@dataclass(slots=True)
class EntryCounts:
    """Numbers of entries."""

    entries: int = 0
    """In the newer state."""
    added: int = 0
    removed: int = 0
    changed: int = 0
    """Other content at the same path."""

    @property
    def differing(self) -> int:
        """How many differ in any way."""
        return self.added + self.removed + self.changed

    def include(self, other: EntryCounts) -> None:
        """Add the numbers of a part."""
        self.entries += other.entries
        self.added += other.added
        self.removed += other.removed
        self.changed += other.changed


@dataclass(slots=True)
class ZarrChanges:
    """The differences between two states of a Zarr."""

    chunks: EntryCounts = field(default_factory=EntryCounts)
    """Of all entries that are not metadata."""
    arrays: dict[str, EntryCounts] = field(default_factory=dict)
    """The chunks by the innermost array that they are in, by its path; empty for the top, or for chunks in none.  Only
    arrays with differences."""
    metadata: list[str] = field(default_factory=list)
    """The paths of metadata that differ, sorted."""
    size: int = 0
    """Bytes of the entries that are new or changed."""

    def words(self) -> str:
        """``12 of 60,000 chunks changed, in level 0; metadata changed: .zattrs``."""
        counts, total = self.chunks, max(self.chunks.entries, self.chunks.removed)
        parts = [f"{counts.changed:,} of {total:,} chunks changed"] if counts.changed or not counts.differing else []
        parts += [f"{number:,} {what}" for number, what in ((counts.added, "added"), (counts.removed, "removed"))
                  if number]  # fmt: skip
        where = f", in {_places(list(self.arrays))}" if self.arrays and "" not in self.arrays else ""
        changed = f"; metadata changed: {some(self.metadata, 3)}" if self.metadata else ""
        return f"{', '.join(parts)}{where}{changed}"


def _places(arrays: list[str]) -> str:
    """Name arrays; those of an OME-Zarr are called by the number of their level."""
    noun = "level" if all(path.isdigit() for path in arrays) else "array"
    return f"{noun}{'s' if len(arrays) > 1 else ''} {some(arrays)}"


def changes(old: Iterable[ZarrEntry], new: Iterable[ZarrEntry]) -> Iterator[tuple[EntryChange | None, ZarrEntry]]:
    """Yield each path of two states, sorted by :func:`.entry_order`: its newest entry, and the change if it differs.

    Only size and ETag count, not the versions and times of S3.
    """
    ours, theirs = iter(new), iter(old)
    entry, other = next(ours, None), next(theirs, None)
    while entry is not None or other is not None:
        if other is None or (entry is not None and entry_order(entry.path) < entry_order(other.path)):
            assert entry is not None
            yield EntryChange(None, entry), entry
            entry = next(ours, None)
        elif entry is None or entry_order(other.path) < entry_order(entry.path):
            yield EntryChange(other, None), other
            other = next(theirs, None)
        else:
            same = (entry.size, entry.etag) == (other.size, other.etag)
            yield None if same else EntryChange(other, entry), entry
            entry, other = next(ours, None), next(theirs, None)


def compare_states(
    old: Iterable[ZarrEntry], new: Iterable[ZarrEntry], on_change: Callable[[EntryChange], object] = lambda change: None
) -> ZarrChanges:
    """Count what changed; both states are sorted by :func:`.entry_order`, ``on_change`` gets each difference."""
    found = ZarrChanges()
    folders: dict[str, EntryCounts] = {}
    arrays: set[str] = set()
    for change, entry in changes(old, new):
        folder, _, name = entry.path.rpartition("/")
        if change:
            on_change(change)
            found.size += change.new.size if change.new else 0
        if name in METADATA:
            found.metadata += [entry.path] if change else []
            if name in _OF_ARRAYS:
                arrays.add(folder)
        else:
            _count(folders.setdefault(folder, EntryCounts()), change)
    for folder, counts in folders.items():
        found.chunks.include(counts)
        found.arrays.setdefault(_array_of(folder, arrays), EntryCounts()).include(counts)
    found.arrays = {path: counts for path, counts in sorted(found.arrays.items()) if counts.differing}
    return found


def _count(counts: EntryCounts, change: EntryChange | None) -> None:
    counts.entries += change is None or change.new is not None
    if change:
        setattr(counts, change.kind, getattr(counts, change.kind) + 1)


def _array_of(folder: str, arrays: set[str]) -> str:
    """The innermost folder with an array's metadata that a folder is or is in; empty if there is none."""
    while folder and folder not in arrays:
        folder = folder.rpartition("/")[0]
    return folder
