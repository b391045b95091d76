"""The assets of a Dandiset's versions, read from the search index: which there are, and what changed between two."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from dandi_mirror.catalogue.values import SHOWN, Change
from dandi_mirror.mirror.search.columns import ZARR
from dandi_mirror.zarr_checksum import counts_of

_HELD = "SELECT part FROM holds WHERE version = ?"
_ASSETS = (
    "SELECT asset.number, path, lower(hex(sha256)), size, type FROM member"
    " JOIN asset ON asset.number = member.asset WHERE part IN ({parts})"
)


class IndexedVersion(NamedTuple):
    """A version in the index."""

    number: int
    name: str
    commit: str
    seconds: int


class IndexedAsset(NamedTuple):
    """An asset in the index, as far as a comparison needs it."""

    number: int
    path: str
    sha256: str
    size: int
    kind: str


@dataclass(slots=True)
class Count:
    """How many files a version has, and their bytes."""

    files: int = 0
    size: int = 0

    def add(self, assets: Iterable[IndexedAsset], states: dict[str, str], times: int = 1) -> None:
        """Add assets, or remove them with ``times`` -1; a Zarr counts by its state."""
        for asset in assets:
            self.files += times
            self.size += times * size_of(asset.path, asset.size, asset.kind, states)


def size_of(path: str, size: int, kind: str, states: dict[str, str]) -> int:
    """The bytes of an asset; of a Zarr those of its state, because its record may lag behind."""
    return counts_of(states[path])[1] if kind == ZARR and path in states else size


class Rows:
    """Reads the rows of one Dandiset."""

    def __init__(self, database: sqlite3.Connection, dandiset: str) -> None:
        self._database = database
        found = database.execute("SELECT number FROM dandiset WHERE id = ?", [dandiset]).fetchone()
        self._number = int(found[0]) if found else 0

    def versions(self) -> list[IndexedVersion]:
        """The versions, oldest first, what a branch has at the end."""
        rows = self._database.execute(
            "SELECT number, name, oid, seconds FROM version WHERE dandiset = ?"
            " ORDER BY name IN ('draft', 'published'), seconds, name",
            [self._number],
        )
        return [IndexedVersion(*row) for row in rows]

    def states(self, version: IndexedVersion) -> dict[str, tuple[str, str]]:
        """The Zarrs of a version: path → id and checksum."""
        rows = self._database.execute("SELECT path, id, checksum FROM zarr WHERE version = ?", [version.number])
        return {path: (zarr, checksum) for path, zarr, checksum in rows}

    def full(self, version: IndexedVersion) -> Iterator[tuple[IndexedAsset, str, str]]:
        """Each asset of a version, with its id and its facts."""
        rows = self._database.execute(
            "SELECT asset.number, path, lower(hex(sha256)), size, type, asset.id, text FROM holds"
            " JOIN member USING (part) JOIN asset ON asset.number = member.asset"
            " JOIN facts ON facts.number = asset.facts WHERE version = ?",
            [version.number],
        )
        for number, path, sha256, size, kind, asset_id, text in rows:
            identifier = str(UUID(bytes=asset_id)) if asset_id else ""
            yield IndexedAsset(number, path, sha256, size, kind), identifier, text

    def with_content(self, digest: str) -> list[IndexedAsset]:
        """The assets whose SHA-256 begins with some digits (an even number of them)."""
        start = bytes.fromhex(digest)
        rows = self._database.execute(
            "SELECT number, path, lower(hex(sha256)), size, type FROM asset INDEXED BY asset_sha256"
            " WHERE sha256 BETWEEN ? AND ? AND dandiset = ? LIMIT 100",
            [start, start + b"\xff" * 32, self._number],
        )
        return [IndexedAsset(*row) for row in rows]

    def zarrs_in_state(self, digest: str) -> list[tuple[str, str, str]]:
        """The Zarrs whose checksum begins with an MD5: path, id and checksum."""
        rows = self._database.execute(
            "SELECT DISTINCT path, zarr.id, checksum FROM zarr JOIN version ON version.number = zarr.version"
            " WHERE dandiset = ? AND checksum BETWEEN ? AND ? LIMIT 10",
            [self._number, f"{digest}-", f"{digest}."],
        )
        return [(path, zarr, checksum) for path, zarr, checksum in rows]

    def all_of(self, version: IndexedVersion) -> list[IndexedAsset]:
        """The assets of a version."""
        return [IndexedAsset(*row) for row in self._database.execute(_ASSETS.format(parts=_HELD), [version.number])]

    def differing(
        self, old: IndexedVersion, new: IndexedVersion
    ) -> tuple[dict[int, IndexedAsset], dict[int, IndexedAsset]]:
        """The assets that only the old, and that only the new version has; files of records that both have are not
        read."""
        statement = _ASSETS.format(parts=f"{_HELD} EXCEPT {_HELD}")
        before, after = (
            {row[0]: IndexedAsset(*row) for row in self._database.execute(statement, [one.number, other.number])}
            for one, other in ((old, new), (new, old))
        )
        both = before.keys() & after.keys()
        return (
            {number: asset for number, asset in before.items() if number not in both},
            {number: asset for number, asset in after.items() if number not in both},
        )


def changes_between(
    before: Iterable[IndexedAsset], after: Iterable[IndexedAsset], old: dict[str, str], new: dict[str, str]
) -> tuple[Change, ...]:
    """What changed, by kind; ``old`` and ``new`` are the states of Zarrs by path.  Pure.

    A file is replaced if its content changed, edited if only its metadata did, renamed if it has another path.
    """
    gone, come = {asset.path: asset for asset in before}, {asset.path: asset for asset in after}
    found: dict[str, list[str]] = defaultdict(list)
    for path in gone.keys() & come.keys():
        same = _digest(gone[path], old) == _digest(come[path], new)
        found["edited" if same else "replaced"].append(path)
    # a record of a Zarr may lag behind its state
    found["replaced"] += [path for path in old.keys() & new.keys() - come.keys() if old[path] != new[path]]
    removed: dict[str, list[str]] = defaultdict(list)
    for path in sorted(gone.keys() - come.keys()):
        removed[_digest(gone[path], old)].append(path)
    for path in sorted(come.keys() - gone.keys()):
        digest = _digest(come[path], new)
        if digest and removed.get(digest):
            found["renamed"].append(f"{removed[digest].pop(0)} → {path}")
        else:
            found["added"].append(path)
    found["removed"] = [path for paths in removed.values() for path in paths]
    kinds = ("added", "removed", "replaced", "renamed", "edited")
    return tuple(Change(kind, len(found[kind]), tuple(sorted(found[kind])[:SHOWN])) for kind in kinds if found[kind])


def _digest(asset: IndexedAsset, states: dict[str, str]) -> str:
    return states.get(asset.path, "") if asset.kind == ZARR else asset.sha256
