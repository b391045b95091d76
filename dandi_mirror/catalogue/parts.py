"""Give the worker parts of content that is not here, or in many files: so many requests and bytes, and no more.

The worker reads what may be hostile, so what it asks for is checked here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from dandi_mirror.errors import MirrorError, TemporaryError

REQUESTS = 20
"""To the archive for one preview; one that fails is made again as others are."""
BYTES = 3_000_000
"""From the archive for one preview."""
MOST_HERE = 128 << 20
"""Bytes from this machine for one preview of a Zarr."""
MOST_METADATA = 600
"""Metadata entries of a Zarr that the worker is told of."""
_METADATA = (".zarray", ".zgroup", ".zattrs", ".zmetadata", "zarr.json")
_ARRAYS = (".zarray", "zarr.json")


class RemoteFile(ABC):
    """A file of which blocks can be read."""

    size: int
    """Bytes."""
    block: int
    """Bytes of a block; the last one may have fewer."""

    @abstractmethod
    def holds(self, start: int, stop: int) -> bool:
        """Whether a range is on this machine, so that it costs no request."""

    @abstractmethod
    def read(self, start: int, stop: int) -> bytes:
        """A range.

        Raises:
            MirrorError: it does not come, or is not what it should be.
        """


class RemoteZarr(ABC):
    """A Zarr whose entries can be read."""

    asks: bool
    """Whether the archive may be asked for entries that are not here."""

    @property
    @abstractmethod
    def paths(self) -> Mapping[str, int]:
        """Its entries, and the bytes of each."""

    @abstractmethod
    def here(self, path: str) -> bytes | None:
        """The content of an entry, if it is on this machine."""

    @abstractmethod
    def remote(self, path: str) -> RemoteFile:
        """An entry at the archive."""


@dataclass(slots=True)
class Budget:
    """What may still be asked of the archive for one preview."""

    requests: int = REQUESTS
    size: int = BYTES
    spent: bool = False
    """Whether something was asked for that it did not have."""
    lacking: bool = False
    """Whether something is not here, and the archive may not be asked."""
    error: MirrorError | None = None
    """Why something that it had did not come."""

    def told(self, **more: object) -> dict[str, Any]:
        """What the worker learns of it."""
        return {"requests": self.requests, "left": self.size, **more}

    def read(self, file: RemoteFile, start: int, stop: int) -> bytes:
        """A range of a file; empty if there is no budget for it, or if it did not come."""
        if self.error:
            return b""
        free = file.holds(start, stop)
        if not free and (self.requests < 1 or self.size < stop - start):
            self.spent = True
            return b""
        if not free:
            self.requests, self.size = self.requests - 1, self.size - (stop - start)
        try:
            found = file.read(start, stop)
        except MirrorError as error:
            self.error = error
            return b""
        if len(found) != stop - start:
            self.error = TemporaryError("fewer bytes came than the file has")
            return b""
        return found


def blocks_of(file: RemoteFile, budget: Budget) -> Callable[[Mapping[str, Any]], tuple[dict[str, Any], bytes]]:
    """Gives blocks of a file: as many of those asked for as come in one request, or are here."""

    def give(asked: Mapping[str, Any]) -> tuple[dict[str, Any], bytes]:
        first, count = asked.get("first"), asked.get("count")
        blocks = -(-file.size // file.block)
        if type(first) is not int or type(count) is not int or not 0 <= first < blocks:
            return budget.told(), b""
        if count < 1:
            budget.spent = True
            return budget.told(), b""

        def end(number: int) -> int:
            return min(file.size, (number + 1) * file.block)

        start = first * file.block
        free = file.holds(start, end(first))
        most = blocks if free else first + max(1, budget.size // file.block)
        last = first
        while last + 1 < min(most, first + count, blocks) and file.holds(end(last), end(last + 1)) == free:
            last += 1
        content = budget.read(file, start, end(last))
        return budget.told(), content

    return give


def listed(zarr: RemoteZarr) -> dict[str, Any]:
    """What the worker is told of a Zarr: its metadata entries, and how many chunks each array has."""
    metadata = [path for path in zarr.paths if path.rpartition("/")[2] in _METADATA]
    arrays = {path.rpartition("/")[0]: 0 for path in metadata if path.rpartition("/")[2] in _ARRAYS}
    known = set(metadata)
    for path in zarr.paths:
        if path not in known:
            above = path.rpartition("/")[0]
            while above not in arrays and above:
                above = above.rpartition("/")[0]
            if above in arrays:
                arrays[above] += 1

    def order(path: str) -> tuple[int, bool, str]:
        # of arrays the attributes tell least
        folder, _, name = path.rpartition("/")
        return path.count("/"), name == ".zattrs" and folder in arrays, path

    few = sorted(metadata, key=order)[:MOST_METADATA]
    return {"metadata": few, "chunks": dict(list(arrays.items())[:MOST_METADATA])}


def entries_of(zarr: RemoteZarr, budget: Budget) -> Callable[[Mapping[str, Any]], tuple[dict[str, Any], bytes]]:
    """Gives the contents of entries, each whole or not at all."""
    left = MOST_HERE

    def give(asked: Mapping[str, Any]) -> tuple[dict[str, Any], bytes]:
        nonlocal left
        path = asked.get("entry")
        size = zarr.paths.get(path) if isinstance(path, str) else None
        if size is None or not isinstance(path, str):
            return budget.told(listed=False, given=False, why=""), b""
        if size > left:
            return budget.told(listed=True, given=False, why="it is too large for a preview"), b""
        content = zarr.here(path)
        if content is None:
            content, why = _remote(zarr, path, size, budget, asked)
            if content is None:
                return budget.told(listed=True, given=False, why=why), b""
        left -= len(content)
        return budget.told(listed=True, given=True, why=""), content

    return give


def _remote(
    zarr: RemoteZarr, path: str, size: int, budget: Budget, asked: Mapping[str, Any]
) -> tuple[bytes | None, str]:
    """An entry from the archive, or why there is none."""
    if not zarr.asks:
        budget.lacking = True
        return None, "not all of its chunks are in this mirror"
    file = zarr.remote(path)
    kept, more = asked.get("kept", 0), asked.get("more", 1)
    limit = f"it is more than may be read: {REQUESTS} requests and {BYTES // 1_000_000} MB"
    if type(kept) is not int or type(more) is not int:
        return None, limit
    if not file.holds(0, size) and (more > budget.requests or budget.requests <= kept):
        budget.spent = True
        return None, limit
    content = budget.read(file, 0, size) if size else b""
    return (None, limit) if size and not content else (content, "")
