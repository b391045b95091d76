"""Compare two versions of a dataset from its git objects: nothing is checked out, only files that differ are read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from hashlib import sha256
from types import TracebackType
from typing import Self

from dandi_mirror.errors import UsageError
from dandi_mirror.mirror.format.record_reader import dandiset_record, lines
from dandi_mirror.mirror.format.records import TOP
from dandi_mirror.mirror.history.compared import VersionTotals, Zarrs, part_totals
from dandi_mirror.mirror.history.diff import SUMMARY, Changes, add_states, compare_records, field_changes, pair_renamed
from dandi_mirror.mirror.state.part_totals import MANY, PartTotals, PartTotalsFile
from dandi_mirror.mirror.zarr.gitmodules import read_gitmodules
from dandi_mirror.repo.git.dataset import Dataset
from dandi_mirror.repo.git.history import Revision

Parts = Mapping[str, str]
"""The files of asset records of a version: path in the tree → object id."""


@dataclass(frozen=True, slots=True)
class VersionState:
    """What the comparison with the next version needs of a version."""

    parts: Parts
    record: dict[str, object]
    """The Dandiset's own record."""
    totals: VersionTotals
    zarrs: Zarrs
    """Its Zarrs, with the states that they have in it."""


NOTHING = VersionState({}, {}, VersionTotals(), {})
"""The empty state before the first version."""


class Comparer:
    """Compares versions of one dataset, with one running git."""

    def __init__(self, dataset: Dataset, known: PartTotalsFile | None) -> None:
        """``known`` remembers what files of records hold, if there is a place for it."""
        self._dataset = dataset
        self._known = known
        self._open = ExitStack()
        self._reader = self._open.enter_context(dataset.reader())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def read(self, state: Revision) -> VersionState:
        """Read all records of a version, besides those of files that are remembered.

        Raises:
            UsageError: it has no asset records.
        """
        parts, zarrs = self._parts(state), self._zarrs(state)
        return VersionState(parts, self._record(state), self._totals(parts, zarrs), zarrs)

    def _totals(self, parts: Parts, zarrs: Zarrs) -> VersionTotals:
        """What the files of records hold together, remembered or read."""
        if self._known and len(parts) >= MANY and (numbers := self._known.version(_key(parts, zarrs))):
            return VersionTotals.of(numbers)
        totals = VersionTotals()
        for part in self._each(parts):
            totals.add_part(part, zarrs)
        self._remember(parts, zarrs, totals)
        return totals

    def _each(self, parts: Parts) -> Iterator[PartTotals]:
        """What each file of records holds, remembered or read."""
        known = self._known.read(set(parts.values())) if self._known else {}
        new: dict[str, PartTotals] = {}
        for oid in parts.values():
            yield known.get(oid) or new.setdefault(oid, part_totals(lines(self._reader, [oid])))
        if self._known:
            self._known.add(new)

    def _held(self, parts: Parts, change: VersionTotals) -> VersionTotals:
        """How many files a version has of the subjects and sessions that a change concerns."""
        held = VersionTotals()
        for part in self._each(parts) if change.subjects or change.sessions else ():
            held.add_names(part, change)
        return held

    def _remember(self, parts: Parts, zarrs: Zarrs, totals: VersionTotals) -> None:
        """Remember the numbers of a large version."""
        if self._known and len(parts) >= MANY:
            self._known.add_version(_key(parts, zarrs), totals.numbers())

    def changes(self, before: VersionState, state: Revision) -> tuple[Changes, VersionState]:
        """Compare a version with the one ``before``; return the differences and the version's own state.

        Raises:
            UsageError: it has no asset records.
        """
        parts, record, zarrs = self._parts(state), self._record(state), self._zarrs(state)
        # where only numbers are known of the older version, what is counted is the change
        is_change = before.totals.names is not None
        changes = Changes(before=before.totals, after=VersionTotals() if is_change else before.totals.copy())
        for old, new in _groups(before.parts, parts):
            compare_records(lines(self._reader, old), lines(self._reader, new), changes, (before.zarrs, zarrs))
        add_states(changes, before.zarrs, zarrs)
        if is_change:
            held = self._held(before.parts, changes.after)
            changes.after = before.totals.plus(changes.after, held)
            changes.before = replace(before.totals, subjects=held.subjects, sessions=held.sessions)
        pair_renamed(changes)
        changes.dandiset = field_changes(before.record, record, SUMMARY) if before.record else ()
        return changes, VersionState(parts, record, changes.after, zarrs)

    def remember(self, state: VersionState) -> None:
        """Remember the totals of a state that :meth:`changes` gave: it may be the older one of the next question."""
        if self._known and len(state.parts) >= MANY and not self._known.version(_key(state.parts, state.zarrs)):
            self._remember(state.parts, state.zarrs, state.totals)

    def _parts(self, state: Revision) -> dict[str, str]:
        tree = self._dataset.tree(state.commit, f"{TOP}.jsonl", TOP)
        if not tree:
            raise UsageError(
                f"{state.name} in {self._dataset.path} has no asset records; only what dandi-mirror made has them"
            )
        return {path: oid for path, (_, oid) in tree.items()}

    def _zarrs(self, state: Revision) -> Zarrs:
        (content,) = self._reader.read([f"{state.commit}:.gitmodules"])
        return read_gitmodules(content or b"")

    def _record(self, state: Revision) -> dict[str, object]:
        (content,) = self._reader.read([f"{state.commit}:dandiset.yaml"])
        return dandiset_record(content)


def _key(parts: Parts, zarrs: Zarrs) -> str:
    """Tell which files of records, and which states of Zarrs, a version has."""
    digest = sha256()
    for name, oid in sorted(parts.items()):
        digest.update(f"{name} {oid}\n".encode())
    for path, module in sorted(zarrs.items()):
        digest.update(f"{path} {module.checksum}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def _groups(old: Parts, new: Parts) -> Iterator[tuple[list[str], list[str]]]:
    """Yield groups of old and new files of records that differ; both records of one path are in the same group.

    The groups follow the first digit of the path's digest: only a sixteenth of the records is in memory at once.
    """
    shared = {name for name, oid in old.items() if new.get(name) == oid}
    whole = any(f"{TOP}.jsonl" in parts for parts in (old, new))
    for digit in [""] if whole else sorted({_digit(name) for name in (*old, *new)}):
        yield _of_digit(old, digit, shared), _of_digit(new, digit, shared)


def _of_digit(parts: Parts, digit: str, without: set[str]) -> list[str]:
    return [oid for name, oid in parts.items() if name not in without and (not digit or _digit(name) == digit)]


def _digit(name: str) -> str:
    return name[len(TOP) + 1]
