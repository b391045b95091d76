"""What changed between two states of a Zarr: every entry once, whatever the states are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dandi_mirror.archive.zarr_entry import ZarrEntry
from dandi_mirror.mirror.zarr.differences import METADATA, EntryChange, compare_states
from dandi_mirror.mirror.zarr.entries import in_order
from tests.support.values import QUICK
from tests.support.zarr_entries import ENTRIES, MD5S, NAMES

pytestmark = pytest.mark.quick

EDITS = st.dictionaries(NAMES, st.none() | MD5S, max_size=6)


def edited(entries: list[ZarrEntry], edits: dict[str, str | None]) -> list[ZarrEntry]:
    """The entries after some were put and others were deleted."""
    held = {entry.path: entry for entry in entries}
    for path, etag in edits.items():
        if etag is None:
            held.pop(path, None)
        else:
            held[path] = ZarrEntry(path, 5, etag)
    return in_order(held.values())


@QUICK
@given(ENTRIES, EDITS)
def test_the_changes_are_those_of_the_entries_as_sets(old: list[ZarrEntry], edits: dict[str, str | None]) -> None:
    new = edited(old, edits)
    heard: list[EntryChange] = []
    found = compare_states(old, new, heard.append)
    before = {entry.path: (entry.size, entry.etag) for entry in old}
    after = {entry.path: (entry.size, entry.etag) for entry in new}
    kinds = {change.path: change.kind for change in heard}
    assert len(kinds) == len(heard), "each path once"
    assert kinds == (
        dict.fromkeys(after.keys() - before.keys(), "added")
        | dict.fromkeys(before.keys() - after.keys(), "removed")
        | {path: "changed" for path in before.keys() & after.keys() if before[path] != after[path]}
    )
    chunks = [path for path in kinds if path.rpartition("/")[2] not in METADATA]
    assert found.chunks.differing == len(chunks) == sum(counts.differing for counts in found.arrays.values())
    assert sorted(found.metadata) == sorted(kinds.keys() - set(chunks))
    assert found.chunks.entries == sum(path.rpartition("/")[2] not in METADATA for path in after)
    assert found.size == sum(after[path][0] for path in kinds if path in after)


@QUICK
@given(ENTRIES)
def test_a_state_sent_again_does_not_differ_from_itself(entries: list[ZarrEntry]) -> None:
    again = [entry._replace(version_id="other", modified="2030-01-01T00:00:00Z") for entry in entries]
    found = compare_states(entries, again)
    assert not found.chunks.differing and not found.metadata and not found.arrays


@QUICK
@given(ENTRIES, ENTRIES)
def test_the_way_back_is_the_reverse(old: list[ZarrEntry], new: list[ZarrEntry]) -> None:
    there, back = compare_states(old, new), compare_states(new, old)
    assert (there.chunks.added, there.chunks.removed) == (back.chunks.removed, back.chunks.added)
    assert (there.chunks.changed, there.metadata) == (back.chunks.changed, back.metadata)


def a_state(*changed: str, without: tuple[str, ...] = (), level_1: bool = True) -> list[ZarrEntry]:
    chunks = [f"{level}/{y}/{x}" for level in (0, 1) for y in range(10) for x in range(10)]
    paths = [*chunks, ".zattrs", ".zgroup", "0/.zarray", "1/.zarray"]
    return in_order(
        ZarrEntry(path, 5, ("b" if path in changed else "a") * 32)
        for path in paths
        if path not in without and (level_1 or not path.startswith("1/"))
    )


@pytest.mark.parametrize(
    ("new", "words"),
    [
        (a_state("0/1/1", "0/2/2"), "2 of 200 chunks changed, in level 0"),
        (a_state("0/1/1", "1/2/2", ".zattrs"), "2 of 200 chunks changed, in levels 0, 1; metadata changed: .zattrs"),
        (a_state(without=("1/0/0",)), "1 removed, in level 1"),
        (a_state(level_1=False), "100 removed, in level 1; metadata changed: 1/.zarray"),
        (a_state(), "0 of 200 chunks changed"),
    ],
)
def test_the_words_for_people(new: list[ZarrEntry], words: str) -> None:
    assert compare_states(a_state(), new).words() == words


def test_chunks_of_format_3_count_for_the_array_they_are_in() -> None:
    paths = ["labels/zarr.json", "raw/c/0/0", "raw/c/0/1", "raw/zarr.json", "zarr.json"]
    old = [ZarrEntry(path, 5, "a" * 32) for path in paths]
    new = [entry._replace(etag="b" * 32) if entry.path == "raw/c/0/1" else entry for entry in old]
    found = compare_states(old, new)
    assert found.words() == "1 of 2 chunks changed, in array raw"
    assert found.arrays["raw"].entries == 2
