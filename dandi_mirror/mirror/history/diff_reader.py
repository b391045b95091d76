"""Comparing two states of a dataset by what its git holds: no check-out, no request, and only the parts that differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from dandi_mirror.errors import UsageError
from dandi_mirror.mirror.format.record_reader import dandiset_record, lines
from dandi_mirror.mirror.format.records import TOP
from dandi_mirror.mirror.history.diff import SUMMARY, Changes, Totals, compare, count, field_changes, pair_renamed
from dandi_mirror.repo.git.dataset import Dataset
from dandi_mirror.repo.git.history import State

Parts = Mapping[str, str]
"""The files of asset records of a state, by their paths in the tree, with their object ids."""


@dataclass(frozen=True, slots=True)
class Held:
    """What a state holds, read as far as it is needed to go on to the next one."""

    parts: Parts
    record: dict[str, object]
    """The Dandiset's own."""
    totals: Totals


NOTHING = Held({}, {}, Totals())
"""What there is before the first state."""


class Comparer:
    """Compares states of one dataset, through one git."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self._open = ExitStack()
        self._reader = self._open.enter_context(dataset.reader())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def held(self, state: State) -> Held:
        """All that a state holds.

        Raises:
            UsageError: it has no asset records.
        """
        parts, totals = self._parts(state), Totals()
        count(lines(self._reader, parts.values()), totals)
        return Held(parts, self._record(state), totals)

    def changes(self, before: Held, state: State) -> tuple[Changes, Held]:
        """What leads to a state, and what it holds; of both, only the parts that differ are read.

        Raises:
            UsageError: it has no asset records.
        """
        parts, record = self._parts(state), self._record(state)
        changes = Changes(before=before.totals, after=before.totals.copy())
        for old, new in _groups(before.parts, parts):
            compare(lines(self._reader, old), lines(self._reader, new), changes)
        pair_renamed(changes)
        changes.dandiset = field_changes(before.record, record, SUMMARY) if before.record else ()
        return changes, Held(parts, record, changes.after)

    def _parts(self, state: State) -> dict[str, str]:
        tree = self._dataset.tree(state.commit, f"{TOP}.jsonl", TOP)
        if not tree:
            raise UsageError(
                f"{state.name} in {self._dataset.path} has no asset records; only what dandi-mirror made has"
            )
        return {path: oid for path, (_, oid) in tree.items()}

    def _record(self, state: State) -> dict[str, object]:
        (content,) = self._reader.read([f"{state.commit}:dandiset.yaml"])
        return dandiset_record(content)


def _groups(old: Parts, new: Parts) -> Iterator[tuple[list[str], list[str]]]:
    """The parts that differ, old and new, such that a path's records are in one group.

    By the first digit of the path's digest, so that a sixteenth of the records is in memory at a time.
    """
    shared = {name for name, oid in old.items() if new.get(name) == oid}
    whole = any(f"{TOP}.jsonl" in parts for parts in (old, new))
    for digit in [""] if whole else sorted({_digit(name) for name in (*old, *new)}):
        yield _of_digit(old, digit, shared), _of_digit(new, digit, shared)


def _of_digit(parts: Parts, digit: str, without: set[str]) -> list[str]:
    return [oid for name, oid in parts.items() if name not in without and (not digit or _digit(name) == digit)]


def _digit(name: str) -> str:
    return name[len(TOP) + 1]
