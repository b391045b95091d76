"""Manifests: what goes in comes out, in few bytes; and nothing else is read."""

from __future__ import annotations

import io
import tracemalloc
from hashlib import sha256
from typing import Any

import orjson
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from dandi_mirror.archive.zarr_entry import ZarrEntry
from dandi_mirror.mirror.zarr.entries import BadEntry
from dandi_mirror.mirror.zarr.manifest_format import (
    BLOCK,
    BadManifest,
    BodyWriter,
    Header,
    decode,
    header_bytes,
    read_header,
    verify,
)
from dandi_mirror.mirror.zarr.state import zarr_state_of
from tests.support.values import QUICK
from tests.support.zarr_entries import ENTRIES, ZARR, real_looking

pytestmark = pytest.mark.quick

A = f"{10:032x}"


def body_of(entries: list[ZarrEntry]) -> bytes:
    """What a manifest of these entries has behind its header."""
    file = io.BytesIO()
    writer = BodyWriter(file)
    for entry in entries:
        writer.add(entry)
    writer.close()
    return file.getvalue()


def manifest_of(entries: list[ZarrEntry], packed: bytes | None = None, /, **facts: Any) -> bytes:
    """A whole manifest; with another body or other facts in its header, a forged one."""
    body = body_of(entries) if packed is None else packed
    header = header_bytes(Header(zarr_state_of(ZARR, entries), "s3", sha256(body).hexdigest()))
    if facts:
        line = orjson.dumps(orjson.loads(header[8:]) | facts, option=orjson.OPT_SORT_KEYS)
        header = header[:4] + len(line).to_bytes(4, "little") + line
    return header + body


def blocks(*columns: Any) -> bytes:
    """A body of these blocks, whatever they hold."""
    packed: bytes = zstandard.compress(b"".join(orjson.dumps(block) + b"\n" for block in columns))
    return packed


SOME = [ZarrEntry("a", 1, A, "v.1", "2024-01-02T03:04:05Z"), ZarrEntry("b", 2, f"{A}-3", None, None)]
COLUMNS = [["a", "b"], [1, 2], f"{A} {A}-3", "v.1 ", "2024-01-02T03:04:05Z "]


def check(manifest: bytes, entries: list[ZarrEntry] = SOME) -> None:
    """Read a manifest whole, as the state of these entries."""
    verify(io.BytesIO(manifest), ZARR, zarr_state_of(ZARR, entries).checksum)


@given(ENTRIES)
@QUICK
def test_every_entry_is_read_as_it_was_written(entries: list[ZarrEntry]) -> None:
    file = io.BytesIO(manifest_of(entries))
    header, start = verify(file, ZARR, zarr_state_of(ZARR, entries).checksum)
    assert header.state == zarr_state_of(ZARR, entries)
    file.seek(start)
    assert list(decode(file)) == entries
    file.seek(0)
    assert read_header(file) == header and file.tell() == start


def test_real_looking_entries_take_less_than_55_bytes_each() -> None:
    entries = list(real_looking(5000))
    manifest = manifest_of(entries)
    check(manifest, entries)
    assert len(manifest) / len(entries) < 50


def test_a_reader_of_zstd_prints_the_entries_without_knowing_the_header() -> None:
    manifest = manifest_of(SOME)
    with zstandard.ZstdDecompressor().stream_reader(manifest, read_across_frames=True) as reader:
        assert orjson.loads(reader.read()) == COLUMNS


def test_the_same_entries_give_the_same_bytes_of_a_header() -> None:
    assert manifest_of(SOME)[8:].startswith(b'{"body":"')
    assert orjson.loads(manifest_of(SOME)[8:].partition(b"\n")[0]).keys() == {
        "body", "checksum", "commit", "entries", "format", "listed", "refused", "size", "zarr_id",
    }  # fmt: skip


@pytest.mark.parametrize(
    "entry",
    [
        ZarrEntry("\ud800", 1, A),
        ZarrEntry("a", 1, A, "a b"),
        ZarrEntry("a", 1, A, 'a"'),
        ZarrEntry("a", 1, A, "v", "yesterday"),
        ZarrEntry("a" * 1025, 1, A),
    ],
)
def test_what_a_manifest_cannot_hold_is_an_error_when_it_is_written(entry: ZarrEntry) -> None:
    with pytest.raises(BadEntry):
        body_of([ZarrEntry("0", 1, A), entry])


@given(st.integers(0, 10_000), st.binary(min_size=1, max_size=3))
@QUICK
def test_a_manifest_that_was_changed_anywhere_is_not_read(where: int, other: bytes) -> None:
    manifest = manifest_of(SOME)
    place = where % len(manifest)
    changed = manifest[:place] + other + manifest[place + len(other) :]
    if changed == manifest:
        return
    with pytest.raises(BadManifest):
        check(changed)
        # of the header only what it says about itself is free: who listed the entries
        assert orjson.loads(changed[8:].partition(b"\n")[0])["listed"] != "s3"
        raise BadManifest


