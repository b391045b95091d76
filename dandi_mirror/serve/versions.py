"""The assets of one version, read from a mirror's dataset; as many records in memory as their ids and paths need."""

from __future__ import annotations

import os
import tempfile
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import orjson

from dandi_mirror.mirror.format.record_reader import Record, admit, lines, refused_record
from dandi_mirror.mirror.format.records import is_part
from dandi_mirror.mirror.zarr.gitmodules import ZarrModule, read_gitmodules
from dandi_mirror.paths import REFUSED_FOLDER
from dandi_mirror.repo.git.dataset import Dataset, Tree
from dandi_mirror.repo.git.stream import GITLINK


class ServedAsset(NamedTuple):
    """An asset of a version, and where its record is in the file of records."""

    path: str
    asset_id: str
    size: int
    """Bytes."""
    created: str
    sha256: str
    """Empty for a Zarr, and for an asset that the mirror refused."""
    start: int
    length: int


@dataclass(frozen=True, slots=True)
class Child:
    """A folder or an asset in a folder of a version."""

    path: str
    files: int
    """Assets in it."""
    size: int
    """Their bytes."""
    row: ServedAsset | None
    """The asset; None for a folder."""


class VersionAssets:
    """The assets of a version: ids and paths in memory, records in a temporary file."""

    def __init__(self, dataset: Dataset, oid: str) -> None:
        """``oid``: the tag or the commit."""
        self.dataset = dataset
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as this
        tree = dataset.tree(oid)
        self._tree = tree
        with dataset.reader() as reader:
            modules = read_gitmodules(next(reader.read([f"{oid}:.gitmodules"], instead=b"")) or b"")
            self.zarrs: dict[str, ZarrModule] = {
                path: module for path, module in modules.items() if tree.get(path, (b"", ""))[0] == GITLINK
            }
            """The Zarrs whose state the version has, by path."""
            parts = [found for path, (_, found) in tree.items() if is_part(path)]
            rows = list(self._spool(lines(reader, parts)))
            refused = [(path, found) for path, (_, found) in tree.items() if _is_refusal(path)]
            kept = zip(refused, reader.read([found for _, found in refused], instead=b""), strict=True)
            rows += self._refused((path, content or b"") for (path, _), content in kept)
        self._file.flush()
        self.rows = sorted(rows, key=lambda row: row.path)
        """By path."""

    def _spool(self, found: Iterable[bytes]) -> Iterator[ServedAsset]:
        for line in found:
            if isinstance(record := admit(line), Record):
                created, sha256 = record.created, record.sha256
                yield self._put(line, record.path, record.asset_id, record.size, created, sha256)

    def _refused(self, files: Iterable[tuple[str, bytes]]) -> Iterator[ServedAsset]:
        """What the mirror refused and has the record of: another mirror is to refuse it, too."""
        for name, content in files:
            if record := refused_record(name, content):
                path, created = record.get("path"), record.get("created")
                yield self._put(
                    orjson.dumps(record),
                    str(path),
                    str(record["asset_id"]),
                    _size(record),
                    created if isinstance(created, str) else "",
                    "",
                )

    def _put(self, line: bytes, path: str, asset_id: str, size: int, created: str, sha256: str) -> ServedAsset:
        start = self._file.tell()
        self._file.write(line)
        return ServedAsset(path, asset_id, size, created, sha256, start, len(line))

    def record(self, row: ServedAsset) -> dict[str, object]:
        """The record of an asset, as the mirror keeps it."""
        found = orjson.loads(os.pread(self._file.fileno(), row.length, row.start))
        assert isinstance(found, dict)
        return found

    @cached_property
    def by_id(self) -> dict[str, ServedAsset]:
        """The assets by their ids."""
        return {row.asset_id: row for row in self.rows}

    def text(self, row: ServedAsset) -> str:
        """The git object that holds an asset's bytes; empty if git does not hold them."""
        mode, oid = self._tree.get(row.path, (b"", ""))
        return oid if mode == b"100644" else ""

    def below(self, prefix: str) -> list[ServedAsset]:
        """The assets whose paths begin with a text."""
        start = bisect_left(self.rows, prefix, key=lambda row: row.path)
        stop = bisect_left(self.rows, prefix + "\U0010ffff", key=lambda row: row.path)
        return self.rows[start:stop]

    def children(self, folder: str) -> list[Child] | None:
        """What is in a folder (the top: empty), folders first; None if there is no such folder or asset."""
        inside = f"{folder}/" if folder else ""
        rows = self.below(inside)
        if folder and (exact := [row for row in self.below(folder) if row.path == folder]):
            return [Child(row.path, 1, row.size, row) for row in exact]
        if folder and not rows:
            return None
        folders: dict[str, tuple[int, int]] = {}
        files: list[Child] = []
        for row in rows:
            name, slash, _ = row.path[len(inside) :].partition("/")
            if slash:
                count, size = folders.get(name, (0, 0))
                folders[name] = count + 1, size + row.size
            else:
                files.append(Child(row.path, 1, row.size, row))
        return [Child(f"{inside}{name}", count, size, None) for name, (count, size) in folders.items()] + files

    @property
    def tree(self) -> Tree:
        """Every file of the version."""
        return self._tree


def refused_totals(dataset: Dataset, oid: str) -> tuple[int, int]:
    """How many assets of a version the mirror refused and has the record of, and their bytes."""
    tree = dataset.tree(oid, REFUSED_FOLDER)
    names = [path for path in tree if _is_refusal(path)]
    with dataset.reader() as reader:
        contents = list(reader.read([tree[name][1] for name in names], instead=b""))
    records = [refused_record(name, content or b"") for name, content in zip(names, contents, strict=True)]
    return sum(map(bool, records)), sum(_size(record) for record in records)


def _size(record: dict[str, object]) -> int:
    """The bytes that a record states; 0 if it states none."""
    size = record.get("size")
    return size if type(size) is int and size >= 0 else 0


def _is_refusal(path: str) -> bool:
    return path.startswith(f"{REFUSED_FOLDER}/") and path.endswith(".json")
