"""The paths of a Zarr of any size, sorted, computed from their number: nothing is kept for each of them.

They look like those of OME-Zarrs: a few metadata files, and chunks at each level of resolution.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import overload

LEVELS = 3
SIDE = 64
"""Chunks along an axis in the plane at most."""


class _Computed(Sequence[str]):
    """A sequence that only computes single items."""

    @overload
    def __getitem__(self, at: int) -> str: ...

    @overload
    def __getitem__(self, at: slice) -> list[str]: ...

    def __getitem__(self, at: int | slice) -> str | list[str]:
        if isinstance(at, slice):
            return [self.item(number) for number in range(*at.indices(len(self)))]
        if not 0 <= at < len(self):
            raise IndexError(at)
        return self.item(at)

    def item(self, at: int) -> str:
        """The path number ``at``."""
        raise NotImplementedError


class Chunks(_Computed):
    """The first ``count`` paths of a grid of chunks below ``folder``, sorted: ``0/0/10/2``.

    The slash comes before all digits, so the paths are in the order of their numbers as texts.
    """

    def __init__(self, folder: str, shape: tuple[int, ...], count: int) -> None:
        self._folder = f"{folder}/"
        self._names = [sorted(map(str, range(length))) for length in shape]
        self._places = [{name: place for place, name in enumerate(names)} for names in self._names]
        self._count = count

    def __len__(self) -> int:
        return self._count

    def walk(self, at: int) -> Iterator[str]:
        """The paths from number ``at`` on, a row of the last axis at a time."""
        last = self._names[-1]
        while at < self._count:
            row, place = divmod(at, len(last))
            folder = self.item(row * len(last)).rpartition("/")[0]
            names = last[place : place + self._count - at]
            yield from [f"{folder}/{name}" for name in names]
            at += len(names)

    def item(self, at: int) -> str:
        """As in the base class."""
        names = []
        for axis in reversed(self._names):
            at, place = divmod(at, len(axis))
            names.append(axis[place])
        return self._folder + "/".join(reversed(names))

    def __contains__(self, path: object) -> bool:
        if not isinstance(path, str) or not path.startswith(self._folder):
            return False
        names, at = path[len(self._folder) :].split("/"), 0
        if len(names) != len(self._names):
            return False
        for name, places in zip(names, self._places, strict=True):
            place = places.get(name)
            if place is None:
                return False
            at = at * len(places) + place
        return at < self._count


class Paths(_Computed):
    """Sorted paths in sections that follow each other: each a grid of chunks, or sorted single paths."""

    def __init__(self, sections: Sequence[Chunks | list[str]]) -> None:
        self._sections = [section for section in sections if section]
        self._ends = list(accumulate(map(len, self._sections)))
        self._single = {path for section in self._sections if isinstance(section, list) for path in section}
        self._grids = [section for section in self._sections if isinstance(section, Chunks)]

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def walk(self, at: int) -> Iterator[str]:
        """The paths from number ``at`` on."""
        for section, end in zip(self._sections, self._ends, strict=True):
            if at < end:
                skip = max(0, at - (end - len(section)))
                yield from section.walk(skip) if isinstance(section, Chunks) else section[skip:]

    def item(self, at: int) -> str:
        """As in the base class."""
        section = bisect_left(self._ends, at + 1)
        return self._sections[section][at - (self._ends[section - 1] if section else 0)]

    def __contains__(self, path: object) -> bool:
        return path in self._single or any(path in grid for grid in self._grids)


@lru_cache
def ome_paths(entries: int, zarr_format: int = 2) -> Paths:
    """The paths of an OME-Zarr of ``entries`` files; of a very small one only metadata."""
    levels = LEVELS if entries > 1000 else 1
    root = [".zattrs", ".zgroup"] if zarr_format == 2 else []
    behind = ["zarr.json"] if zarr_format == 3 else []
    most = len(root) + len(behind) + levels * (2 if zarr_format == 2 else 1)
    if entries <= most:
        return Paths([sorted([*root, *(f"{n}/.zarray" for n in range(most)), *behind])[:entries]])
    sections: list[Chunks | list[str]] = [root]
    for level, count in enumerate(_counts(entries - most, levels)):
        sections += _level(str(level), count, zarr_format)
    return Paths([*sections, behind])


def _counts(chunks: int, levels: int) -> list[int]:
    """Chunks at each level: an eighth from one to the next."""
    smaller = [chunks // 8**level for level in range(1, levels)]
    return [chunks - sum(smaller), *smaller]


def _level(name: str, count: int, zarr_format: int) -> list[Chunks | list[str]]:
    side = min(SIDE, max(1, round(count ** (1 / 3))))
    shape = (1, 1, -(-count // (side * side)), side, side)
    if zarr_format == 2:
        return [[f"{name}/.zarray", f"{name}/.zattrs"], Chunks(name, shape, count)]
    return [Chunks(f"{name}/c", shape, count), [f"{name}/zarr.json"]]
