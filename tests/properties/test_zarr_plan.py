"""What an upload changes within a Zarr: carried out, the archive has what is here, with the stock checksum."""

from __future__ import annotations

from hashlib import md5
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zarr_checksum.tree import ZarrChecksumTree

from dandi_mirror.errors import PartError
from dandi_mirror.mirror.sync.draft import SyncedDraft
from dandi_mirror.model import RemoteFile
from dandi_mirror.paths import conflicts
from dandi_mirror.upload.change.local_state import LocalState
from dandi_mirror.upload.change.plan import Action, LocalFile, UploadPlan, make_upload_plan
from dandi_mirror.upload.zarrs.local import LocalEntry
from dandi_mirror.upload.zarrs.notes import ZarrNotes
from dandi_mirror.upload.zarrs.plan import BATCH, BATCH_BYTES, EntryChanges, batches, plan_entries
from dandi_mirror.workflows.upload.request import UploadRequest
from dandi_mirror.workflows.upload.zarrs import known_zarrs
from dandi_mirror.zarr_checksum import zarr_checksum
from tests.support.values import QUICK

pytestmark = pytest.mark.quick

PLACES = (".zattrs", "0", "0/.zarray", "0/0", "0/0/0", "0/0/1", "0-a/0", "0.a/0", "é/0", "z")
ZARRS = st.dictionaries(st.sampled_from(PLACES), st.integers(0, 3), max_size=8).filter(lambda held: not conflicts(held))

Zarr = dict[str, int]


def here(held: Zarr) -> list[LocalEntry]:
    return [LocalEntry(path, size, md5(b"%d" % size).hexdigest(), None) for path, size in sorted(held.items())]


def listed(held: Zarr) -> dict[str, tuple[int, str]]:
    return {entry.path: (entry.size, entry.md5) for entry in here(held)}


@QUICK
@given(ZARRS)
def test_the_checksum_is_that_of_the_stock_package(held: Zarr) -> None:
    tree = ZarrChecksumTree()
    for entry in here(held):
        tree.add_leaf(Path(entry.path), entry.size, entry.md5)
    assert zarr_checksum((entry.path, entry.size, entry.md5) for entry in here(held)) == str(tree.process())


@QUICK
@given(ZARRS, ZARRS)
def test_after_the_changes_the_archive_has_what_is_here_and_never_a_file_in_the_place_of_a_folder(
    ours: Zarr, theirs: Zarr
) -> None:
    local, there = here(ours), listed(theirs)
    changes = plan_entries(local, there)
    for path in changes.first:
        del there[path]
    assert not conflicts([*there, *(local[number].path for number in changes.put)])
    for number in changes.put:
        assert there.get(local[number].path) != (local[number].size, local[number].md5), "nothing is sent twice"
        there[local[number].path] = local[number].size, local[number].md5
    for path in changes.last:
        del there[path]
    assert there == listed(ours)
    assert changes.is_empty == (ours == theirs)


@QUICK
@given(st.lists(st.integers(0, BATCH_BYTES), max_size=600), st.integers(1, 2 * BATCH))
def test_batches_have_every_entry_once_in_order_and_are_small(sizes: list[int], most: int) -> None:
    made = list(batches(enumerate(sizes), most))
    assert [number for batch in made for number in batch] == list(range(len(sizes)))
    assert all(len(batch) <= min(most, BATCH) for batch in made)
    assert all(len(batch) == 1 or sum(sizes[number] for number in batch) <= BATCH_BYTES for batch in made)


def test_a_batch_is_full_with_255_entries_or_with_256_mib_and_begins_with_an_entry_of_any_size() -> None:
    assert [len(batch) for batch in batches((number, 0) for number in range(511))] == [255, 255, 1]
    assert [len(batch) for batch in batches((number, 0) for number in range(7))] == [7]
    half = 128 << 20
    assert list(batches([(3, half), (5, half), (8, 1), (9, 0)])) == [[3, 5], [8, 9]]
    assert list(batches([(3, half), (5, half + 1), (8, half - 1), (9, 0)])) == [[3], [5, 8, 9]]
    assert list(batches([(1, 1 << 40), (2, 0), (4, 1 << 40)], 2)) == [[1], [2], [4]]
    assert list(batches([(0, 1), (1, 1), (2, 1)], 2)) == [[0, 1], [2]] and list(batches([])) == []


def test_what_is_in_the_way_is_deleted_first_and_all_else_last_each_in_order_of_the_paths() -> None:
    """``0`` is a file there and a folder here, ``1`` the reverse; the other two are in nobody's way."""
    ours = here({"0/a/b": 1, "1": 2, "z": 3, "same": 4})
    theirs = listed({"0": 1, "1/c": 1, "1/b/c": 1, "y": 1, "x/0": 1, "same": 4, "z": 9})
    sent = tuple(number for number, entry in enumerate(ours) if entry.path != "same")
    assert plan_entries(ours, theirs) == EntryChanges(("0", "1/b/c", "1/c"), sent, ("x/0", "y"), here=4, there=7)


