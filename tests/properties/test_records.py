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
    is_part,
    record_files,
    record_part_of,
)
from tests.support.values import QUICK

pytestmark = pytest.mark.quick

SIZES = st.integers(10, 3000) | st.sampled_from([LARGEST_PART - 1, LARGEST_PART, LARGEST_PART * 2])
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
