"""Bring NWB-Zarr folders to their places in a work tree: complete, verified, and never over another one.

A Zarr stays a plain folder, which ``upload`` sends; git-annex does not take it in.  A copy is made below ``.git`` and
then gets its name, all of it at once.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from dandi_mirror.errors import DiskError, PartError
from dandi_mirror.repo.git.disk import bring_files_to_disk, bring_folders_to_disk
from dandi_mirror.repo.git.files import FileStamp
from dandi_mirror.upload.organize import placing
from dandi_mirror.upload.organize.naming import OrganizeStep
from dandi_mirror.upload.organize.results import Organized, occupied
from dandi_mirror.upload.organize.sources import HARDLINK, MOVE, check_step
from dandi_mirror.upload.read.worker_process import FileError
from dandi_mirror.upload.zarrs.local import plain_files

_NUMBERS = count()
_GOING = ".dandi-mirror-organized-"
"""How the name of a source begins while it is deleted."""


@dataclass(frozen=True, slots=True)
class ZarrFolders:
    """Brings Zarr folders into one work tree, in one mode."""

    root: Path
    folder: Path
    """For unfinished copies, on the disk of the work tree."""
    mode: str
    tracked: Container[str]
    ignored: Mapping[str, str]

    def bring(self, planned: Iterable[OrganizeStep]) -> Iterator[Organized]:
        """Bring them one by one; yields each when it is on disk.

        Raises:
            DiskError: the disk failed.
        """
        for step in planned:
            try:
                yield self._one(step)
            except (FileError, PartError) as error:
                yield Organized(step.source, step.target, "impossible", str(error))
            except OSError as error:
                if not Path(str(error.filename)).is_relative_to(step.source):
                    raise DiskError.of(error.filename or self.root, error) from error
                yield Organized(step.source, step.target, "impossible", f"{error.filename}: {error.strerror}")

    def _one(self, step: OrganizeStep) -> Organized:
        check_step(self.root, step, self.mode, self.tracked, self.ignored)
        source, place = step.source, placing.make_folders(self.root, step.target)
        if source == place:
            return Organized(source, step.target, "notneeded")
        files = plain_files(source)
        size = sum(seen.size for _, seen in files)
        self._check_untracked(source, files)
        if os.path.lexists(place):
            if not _is_same(source, place, files):
                raise FileError(occupied(place))
            status = "notneeded"
        else:
            self._make(source, step.target, files)
            status = "ok"
        if self.mode == MOVE and os.path.lexists(source):
            _delete(source, files)
        return Organized(source, step.target, status, size=size)

    def _check_untracked(self, source: Path, files: Iterable[tuple[str, FileStamp]]) -> None:
        if source.is_relative_to(self.root):
            inside = source.relative_to(self.root)
            if any(f"{inside}/{path}" in self.tracked for path, _ in files):
                raise FileError(f"git has files of it; take them out of git first: git rm -r --cached {inside}")

    def _make(self, source: Path, target: str, files: list[tuple[str, FileStamp]]) -> None:
        if self.mode == MOVE and source.stat().st_dev == self.folder.stat().st_dev:
            made = source
        else:
            made = self.folder / f"{next(_NUMBERS)}.zarr"
            _copy(source, made, files, linked=self.mode == HARDLINK)
        placing.put_folder(made, self.root, target)
        bring_folders_to_disk({str(folder) for folder in ((self.root / target).parent, source.parent)})


def amount(folder: Path) -> tuple[int, int]:
    """How many files a Zarr folder has, and their bytes.

    Raises:
        PartError: it holds something that cannot be sent.
    """
    files = plain_files(folder)
    return len(files), sum(seen.size for _, seen in files)


def _copy(source: Path, made: Path, files: list[tuple[str, FileStamp]], *, linked: bool) -> None:
    """Copy a folder, or make a second one with the same files.

    Raises:
        FileError: a file changed while it was read, or its copy differs.
    """
    folders = {made, *(above for path, _ in files for above in (made / path).parents if above.is_relative_to(made))}
    for folder in sorted(folders):
        folder.mkdir()
    if linked:
        for path, _ in files:
            os.link(source / path, made / path)
    else:
        digests = [placing.copy_bytes(source / path, made / path, seen) for path, seen in files]
        bring_files_to_disk([str(made / path) for path, _ in files])
        for (path, _), sha256 in zip(files, digests, strict=True):
            placing.check_copy(made / path, sha256)
    if plain_files(source) != files:
        raise FileError("it changes while it is read; wait until it is complete")
    bring_folders_to_disk({str(folder) for folder in folders})


def _is_same(one: Path, other: Path, files: list[tuple[str, FileStamp]]) -> bool:
    """Whether two folders hold the same files; all are read."""
    try:
        theirs = plain_files(other)
    except PartError:
        return False
    if [(path, seen.size) for path, seen in files] != [(path, seen.size) for path, seen in theirs]:
        return False
    return all(_digest(one / path) == _digest(other / path) for path, _ in files)


def _digest(file: Path) -> bytes:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").digest()


def _delete(source: Path, files: list[tuple[str, FileStamp]]) -> None:
    """Delete a source that is in its place; it has another name first, so that no part of it is taken for a Zarr.

    Raises:
        FileError: it changed since it was read, and is kept.
    """
    if plain_files(source) != files:
        raise FileError("it has changed since it was copied; it is kept, and the copy is in its place")
    going = source.with_name(f"{_GOING}{source.name}")
    source.rename(going)
    bring_folders_to_disk({str(source.parent)})
    shutil.rmtree(going)
