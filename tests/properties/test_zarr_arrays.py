"""What may be present of a Zarr, judged by zarr-python: it reads the truth, or it refuses."""

from __future__ import annotations

import hashlib
import random
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from dandi_mirror.mirror.zarr.arrays import V3, KeyedEntry, Survey, ZarrNodeKind, may_cover, node_kind, survey

np = pytest.importorskip("numpy")
zarr = pytest.importorskip("zarr")

STATES, MANY = 25, 1000
"""Random partial states of each kind of Zarr: in every run, and in the campaign."""
KINDS = [(2, False), (2, True), (3, False), (3, True)]


def key(content: bytes) -> str:
    """One key for equal contents, as git-annex has it."""
    return hashlib.md5(content).hexdigest()


def members(files: Mapping[str, bytes]) -> list[KeyedEntry]:
    """The entries of a Zarr in S3's order."""
    return [KeyedEntry(path, key(files[path])) for path in sorted(files, key=str.encode)]


def made(zarr_format: int, consolidated: bool) -> dict[str, bytes]:
    """A Zarr with the cases that matter.

    Two arrays of equal metadata, chunks that were never written, an array without any, one in parts (shards in format
    3), one of no dimension, groups in groups, and attributes.
    """
    store = zarr.storage.MemoryStore()
    root = zarr.open_group(store, mode="w", zarr_format=zarr_format)
    root.attrs["multiscales"] = [{"datasets": [{"path": "0"}, {"path": "1"}]}]
    for path in ("0", "1", "labels/cells/0"):
        array = root.create_array(path, shape=(6, 6), chunks=(2, 3), dtype="int16", fill_value=0)
        array[...] = 1 + np.arange(36).reshape(6, 6) * (2 if path == "1" else 1)
    holes = root.create_array("labels/holes", shape=(9,), chunks=(2,), dtype="float64", fill_value=-1)
    holes[3:5] = 7
    holes.attrs["scale_factor"] = 0.5
    root.create_array("labels/empty", shape=(4,), chunks=(2,), dtype="int8", fill_value=3)
    root.create_array("one", shape=(), dtype="int64")[...] = 5
    options: dict[str, Any] = {"shards": (8,)} if zarr_format == 3 else {"chunk_key_encoding": {"name": "v2"}}
    root.create_array("table/time", shape=(20,), chunks=(4,), dtype="int32", **options)[...] = np.arange(1, 21)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # consolidated metadata are no part of format 3 yet
        if consolidated:
            zarr.consolidate_metadata(store)
    return {path: buffer.to_bytes() for path, buffer in store._store_dict.items()}


def opened(files: Mapping[str, bytes]) -> Any:
    """A group of these files and no others."""
    buffer = zarr.core.buffer.default_buffer_prototype().buffer
    return zarr.storage.MemoryStore({path: buffer.from_bytes(content) for path, content in files.items()})


ARRAYS = ("0", "1", "labels/cells/0", "labels/holes", "labels/empty", "one", "table/time")


def readings(files: Mapping[str, bytes]) -> Iterator[tuple[str, str, Any]]:
    """What somebody reads of each array, by each way to it: through the top, a group in between, and directly."""
    store = opened(files)
    for path in ARRAYS:
        for above in ("", *(path[:place] for place, letter in enumerate(path) if letter == "/"), path):
            try:
                if above == path:
                    array = zarr.open_array(store, path=path, mode="r")
                else:
                    group = zarr.open_group(store, path=above, mode="r")
                    array = group[path[len(above) :].strip("/")]
                yield path, above, (np.asarray(array[...]).tolist(), dict(array.attrs))
            except (KeyError, ValueError, OSError) as error:
                yield path, above, error


def allowed(files: Mapping[str, bytes], present: set[str], *, kinds_known: bool = True) -> tuple[set[str], Survey]:
    """The keys that stay when the rule has spoken."""
    kinds = {key(c): node_kind(c) for path, c in files.items() if path.endswith(V3)} if kinds_known else {}
    found = survey(members(files), present.__contains__, kinds)
    return present - found.held.keys(), found


def wrong(files: Mapping[str, bytes], keys: set[str], truth: Mapping[str, Any]) -> list[str]:
    """The arrays that read as something else than the truth, and without an error."""
    there = {path: content for path, content in files.items() if key(content) in keys}
    found = readings(there)
    return [path for path, _, read in found if not isinstance(read, Exception) and read != truth[path]]


def partial(files: Mapping[str, bytes], dice: random.Random) -> set[str]:
    """A part of a Zarr: most of it, some, or little; each chunk by chance, or one array and all metadata."""
    share = dice.choice((0.3, 0.8, 0.97))
    whole = dice.choice((None, None, *ARRAYS))
    return {
        key(content)
        for path, content in files.items()
        if dice.random() < share or may_cover(path) or (whole is not None and path.startswith(whole + "/"))
    }


