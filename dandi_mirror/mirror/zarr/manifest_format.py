"""The manifest of a Zarr's state: its entries, compressed; from bytes to bytes.  ``docs/format.md`` has the format.

The header stands in a frame that zstd's readers skip, so it is read without decompressing, and ``zstdcat`` prints the
entries.  These come by blocks and columns: what is alike stands together, and takes a sixth less than in lines.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Annotated, BinaryIO

import msgspec
import orjson
import zstandard

from dandi_mirror.archive.zarr_entry import LONGEST_KEY, MOST_ENTRIES, ZarrEntry
from dandi_mirror.errors import IntegrityError
from dandi_mirror.mirror.format.tree import FORMAT
from dandi_mirror.mirror.zarr.entries import BadEntry, Disorder
from dandi_mirror.mirror.zarr.state import StateBuilder, ZarrState
from dandi_mirror.zarr_checksum import counts_of

BLOCK = 1000
"""Entries of a block: a page of either listing."""
LEVEL = 1
"""zstd's; a higher one looks for repetitions in digests, where there are none, and saves nothing."""

_SKIPPED = b"\x50\x2a\x4d\x18"  # the magic number of a frame that readers skip
_LONGEST_HEADER = 4096  # bytes
_LONGEST_BLOCK = 16 << 20  # bytes: more than a thousand of the longest entries
_MOST_MEMORY = 8 << 20  # bytes of zstd's window
_PIECE = 1 << 17
_ETAGS = re.compile(r"(?:(?:^| )[0-9a-f]{32}(?:-[1-9][0-9]{0,4})?)+")
_VERSION_IDS = re.compile(r"[A-Za-z0-9._~+/= -]*")
_TIMES = re.compile(r"[0-9TZ: -]*")
_Paths = Annotated[list[Annotated[str, msgspec.Meta(max_length=LONGEST_KEY)]], msgspec.Meta(min_length=1)]
_Sizes = Annotated[list[Annotated[int, msgspec.Meta(ge=0)]], msgspec.Meta(max_length=BLOCK)]
_Columns = tuple[_Paths, _Sizes, str, str | None, str | None]
_COLUMNS = msgspec.json.Decoder(_Columns)


class BadManifest(IntegrityError):
    """A manifest that is damaged, or does not hold what its name says."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a manifest says about itself."""

    state: ZarrState
    listed: str
    """``s3`` or ``api``: who listed the entries."""
    body: str
    """The SHA-256 of what follows the header."""


class BodyWriter:
    """Writes the entries of a manifest, sorted by :func:`.entry_order`, into a file."""

    def __init__(self, file: BinaryIO) -> None:
        self._out = zstandard.ZstdCompressor(level=LEVEL).stream_writer(file, closefd=False)
        self._block: list[ZarrEntry] = []

    def add(self, entry: ZarrEntry) -> None:
        """Write an entry.

        Raises:
            BadEntry: a manifest cannot hold it.
        """
        self._block.append(entry)
        if len(self._block) == BLOCK:
            self._flush()

    def close(self) -> None:
        """Write what is left; the file stays open."""
        self._flush()
        self._out.close()

    def _flush(self) -> None:
        for column in _columns(self._block) if self._block else ():
            self._out.write(column)
            # else zstd would find one code for digests and versions together, and need a tenth more
            self._out.flush(zstandard.FLUSH_BLOCK)
        self._block = []


def _columns(entries: list[ZarrEntry]) -> list[bytes]:
    """The pieces of one line: the columns of up to :data:`BLOCK` entries."""
    paths, sizes, etags, version_ids, times = zip(*entries, strict=True)
    texts = (" ".join(etags), _column(version_ids), _column(times))
    try:
        _check(len(paths), *texts)
        if max(map(len, paths)) > LONGEST_KEY:
            raise ValueError("a path that is too long")
        pieces = [orjson.dumps(column) for column in (paths, sizes, *texts)]
        return [b"[" + pieces[0] + b"," + pieces[1], b"," + pieces[2], b"," + pieces[3], b"," + pieces[4] + b"]\n"]
    except (ValueError, TypeError) as error:  # orjson's own is a TypeError
        raise BadEntry(f"{paths[0]!a:.200} or an entry behind it: {error}") from error


def _column(values: tuple[str | None, ...]) -> str | None:
    """Values in one string; None if there are none."""
    return " ".join(value or "" for value in values) if any(values) else None


def header_bytes(header: Header) -> bytes:
    """The beginning of a manifest, before its entries."""
    facts = asdict(header.state) | {"format": FORMAT, "listed": header.listed, "body": header.body}
    line = orjson.dumps(facts, option=orjson.OPT_SORT_KEYS) + b"\n"
    return _SKIPPED + len(line).to_bytes(4, "little") + line


