"""The entries of a Zarr: their order, what has changed between two lists of them, and the keys that stand for them."""

from __future__ import annotations

import pytest
from hypothesis import given

from dandi_mirror.archive.zarr_entry import LARGEST_OBJECT, ZarrEntry
from dandi_mirror.mirror.zarr.entries import (
    BadEntry,
    changed_entries,
    check_entry,
    entry_key,
    entry_of,
    entry_order,
    in_order,
    is_md5,
    is_odd,
)
from tests.support.values import QUICK
from tests.support.zarr_entries import ENTRIES

pytestmark = pytest.mark.quick

A, B = "a" * 32, "b" * 32


def entries(*paths: str, etag: str = A) -> list[ZarrEntry]:
    return [ZarrEntry(path, 1, etag) for path in paths]


def test_entries_are_sorted_as_the_archive_reads_their_paths_and_not_as_they_are_written() -> None:
    paths = ["b", "a//c", "a/b", "./a/a", "a", "a-b", "b/.", "/"]
    assert [entry.path for entry in in_order(entries(*paths))] == ["/", "a", "a-b", "./a/a", "a/b", "a//c", "b", "b/."]


def test_the_order_of_an_odd_path_is_that_of_the_path_without_its_empty_parts_and_dots() -> None:
    assert entry_order("a//./b/") == ("a/b", "a//./b/")
    assert entry_order("a/b.") == ("a/b.", "a/b.") and entry_order("X/.") == ("X", "X/.")


@pytest.mark.parametrize("path", ["a.", ".a", "a/..", "../a", "a/.b", "a./b", "a"])
def test_a_dot_in_a_name_makes_no_path_odd(path: str) -> None:
    assert not is_odd(path)


@pytest.mark.parametrize(
    ("new", "old", "changed"),
    [
        ([], [], []),
        (["a", "b"], [], ["a", "b"]),
        ([], ["a", "b"], []),
        (["a", "b", "c"], ["b"], ["a", "c"]),
        (["b"], ["a", "b", "c"], []),
        (["b", "d"], ["a", "c", "d", "e"], ["b"]),
        (["a//b", "a/c"], ["a/b", "a//b"], ["a/c"]),
    ],
    ids=["nothing", "all new", "all gone", "one stays", "others gone", "one between", "odd paths"],
)
def test_what_has_changed_is_what_the_old_list_does_not_have_in_the_same_way(
    new: list[str], old: list[str], changed: list[str]
) -> None:
    assert [entry.path for entry in changed_entries(in_order(entries(*new)), in_order(entries(*old)))] == changed


def test_an_entry_has_changed_if_its_size_or_its_content_has() -> None:
    old = [ZarrEntry("a", 1, A), ZarrEntry("b", 1, A), ZarrEntry("c", 1, A)]
    new = [ZarrEntry("a", 2, A), ZarrEntry("b", 1, B), ZarrEntry("c", 1, A)]
    assert list(changed_entries(new, old)) == new[:2]


@QUICK
@given(ENTRIES, ENTRIES)
def test_a_list_differs_from_another_one_by_what_only_it_has(new: list[ZarrEntry], old: list[ZarrEntry]) -> None:
    assert list(changed_entries(new, old)) == [entry for entry in new if entry not in old]


@pytest.mark.parametrize(
    ("size", "etag", "why"),
    [
        (-1, A, "'0/x': the size is not a number of bytes up to 5 TiB"),
        (LARGEST_OBJECT + 1, A, "'0/x': the size is not a number of bytes up to 5 TiB"),
        (True, A, "'0/x': the size is not a number of bytes up to 5 TiB"),
        (1, "A" * 32, f"'0/x': not the ETag of an object: '{'A' * 32}'"),
        (1, f"{A}-0", f"'0/x': not the ETag of an object: '{A}-0'"),
        (1, f"{A}-100000", f"'0/x': not the ETag of an object: '{A}-100000'"),
        (1, None, "'0/x': not the ETag of an object: None"),
        (1, "x" * 200, f"'0/x': not the ETag of an object: '{'x' * 79}"),
    ],
)
def test_what_no_bucket_lists_is_named_with_what_is_wrong(size: int, etag: str, why: str) -> None:
    with pytest.raises(BadEntry) as raised:
        check_entry(ZarrEntry("0/x", size, etag))
    assert str(raised.value) == why


@pytest.mark.parametrize(("size", "etag"), [(0, A), (LARGEST_OBJECT, A), (1, f"{A}-1"), (1, f"{A}-10000")])
def test_the_limits_themselves_are_accepted(size: int, etag: str) -> None:
    check_entry(ZarrEntry("0/x", size, etag))


@QUICK
@given(ENTRIES)
def test_from_its_key_an_entry_is_known_again(some: list[ZarrEntry]) -> None:
    for entry in some:
        key = entry_key(entry.path, entry.size, entry.etag)
        assert entry_of(entry.path, key) == ZarrEntry(entry.path, entry.size, entry.etag)
        assert key.startswith("MD5E-" if is_md5(entry.etag) else "VURL-")


def test_a_key_ends_as_the_file_does_only_if_the_archive_knows_the_md5() -> None:
    assert entry_key("0/x.json", 7, A) == f"MD5E-s7--{A}.json"
    assert entry_key("0/x", 7, A) == f"MD5E-s7--{A}"
    assert entry_key("0/x.json", 7, f"{A}-3") == f"VURL-s7--{A}-3"


@pytest.mark.parametrize(
    "key",
    [f"SHA256E-s1--{A * 2}", f"MD5-s1--{A}", f"MD5E--{A}", f"MD5E-s1--{A[1:]}", f"MD5E-s1--{A}/x", f"MD5E-s1--{A}-0",
     f"MD5E-s12345678901234--{A}", f"xMD5E-s1--{A}", ""],
)  # fmt: skip
def test_a_key_of_another_kind_stands_for_no_entry(key: str) -> None:
    assert entry_of("0/x", key) is None