@pytest.mark.parametrize("states", [STATES, pytest.param(MANY, marks=pytest.mark.slow)])
@pytest.mark.parametrize(("zarr_format", "consolidated"), KINDS)
def test_what_the_rule_lets_be_present_never_reads_as_fill_values(
    zarr_format: int, consolidated: bool, states: int
) -> None:
    files = made(zarr_format, consolidated)
    truth = {path: read for path, above, read in readings(files) if path == above}
    assert all(not isinstance(read, Exception) for _, _, read in readings(files))
    dice, read, without_rule = random.Random(zarr_format), 0, 0
    for number in range(states):
        present = partial(files, dice)
        keys, found = allowed(files, present, kinds_known=number % 4 > 0)
        assert wrong(files, keys, truth) == []
        read += sum(not part.missing for part in found.arrays)
        if number < 20:
            without_rule += bool(wrong(files, present, truth))
    assert read > states, "many arrays were whole, and were read"
    assert without_rule > 10, "without the rule, most of these states are read wrong"


@pytest.mark.parametrize(("zarr_format", "consolidated"), KINDS)
def test_what_is_whole_opens(zarr_format: int, consolidated: bool) -> None:
    files = made(zarr_format, consolidated)
    everything = {key(content) for content in files.values()}
    keys, found = allowed(files, everything)
    assert keys == everything and not found.held
    assert sorted(part.folder for part in found.arrays) == sorted(ARRAYS)
    assert all(not part.missing for part in found.parts)


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_one_array_alone_opens_and_the_groups_above_it(zarr_format: int) -> None:
    files = made(zarr_format, consolidated=False)
    above = {key(c) for path, c in files.items() if may_cover(path) or path.endswith((".zgroup", ".zattrs"))}
    keys, _ = allowed(files, above | {key(c) for path, c in files.items() if path.startswith("table/")})
    there = {path: content for path, content in files.items() if key(content) in keys}
    read = {path: found for path, way, found in readings(there) if not way}
    assert read["table/time"][0] == list(range(1, 21))
    assert isinstance(read["0"], Exception)


def test_arrays_with_equal_metadata_wait_for_each_other() -> None:
    files = made(2, consolidated=False)
    assert files["0/.zarray"] == files["1/.zarray"]
    without_last = {key(content) for path, content in files.items() if path != "1/2.1" and path != "1/2/1"}
    _, found = allowed(files, without_last)
    assert found.held == {key(files["0/.zarray"]): ("1",)}
    assert [part.folder for part in found.arrays if part.missing] == ["1"]


def test_consolidated_metadata_wait_for_every_array_below() -> None:
    files = made(2, consolidated=True)
    _, found = allowed(files, {key(content) for path, content in files.items() if path != "table/time/3"})
    assert found.held[key(files[".zmetadata"])] == ("",)
    files = made(3, consolidated=True)
    _, found = allowed(files, {key(content) for path, content in files.items() if path != "table/time/c/0"})
    assert found.held[key(files[V3])] == ("",)


def test_attributes_belong_to_an_array() -> None:
    files = made(2, consolidated=False)
    _, found = allowed(files, {key(content) for path, content in files.items() if path != "labels/holes/.zattrs"})
    assert found.held[key(files["labels/holes/.zarray"])] == ("labels/holes",)


def test_an_entry_that_no_repository_can_have_holds_consolidated_metadata() -> None:
    files = made(2, consolidated=True)
    found = survey(members(files), lambda _: True, refused=1)
    assert found.held == {key(files[".zmetadata"]): ("",)}


def test_content_that_is_a_chunk_and_metadata_is_never_first() -> None:
    files = [KeyedEntry("a/.zarray", "A"), KeyedEntry("a/0", "B"), KeyedEntry("b/.zarray", "B"), KeyedEntry("b/0", "C")]
    found = survey(files, lambda _: True)
    assert found.held == {"A": ("a",)}


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b'{"zarr_format": 3, "node_type": "group"}', ZarrNodeKind.GROUP),
        (b'{"node_type": "group", "consolidated_metadata": null}', ZarrNodeKind.GROUP),
        (b'{"node_type": "group", "consolidated_metadata": {}}', ZarrNodeKind.CONSOLIDATED),
        (b'{"node_type": "array"}', ZarrNodeKind.ARRAY),
        (b"{}", ZarrNodeKind.ARRAY),
        (b"[]", ZarrNodeKind.ARRAY),
        (b"\xff", ZarrNodeKind.ARRAY),
        (b"[" * 100_000, ZarrNodeKind.ARRAY),
    ],
)
def test_only_a_plain_group_covers_nothing(content: bytes, kind: ZarrNodeKind) -> None:
    assert node_kind(content) is kind
