"""The files of a Zarr as a bucket with versioning keeps them: a change adds a version, and the old ones stay."""

from __future__ import annotations

import heapq
from bisect import bisect_left, insort
from collections.abc import Callable, Iterator, MutableMapping
from datetime import datetime
from itertools import islice
from typing import NamedTuple, Protocol

from dandi_mirror.embedded.bucket.contents import Content


class FileVersion(NamedTuple):
    """One version of a file; ``content`` is None for a delete marker."""

    version_id: str
    modified: datetime
    content: Content | None


class SortedPaths(Protocol):
    """Sorted paths that need not be in memory."""

    def __len__(self) -> int: ...

    def __getitem__(self, at: int, /) -> str: ...

    def __contains__(self, path: object, /) -> bool: ...

    def walk(self, at: int) -> Iterator[str]:
        """The paths from number ``at`` on."""


class FirstFiles(Protocol):
    """What a Zarr has held from the start, without an object in memory for each file."""

    @property
    def paths(self) -> SortedPaths:
        """The paths."""

    def version(self, path: str) -> FileVersion:
        """The first version of one of the files."""

    def content(self, path: str) -> Content:
        """The content of that version."""


class Files(MutableMapping[str, Content]):
    """Path → content of a Zarr's files now, in the order of S3's keys.

    Setting a file adds a version of it, also with the same bytes.  Deleting one adds a delete marker.
    """

    def __init__(
        self, now: Callable[[], datetime], new_version_id: Callable[[], str], first: FirstFiles | None = None
    ) -> None:
        self._now = now
        self._new_version_id = new_version_id
        self._first = first
        self._versions: dict[str, list[FileVersion]] = {}
        """By path, oldest first, without those of ``first``."""
        self._sorted: list[str] = []
        """The keys of ``_versions``."""
        self._count = len(first.paths) if first else 0

    def __getitem__(self, path: str) -> Content:
        newest = self.newest(path)
        if newest is None or newest.content is None:
            raise KeyError(path)
        return newest.content

    def __setitem__(self, path: str, content: Content) -> None:
        self.add(path, FileVersion(self._new_version_id(), self._now(), content))

    def __delitem__(self, path: str) -> None:
        if path not in self:
            raise KeyError(path)
        self.add(path, FileVersion(self._new_version_id(), self._now(), None))

    def __iter__(self) -> Iterator[str]:
        return (path for path in self.paths() if path in self)

    def __len__(self) -> int:
        return self._count

    def __contains__(self, path: object) -> bool:
        newest = self.newest(path) if isinstance(path, str) else None
        return newest is not None and newest.content is not None

    def add(self, path: str, version: FileVersion) -> None:
        """Add a version as it is; it is the newest from now on."""
        self._count += (version.content is not None) - (path in self)
        if path not in self._versions:
            self._versions[path] = []
            insort(self._sorted, path)
        self._versions[path].append(version)

    def newest(self, path: str) -> FileVersion | None:
        """The current version of a file, which may be a delete marker; None if there never was one."""
        if own := self._versions.get(path):
            return own[-1]
        return self._first_version(path)

    def versions(self, path: str) -> list[FileVersion]:
        """All versions of a file, newest first."""
        own = self._versions.get(path, [])[::-1]
        first = self._first_version(path)
        return [*own, first] if first else own

    def _first_version(self, path: str) -> FileVersion | None:
        return self._first.version(path) if self._first and path in self._first.paths else None

    def contents(self) -> Iterator[tuple[str, Content]]:
        """Path and content of every file, in the order of S3's keys; faster than ``items``."""
        for path in self.paths():
            if self._first is not None and path not in self._versions:
                yield path, self._first.content(path)
            elif (content := self._versions[path][-1].content) is not None:
                yield path, content

    def paths(self, start: str = "") -> Iterator[str]:
        """The paths from ``start`` on, also those of deleted files, in the order of S3's keys."""
        own = islice(self._sorted, bisect_left(self._sorted, start), None)
        if self._first is None:
            return own
        first = self._first.paths.walk(bisect_left(self._first.paths, start))
        return _once(heapq.merge(own, first)) if self._sorted else first


def _once(paths: Iterator[str]) -> Iterator[str]:
    last = None
    for path in paths:
        if path != last:
            yield path
        last = path