def test_a_file_at_any_depth_that_becomes_a_folder_is_in_the_way() -> None:
    for above in ("0", "0/a", "0/a/b"):
        assert plan_entries(here({"0/a/b/c": 1}), listed({above: 1})).first == (above,)


def test_a_zarr_that_gets_entries_and_loses_none_is_only_sent() -> None:
    ours = here({"0": 1, "1": 2})
    assert plan_entries(ours, listed({"0": 1})) == EntryChanges((), (1,), (), here=2, there=1)
    assert plan_entries(ours, {}) == EntryChanges((), (0, 1), (), here=2, there=0)
    assert plan_entries(ours, listed({"0": 1, "1": 2})).is_empty


def test_an_entry_is_sent_if_its_size_or_its_content_differs() -> None:
    (entry,) = here({"0": 1})
    for there in ((2, entry.md5), (1, "0" * 32)):
        assert plan_entries([entry], {"0": there}).put == (0,)
    assert plan_entries([entry], {"0": (1, entry.md5)}).put == ()


def test_the_words_say_what_changes() -> None:
    assert EntryChanges((), (0, 1), (), 2, 0).words() == "2 chunks"
    assert EntryChanges((), (0,), (), 1, 0).words() == "1 chunk" and EntryChanges().words() == "0 chunks"
    assert EntryChanges((), (0,), (), 1_200, 0).words() == "1,200 chunks"
    assert EntryChanges((), tuple(range(12)), (), 60_000, 60_000).words() == "12 of 60,000 chunks changed"
    assert EntryChanges(("a",), (0,), ("b",), 9, 10).words() == "1 of 9 chunks changed, 2 deleted"


def test_more_than_half_of_the_entries_is_unsafe_to_delete() -> None:
    assert not EntryChanges((), (), ("a",), 1, 2).is_unsafe
    assert EntryChanges(("a",), (), ("b",), 1, 3).is_unsafe
    assert not EntryChanges().is_unsafe and EntryChanges(("a",), (), ("b", "c"), 1, 9).deleted == 3


def test_there_is_nothing_to_do_only_if_nothing_is_sent_and_nothing_deleted() -> None:
    assert EntryChanges(here=3, there=3).is_empty
    assert not any(one.is_empty for one in (EntryChanges(("a",)), EntryChanges(put=(0,)), EntryChanges(last=("a",))))


# --- three states ------------------------------------------------------------------------------------------------

PATH = "a.ome.zarr"


def zarr(checksum: str) -> RemoteFile:
    return RemoteFile("an id", 1, "", zarr="a Zarr", checksum=checksum)


def planned(tmp_path: Path, synced: str, theirs: str, ours: str = "") -> UploadPlan:
    """The plan where the last sync mirrored one state, the archive has another, and a folder here a third."""
    base = SyncedDraft("a commit", {}, {PATH: zarr(synced)} if synced else {})
    state = LocalState({PATH: LocalFile(1, ours, zarr=True)} if ours else {})
    notes = ZarrNotes(tmp_path / "notes", "https://api", "000123")
    known, there = known_zarrs(base, {PATH: zarr(theirs)} if theirs else {}, state, notes, UploadRequest(), {})
    return make_upload_plan(known.assets, there, state.here)


@pytest.mark.parametrize(
    ("synced", "theirs", "ours", "do"),
    [("x", "x", "y", Action.REPLACE), ("x", "x", "x", None), ("x", "x", "", None), ("x", "y", "y", Action.DONE),
     ("", "x", "", None), ("", "x", "y", Action.REPLACE), ("", "", "x", Action.ADD)],
)  # fmt: skip
def test_a_zarr_is_compared_with_the_state_that_was_mirrored(
    tmp_path: Path, synced: str, theirs: str, ours: str, do: Action | None
) -> None:
    plan = planned(tmp_path, synced, theirs, ours)
    assert [step.do for step in plan.steps] == ([do] if do else [])
    plan.check_is_current("")


@pytest.mark.parametrize(("theirs", "ours"), [("z", "y"), ("z", ""), ("", "y"), ("", "")])
def test_a_zarr_that_somebody_else_has_changed_since_the_last_sync_is_not_overwritten(
    tmp_path: Path, theirs: str, ours: str
) -> None:
    plan = planned(tmp_path, "x", theirs, ours)
    with pytest.raises(PartError, match="moved on since the last sync") as raised:
        plan.check_is_current("update")
    assert PATH in str(raised.value)
    assert not plan.changes