class _HeaderLine(msgspec.Struct, forbid_unknown_fields=True):
    body: str
    checksum: str
    commit: str
    entries: int
    format: int
    listed: str
    refused: int
    size: int
    zarr_id: str


def read_header(file: BinaryIO) -> Header:
    """The header of a manifest that is at its start; afterwards the file is where the entries begin.

    Raises:
        BadManifest: it has none, or one that contradicts itself.
    """
    magic, length = file.read(4), int.from_bytes(file.read(4), "little")
    if magic != _SKIPPED or length > _LONGEST_HEADER:
        raise BadManifest("it is not a manifest")
    try:
        line = msgspec.json.decode(file.read(length), type=_HeaderLine)
        counts = counts_of(line.checksum)
    except ValueError as error:
        raise BadManifest(f"its header cannot be read: {error}") from error
    if line.format != FORMAT:
        raise BadManifest(f"it has the format {line.format}, and this release reads {FORMAT}")
    if counts != (line.entries, line.size) or line.entries > MOST_ENTRIES:
        raise BadManifest("its header and its checksum differ")
    state = ZarrState(line.zarr_id, line.checksum, line.commit, line.entries, line.size, line.refused)
    return Header(state, line.listed, line.body)


def decode(file: BinaryIO, most: int = MOST_ENTRIES) -> Iterator[ZarrEntry]:
    """The entries of a manifest whose file is behind the header; reads in memory that is bounded.

    Does not compare them with the header; :func:`verify` does.

    Raises:
        BadManifest: it is not what :class:`BodyWriter` writes, or has more than ``most`` entries.
    """
    window = zstandard.ZstdDecompressor(max_window_size=_MOST_MEMORY)
    left = most
    with io.BufferedReader(window.stream_reader(file, read_size=_PIECE, closefd=False), _PIECE) as lines:
        while block := _next_block(lines):
            left -= len(block)
            if left < 0:
                raise BadManifest("it has more entries than its header says")
            yield from block


def _next_block(lines: io.BufferedReader) -> list[ZarrEntry]:
    try:
        line = lines.readline(_LONGEST_BLOCK)
        return _entries(_COLUMNS.decode(line)) if line else []
    except (zstandard.ZstdError, ValueError) as error:
        raise BadManifest(f"its entries cannot be read: {error}") from error


def _entries(columns: _Columns) -> list[ZarrEntry]:
    """The entries of a block; raises ValueError if a value is not what it must be."""
    paths, sizes, etags, version_ids, times = columns
    count = len(paths)
    _check(count, etags, version_ids, times)
    rows = zip(paths, sizes, etags.split(" "), _values(version_ids, count), _values(times, count), strict=True)
    return list(map(ZarrEntry._make, rows))


def _check(count: int, etags: str, version_ids: str | None, times: str | None) -> None:
    if any(column is not None and column.count(" ") != count - 1 for column in (etags, version_ids, times)):
        raise ValueError("its columns differ in length")
    if not _ETAGS.fullmatch(etags):
        raise ValueError("not an ETag")
    if not _VERSION_IDS.fullmatch(version_ids or "") or not _TIMES.fullmatch(times or ""):
        raise ValueError("not a version or a time")


def _values(column: str | None, count: int) -> list[str | None]:
    return [None] * count if column is None else [value or None for value in column.split(" ")]


def verify(file: BinaryIO, zarr_id: str, checksum: str) -> tuple[Header, int]:
    """Read a whole manifest: its header, and where its entries begin.

    Raises:
        BadManifest: it is damaged, or its entries do not give this Zarr's ``checksum``.
    """
    header, start = verify_body(file, zarr_id, checksum)
    building = StateBuilder(zarr_id)
    try:
        for entry in decode(file, header.state.entries):
            building.add(entry)
    except (BadEntry, Disorder) as error:
        raise BadManifest(str(error)) from error
    if building.state() != header.state:
        raise BadManifest("its entries do not have its checksum")
    return header, start


def verify_body(file: BinaryIO, zarr_id: str, checksum: str) -> tuple[Header, int]:
    """The same, but compare only the bytes of the entries with their digest; the file is then where these begin.

    Raises:
        BadManifest: it is damaged, or another state's.
    """
    header = read_header(file)
    if (header.state.zarr_id, header.state.checksum) != (zarr_id, checksum):
        raise BadManifest("it is the manifest of another state")
    start = file.tell()
    digest = sha256()
    while piece := file.read(_PIECE):
        digest.update(piece)
    if digest.hexdigest() != header.body:
        raise BadManifest("it is cut off, or was changed after it was written")
    file.seek(start)
    return header, start
