"""Read a Zarr folder: path, size and MD5 of each entry, by several threads; annexed entries count by their keys."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from dandi_mirror.errors import PartError
from dandi_mirror.paths import refuse_path
from dandi_mirror.repo.annex.pointers import LONGEST_POINTER, is_pointer, key_in
from dandi_mirror.repo.annex.repository import AnnexRepository
from dandi_mirror.repo.git.files import FileStamp
from dandi_mirror.repo.git.stream import LINK
from dandi_mirror.zarr_checksum import zarr_checksum

EXCLUDED = frozenset({".dandi", ".datalad", ".git", ".gitattributes", ".gitmodules"})
"""Names that are no part of a Zarr, at any depth: those that the stock client leaves out."""
LARGEST_ENTRY = 5 << 30
"""Bytes: more cannot be sent in one request, and the archive takes an entry in one."""
CHANGED = "changed while it was read or sent; run the command again"
_THREADS = 4
_AT_ONCE = 256
"""Files that a thread reads before it takes others."""
_PIECE = 1 << 20
_NAMED = 3
_MD5_KEY = re.compile(r"MD5E?-s([0-9]+)--([0-9a-f]{32})(?:\.[^/]*)?")


class LocalEntry(NamedTuple):
    """A file of a Zarr here."""

    path: str
    """Relative to the Zarr."""
    size: int
    """Bytes."""
    md5: str
    seen: FileStamp | None
    """How the file looked when it was read; None if its key told its MD5."""
    key: str = ""
    """Of an annexed file."""


@dataclass(frozen=True, slots=True)
class LocalZarr:
    """A Zarr folder as it was read."""

    root: Path
    clone: AnnexRepository
    """Whose annex has the content of links."""
    entries: tuple[LocalEntry, ...]
    """Sorted by path."""
    checksum: str
    size: int
    """Bytes of all entries."""

    def file(self, entry: LocalEntry) -> Path:
        """Where the bytes of an entry are."""
        return Path(self.clone.object_path(entry.key)) if entry.key else self.root / entry.path

    def missing(self, numbers: tuple[int, ...]) -> list[str]:
        """The paths of the entries among these whose content is not here."""
        chosen = (self.entries[number] for number in numbers)
        return [entry.path for entry in chosen if entry.key and not self.clone.has(entry.key)]

    def check_unchanged(self) -> None:
        """Check that the folder has the same files as when it was read.

        Raises:
            PartError: it has not.
        """
        before = {entry.path: entry.key or entry.seen for entry in self.entries}
        now = {found.path: found.key or found.seen for found in _walk(self.root)}
        if other := sorted(path for path in before.keys() | now.keys() if before.get(path) != now.get(path)):
            raise PartError(f"{other[0]}{_more(other)} {CHANGED}")


def check_folder(root: Path) -> None:
    """Check that a Zarr folder holds nothing that cannot be sent; no file is read.

    Raises:
        PartError: it does.
    """
    for _ in _walk(root):
        pass


def plain_files(root: Path) -> list[tuple[str, FileStamp]]:
    """The files of a Zarr folder that is no repository and holds no link, sorted by path; none is read.

    Raises:
        PartError: it is another one, or holds something that cannot be sent.
    """
    found = sorted(_walk(root), key=lambda one: one.path)
    if (root / ".git").exists() or any(one.key for one in found):
        raise PartError("git-annex has it; bring it as plain files first: dandi-mirror download")
    return [(one.path, one.seen) for one in found if one.seen]


class _Found(NamedTuple):
    """A file of a Zarr that was not read yet."""

    path: str
    seen: FileStamp | None
    key: str


def read_zarr(root: Path, clone: AnnexRepository) -> LocalZarr:
    """Read a Zarr folder of the work tree of ``clone``, or one that is a repository of its own.

    Raises:
        PartError: it has a file that cannot be part of a Zarr in the archive, or it changed while it was read.
    """
    own = AnnexRepository(root) if (root / ".git").exists() else clone
    found = sorted(_walk(root), key=lambda one: one.path)
    parts = [found[start : start + _AT_ONCE] for start in range(0, len(found), _AT_ONCE)]
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="digest") as pool:
        entries = [entry for part in pool.map(lambda some: [_read(root, own, one) for one in some], parts)
                   for entry in part]  # fmt: skip
    checksum = zarr_checksum((entry.path, entry.size, entry.md5) for entry in entries)
    return LocalZarr(root, own, tuple(entries), checksum, sum(entry.size for entry in entries))


def _walk(root: Path) -> Iterator[_Found]:
    """The files of a Zarr folder; no link is followed.

    Raises:
        PartError: something in it is no file, or has a name that cannot be sent.
    """
    folders = [""]
    strange: list[str] = []
    while folders:
        inside = folders.pop()
        try:
            with os.scandir(root / inside) as members:
                for member in members:
                    if member.name in EXCLUDED:
                        continue
                    path = f"{inside}/{member.name}" if inside else member.name
                    if member.is_dir(follow_symlinks=False):
                        folders.append(path)
                    elif found := _look(member, path):
                        yield found
                    else:
                        strange.append(path)
        except OSError as error:
            raise PartError(f"{inside or root.name} cannot be read ({error.strerror})") from error
    if strange:
        raise PartError(
            f"{_shown(strange[0])}{_more(strange)} in it is a link or not a file; put the file itself there"
        )


def _look(member: os.DirEntry[str], path: str) -> _Found | None:
    """A file or an annexed file; None for anything else.

    Raises:
        PartError: it cannot be sent.
    """
    if reason := refuse_path(f"zarr/{path}"):
        raise PartError(f"{_shown(path)} in it cannot be mirrored: {reason}; rename it")
    if member.is_symlink():
        key = key_in(LINK, os.fsencode(os.readlink(member.path)))  # noqa: PTH115
        return _Found(path, None, key) if key else None
    if not member.is_file(follow_symlinks=False):
        return None
    seen = _stamp(member.stat(follow_symlinks=False))
    if seen.size > LARGEST_ENTRY:
        raise PartError(f"{path} in it is larger than 5 GiB, which the archive does not accept; use smaller chunks")
    return _Found(path, seen, "")


def _read(root: Path, clone: AnnexRepository, found: _Found) -> LocalEntry:
    """The MD5 of a file; of an annexed one, as its key has it."""
    if found.key and (told := _MD5_KEY.fullmatch(found.key)):
        return LocalEntry(found.path, int(told[1]), told[2], None, found.key)
    if found.key and not clone.has(found.key):
        raise PartError(f"the content of {found.path} is not here; get it first: dandi-mirror get")
    file = Path(clone.object_path(found.key)) if found.key else root / found.path
    try:
        md5, seen = _md5(file, found.seen)
    except OSError as error:
        raise PartError(f"{found.path} in it cannot be read ({error.strerror})") from error
    except _Changed:
        raise PartError(f"{found.path} {CHANGED}") from None
    except _IsPointer:
        raise PartError(f"the content of {found.path} is not here; get it first: dandi-mirror get") from None
    return LocalEntry(found.path, seen.size, md5, None if found.key else seen, found.key)


class _Changed(Exception):
    """The file is not as it was."""


class _IsPointer(Exception):
    """The file stands for annexed content that is not here."""


def _md5(file: Path, seen: FileStamp | None) -> tuple[str, FileStamp]:
    descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        before = seen or _stamp(os.fstat(descriptor))
        found, left = hashlib.md5(usedforsecurity=False), before.size
        while piece := os.read(descriptor, min(_PIECE, left + 1)):
            if left == before.size <= LONGEST_POINTER and is_pointer(piece):
                raise _IsPointer
            found.update(piece)
            left -= len(piece)
            if left <= 0:
                break
        if left or _stamp(os.fstat(descriptor)) != before:
            raise _Changed
    finally:
        os.close(descriptor)
    return found.hexdigest(), before


def _stamp(facts: os.stat_result) -> FileStamp:
    assert stat.S_ISREG(facts.st_mode)
    return FileStamp(facts.st_size, facts.st_mtime_ns, facts.st_ino, facts.st_dev)


def _shown(path: str) -> str:
    return ascii(path)[1:-1]


def _more(paths: list[str]) -> str:
    return f" and {len(paths) - 1:,} more" if len(paths) > 1 else ""
