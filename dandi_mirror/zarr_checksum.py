"""The checksum that DANDI computes for a Zarr: its form, and its value from all entries in one pass.  Pure.

Each folder is the JSON of what it holds, and its checksum the MD5 of that.  Folders are contiguous in the order of the
entries, so one stack of open folders is all that is kept.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from hashlib import md5
from json.encoder import encode_basestring_ascii
from typing import TypeGuard, TypeVar

_CHECKSUM = re.compile(r"[0-9a-f]{32}-(0|[1-9][0-9]{0,7})--(0|[1-9][0-9]{0,18})")


def is_checksum(text: object) -> TypeGuard[str]:
    """Whether this is the checksum of a Zarr: ``<md5>-<entries>--<bytes>``."""
    return isinstance(text, str) and _CHECKSUM.fullmatch(text) is not None


def counts_of(checksum: str) -> tuple[int, int]:
    """How many entries and bytes a Zarr has, as its checksum says.

    Raises:
        ValueError: it is not a checksum.
    """
    found = _CHECKSUM.fullmatch(checksum)
    if not found:
        raise ValueError(f"not the checksum of a Zarr: {checksum!a:.100}")
    return int(found[1]), int(found[2])


class ZarrFolder:
    """A folder of a Zarr that is open: more entries may come."""

    __slots__ = ("count", "files", "folders", "path", "size")

    def __init__(self, path: str) -> None:
        self.path = path
        """Relative to the Zarr; empty for the Zarr itself."""
        self.files = bytearray()
        self.folders: list[tuple[str, str]] = []
        self.count = 0
        """Entries in it, at any depth."""
        self.size = 0
        """Bytes of them."""

    def add_file(self, name: str, size: int, etag: str) -> None:
        """Count a file; files come sorted by name."""
        line = f',{{"digest":"{etag}","name":{encode_basestring_ascii(name)},"size":{size}}}'
        self.files += line.encode()
        self.count += 1
        self.size += size

    def add_folder(self, folder: ZarrFolder) -> None:
        """Count a folder that is complete; folders come in any order."""
        name = folder.path.rpartition("/")[2]
        line = f'{{"digest":"{folder.checksum()}","name":{encode_basestring_ascii(name)},"size":{folder.size}}}'
        self.folders.append((name, line))
        self.count += folder.count
        self.size += folder.size

    def checksum(self) -> str:
        """The MD5 of the folder's JSON, the number of entries, and their bytes."""
        digest = md5(b'{"directories":[', usedforsecurity=False)
        digest.update(",".join(line for _, line in sorted(self.folders)).encode())
        digest.update(b'],"files":[')
        digest.update(memoryview(self.files)[1:])
        digest.update(b"]}")
        return f"{digest.hexdigest()}-{self.count}--{self.size}"


Folder = TypeVar("Folder", bound=ZarrFolder)


def enter(
    stack: list[Folder], path: str, begin: Callable[[str, Folder], Folder], close: Callable[[Folder, Folder], None]
) -> Folder:
    """Close the folders that are complete, and open those down to ``path``; the first folder is the Zarr itself.

    ``begin`` makes a folder from its path and the folder above it; ``close`` takes a complete folder and the one above.
    """
    while not f"{path}/".startswith(stack[-1].path and f"{stack[-1].path}/"):
        complete = stack.pop()
        close(complete, stack[-1])
    top = stack[-1].path
    for name in path[len(top) + 1 if top else 0 :].split("/") if path != top else ():
        above = stack[-1]
        stack.append(begin(f"{above.path}/{name}" if above.path else name, above))
    return stack[-1]


def zarr_checksum(entries: Iterable[tuple[str, int, str]]) -> str:
    """The checksum of path, size in bytes and MD5 of each entry; ``entries`` are sorted by their whole paths."""
    stack = [ZarrFolder("")]
    for path, size, etag in entries:
        above, _, name = path.rpartition("/")
        folder = stack[-1] if stack[-1].path == above else enter(stack, above, _begin, _close)
        folder.add_file(name, size, etag)
    return enter(stack, "", _begin, _close).checksum()


def _begin(path: str, above: ZarrFolder) -> ZarrFolder:
    return ZarrFolder(path)


def _close(folder: ZarrFolder, above: ZarrFolder) -> None:
    above.add_folder(folder)