@pytest.mark.parametrize("length", [0, 3, 7, 8, 100, -1, -4, -20])
def test_a_manifest_that_is_cut_off_is_not_read(length: int) -> None:
    with pytest.raises(BadManifest):
        check(manifest_of(SOME)[:length])


CHANGED: dict[str, list[Any]] = {
    "another checksum": [["a", "b"], [1, 3], *COLUMNS[2:]],
    "disorder": [["b", "a"], *COLUMNS[1:]],
    "a duplicate": [["a", "a"], *COLUMNS[1:]],
    "too few": [["a"], [1], A, None, None],
    "too many": [["a", "b", "c"], [1, 2, 0], f"{A} {A} {A}", None, None],
    "its columns differ in length": [["a", "b"], [1, 2, 3], *COLUMNS[2:]],
    "fewer versions": [*COLUMNS[:3], "v.1", COLUMNS[4]],
    "no columns": [],
    "a path that is no text": [[1, "b"], *COLUMNS[1:]],
    "paths that are no list": ["ab", *COLUMNS[1:]],
    "a path that is too long": [["a" * 1025, "b"], *COLUMNS[1:]],
    "a size below zero": [["a", "b"], [-1, 4], *COLUMNS[2:]],
    "a size that is true": [["a", "b"], [True, 2], *COLUMNS[2:]],
    "not an ETag": [*COLUMNS[:2], f"{A} x", *COLUMNS[3:]],
    "a version with another URL in it": [*COLUMNS[:3], "v&x=1 ", COLUMNS[4]],
    "not a time": [*COLUMNS[:4], "now "],
}


@pytest.mark.parametrize("name", CHANGED)
def test_a_forged_manifest_is_not_read(name: str) -> None:
    check(manifest_of(SOME, blocks(COLUMNS)))
    with pytest.raises(BadManifest):
        check(manifest_of(SOME, blocks(CHANGED[name])))


@pytest.mark.parametrize(
    "body",
    [b"", b"x" * 99, blocks(COLUMNS)[:-5], blocks(COLUMNS, COLUMNS), zstandard.compress(b"[[["), blocks(7), blocks({})],
)
def test_entries_that_are_no_entries_are_not_read(body: bytes) -> None:
    with pytest.raises(BadManifest):
        check(manifest_of(SOME, body))


@pytest.mark.parametrize(
    "facts",
    [
        {"entries": 3}, {"size": 4}, {"refused": 1}, {"commit": "0" * 40}, {"format": 2}, {"checksum": "x"},
        {"more": 1}, {"zarr_id": ZARR[::-1]}, {"entries": "2"}, {"entries": 10**8},
        {"checksum": f"{A}-2--3"}, {"body": "0" * 64},
    ],
)  # fmt: skip
def test_a_header_that_lies_is_not_believed(facts: dict[str, Any]) -> None:
    with pytest.raises(BadManifest):
        check(manifest_of(SOME, **facts))


def test_a_manifest_is_not_read_as_that_of_another_zarr() -> None:
    with pytest.raises(BadManifest, match="another state"):
        verify(io.BytesIO(manifest_of(SOME)), ZARR.replace("0", "1"), zarr_state_of(ZARR, SOME).checksum)


def _bomb(piece: bytes, times: int) -> bytes:
    packer = zstandard.ZstdCompressor().compressobj()
    return b"".join([*(packer.compress(piece) for _ in range(times)), packer.flush()])


@pytest.mark.parametrize(
    "body",
    [_bomb(b"[" * (1 << 20), 2000), _bomb(b"\n" * (1 << 20), 200), _bomb(b'[["' + b"a" * (1 << 20), 500)],
)  # fmt: skip
def test_a_small_file_that_unpacks_to_gigabytes_takes_little_memory(body: bytes) -> None:
    assert len(body) < 1 << 18
    tracemalloc.start()
    try:
        with pytest.raises(BadManifest):
            list(decode(io.BytesIO(body)))
        assert tracemalloc.get_traced_memory()[1] < 100 << 20
    finally:
        tracemalloc.stop()


def test_a_bomb_of_entries_ends_where_its_header_says() -> None:
    paths = [f"{number:09}" for number in range(100 * BLOCK)]
    many = [
        [paths[at : at + BLOCK], [0] * BLOCK, " ".join([A] * BLOCK), None, None] for at in range(0, len(paths), BLOCK)
    ]
    read = 0
    with pytest.raises(BadManifest, match="more entries than"):
        for _ in decode(io.BytesIO(blocks(*many)), most=5 * BLOCK):
            read += 1
    assert read == 5 * BLOCK


def test_a_window_that_takes_much_memory_is_not_opened() -> None:
    parameters = zstandard.ZstdCompressionParameters.from_level(3, window_log=27)
    packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    body = packer.compress(orjson.dumps(COLUMNS) + b"\n" * 2) + packer.flush()
    with pytest.raises(BadManifest):
        list(decode(io.BytesIO(body)))
