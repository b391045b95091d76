"""Records in parts: each where it belongs, none too large, and few touched by a small change."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dandi_mirror.mirror.format.record_spool import Spool
from dandi_mirror.mirror.format.records import (
    LARGEST_PART,
    RecordFile,
    StoredRecord,
    is_asset_path,
    is_part,
    path_digest,
    record_files,
    record_part_of,
    record_parts,
)
from tests.support.values import QUICK

pytestmark = pytest.mark.quick

SIZES = st.integers(10, 3000) | st.sampled_from([LARGEST_PART - 1, LARGEST_PART, LARGEST_PART * 2])
FROZEN = {
    ".dandi/assets/1.jsonl": ["file-0"],
    ".dandi/assets/2/6.jsonl": ["file-5"],
    ".dandi/assets/2/f.jsonl": ["file-6"],
    ".dandi/assets/6.jsonl": ["file-2"],
    ".dandi/assets/9/7/4.jsonl": ["file-7"],
    ".dandi/assets/9/7/6.jsonl": ["file-3"],
    ".dandi/assets/c.jsonl": ["file-1"],
    ".dandi/assets/d.jsonl": ["file-8"],
    ".dandi/assets/e.jsonl": ["file-4"],
}
"""The parts of nine records, two of which fill one."""
PATHS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    with closing(Spool(tmp_path)) as opened:
        yield opened


def parts_of(spool: Spool, sizes: dict[str, int], salt: str = "") -> dict[str, RecordFile]:
    """The parts of records that are padded to these sizes."""
    records = []
    for path, size in sizes.items():
        line = json.dumps({"path": path, "salt": salt, "x": ""})
        padded = line.replace('"x": ""', f'"x": "{"x" * (size - len(line))}"').encode()
        records.append(StoredRecord.in_spool(path, spool.put(padded)))
    return dict(record_files(spool, records))


def check(parts: dict[str, RecordFile], paths: set[str]) -> None:
    found: list[str] = []
    for name, part in parts.items():
        assert is_part(name)
        content = part.content()
        lines = [json.loads(line) for line in content.splitlines()]
        assert len(content) <= LARGEST_PART or len(lines) == 1
        held = [line["path"] for line in lines]
        assert held == sorted(held, key=str.encode)
        assert all(record_part_of(path, parts) == name for path in held)
        found += held
    assert sorted(found) == sorted(paths)


@given(st.dictionaries(PATHS, SIZES, max_size=40))
@QUICK
def test_every_record_stands_in_the_part_that_its_path_names(tmp_path_factory: Any, sizes: dict[str, int]) -> None:
    with closing(Spool(tmp_path_factory.mktemp("spool"))) as spool:
        check(parts_of(spool, sizes), set(sizes))
        backwards = dict(reversed(sizes.items()))
        assert {name: part.object_id() for name, part in parts_of(spool, sizes).items()} == {
            name: part.object_id() for name, part in parts_of(spool, backwards).items()
        }


def test_a_large_dandiset_has_many_small_parts_and_a_change_of_k_records_touches_at_most_k(
    spool: Spool,
) -> None:
    sizes = {f"sub-{number}/sub-{number}_ephys.nwb": 1500 for number in range(6000)}
    before = parts_of(spool, sizes)
    check(before, set(sizes))
    assert len(before) > 16
    for changed in (1, 5, 20):
        some = dict(list(sizes.items())[:: len(sizes) // changed][:changed])
        after = parts_of(spool, sizes | {path: size + 7 for path, size in some.items()})
        moved = [name for name in before if before[name].object_id() != after[name].object_id()]
        assert set(after) == set(before) and 0 < len(moved) <= changed


def test_no_record_at_all_is_one_empty_part(spool: Spool) -> None:
    parts = parts_of(spool, {})
    assert {name: part.content() for name, part in parts.items()} == {".dandi/assets.jsonl": b""}


def stored(*lengths: int) -> list[StoredRecord]:
    return [StoredRecord(f"file-{number}", None, length) for number, length in enumerate(lengths)]


def names_of(records: list[StoredRecord]) -> dict[str, list[str]]:
    return {name: sorted(record.path for record in members) for name, members in record_parts(records)}


def test_a_part_is_split_where_its_lines_with_their_ends_are_longer_than_256_kib() -> None:
    half = LARGEST_PART // 2 - 1
    assert list(names_of(stored(half, half))) == [".dandi/assets.jsonl"]
    assert len(names_of(stored(half, half + 1))) == 2, "each line has one byte more, its end"
    assert list(names_of(stored(LARGEST_PART * 3))) == [".dandi/assets.jsonl"], "one record is never split"


def test_the_names_of_the_parts_are_frozen() -> None:
    """By the digits of the SHA-256 of each path, as few as are necessary; they are part of the format."""
    large = LARGEST_PART // 2
    assert names_of(stored(*[large] * 9)) == FROZEN
    digits = {record.path: path_digest(record.path) for record in stored(*[large] * 9)}
    for name, members in FROZEN.items():
        prefix = name.removeprefix(".dandi/assets").removesuffix(".jsonl").replace("/", "")
        assert all(digits[path].startswith(prefix) for path in members)


def test_paths_that_are_not_unicode_have_a_place_too() -> None:
    assert path_digest("\udcff") == "a8100ae6aa1940d0b663bb31cd466142ebbdbd5187131b92d93818987832eb89"


def test_the_part_of_a_path_is_the_first_of_those_above_it_that_the_tree_has() -> None:
    digest = path_digest("x")
    one, two, all_of_them = (
        f".dandi/assets{name}.jsonl" for name in (f"/{digest[0]}", f"/{digest[0]}/{digest[1]}", "")
    )
    deepest = f".dandi/assets/{'/'.join(digest[:16])}.jsonl"
    assert record_part_of("x", {one, two, all_of_them, deepest}) == all_of_them
    assert record_part_of("x", {one, two, deepest}) == one and record_part_of("x", {two, deepest}) == two
    assert record_part_of("x", {deepest}) == deepest
    assert (
        record_part_of("x", {f".dandi/assets/{'/'.join(digest[:17])}.jsonl", f".dandi/assets/{digest[1]}.jsonl"})
        is None
    )


def test_a_part_has_the_lines_of_its_records_in_the_order_of_their_bytes(spool: Spool) -> None:
    paths = ["b", "a/b", "a", "a-b", "é", "Z"]
    records = [StoredRecord.in_spool(path, spool.put(path.encode())) for path in paths]
    ((name, part),) = record_files(spool, records)
    assert name == ".dandi/assets.jsonl"
    assert part.content().decode().splitlines() == ["Z", "a", "a-b", "a/b", "b", "é"]


def test_a_record_in_the_spool_is_as_long_as_it_is(spool: Spool) -> None:
    record = StoredRecord.in_spool("a", spool.put(b"12345"))
    assert (record.path, record.length, record.handle is not None) == ("a", 5, True)


def test_a_record_that_was_not_read_again_is_in_no_new_file(spool: Spool) -> None:
    kept = StoredRecord("a", None, 3)
    ((_, part),) = record_files(spool, [kept, StoredRecord.in_spool("b", spool.put(b"{}"))])
    assert part.content() == b"{}\n"


@pytest.mark.parametrize(
    ("path", "part", "asset"),
    [
        (".dandi/assets.jsonl", True, False),
        (".dandi/assets/0.jsonl", True, False),
        (".dandi/assets", False, False),
        (".dandi/assets.jsonl2", False, False),
        (".dandi/assetsx/0.jsonl", False, False),
        (".dandi/refused/x", False, False),
        (".datalad/config", False, False),
        (".gitattributes", False, False),
        (".gitmodules", False, False),
        ("dandiset.yaml", False, False),
        ("sub-1/dandiset.yaml", False, True),
        ("a.nwb", False, True),
    ],
)
def test_a_path_of_a_tree_is_a_part_or_an_asset_or_one_of_the_other_files_of_the_mirror(
    path: str, part: bool, asset: bool
) -> None:
    assert (is_part(path), is_asset_path(path)) == (part, asset)
