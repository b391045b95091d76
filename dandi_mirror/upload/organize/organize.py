"""Bring NWB files and NWB-Zarrs to their places in a Dandiset's work tree; nothing is committed.

We copy each file into a folder below ``.git``, verify its digest, and then give it its name, unless that name is taken.
git-annex then adds it and reads it once more for its key; a Zarr stays a plain folder.  A source that is to be moved is
deleted at the very end, when all of this is on disk.  So one of the two is complete at any moment, and another run can
continue.
"""

from __future__ import annotations

import os
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count, islice
from pathlib import Path

from dandi_mirror.errors import DiskError, PartError
from dandi_mirror.files.own import OwnPath
from dandi_mirror.repo.annex.adding import Adder, NotAdded, adding
from dandi_mirror.repo.annex.pointers import key_of_link
from dandi_mirror.repo.annex.repository import AnnexRepository
from dandi_mirror.repo.git.disk import bring_files_to_disk, bring_folders_to_disk
from dandi_mirror.repo.git.ignored import ignored, in_index
from dandi_mirror.upload.organize import placing, zarr_folders
from dandi_mirror.upload.organize.naming import NwbFacts, OrganizeStep
from dandi_mirror.upload.organize.placing import SourceState
from dandi_mirror.upload.organize.results import Organized, occupied
from dandi_mirror.upload.organize.sources import HARDLINK, MOVE, SYMLINK, check_step, paths_of_steps
from dandi_mirror.upload.read.worker import Worker
from dandi_mirror.upload.read.worker_process import FileError

_BATCH = 50
"""Files that one git-annex adds, and whose sources are deleted together."""


def preview(root: Path, planned: Iterable[OrganizeStep], mode: str, tracked: Container[str]) -> Iterator[Organized]:
    """What a run would do.  Nothing is written; of files that exist already, only the sizes are compared."""
    planned = list(planned)
    without = ignored(root, paths_of_steps(planned))
    for step in planned:
        try:
            check_step(root, step, mode, tracked, without)
        except FileError as error:
            yield Organized(step.source, step.target, "impossible", str(error))
            continue
        if step.is_zarr:
            yield _previewed_zarr(root, step)
            continue
        yield _foreseen(root, step.source, step.target, bool(step.media))
        for media in step.media:
            yield _foreseen(root, media.source, media.target, False)


def _foreseen(root: Path, source: Path, target: str, edited: bool) -> Organized:
    place, size = root / target, source.stat().st_size
    if not os.path.lexists(place):
        return Organized(source, target, size=size)
    if edited or f"-s{size}--" in key_of_link(place) or (place.is_file() and place.stat().st_size == size):
        return Organized(source, target, "notneeded", size=size)
    return Organized(source, target, "impossible", occupied(place))


def _previewed_zarr(root: Path, step: OrganizeStep) -> Organized:
    place = root / step.target
    try:
        count, size = zarr_folders.amount(step.source)
        if not os.path.lexists(place) or zarr_folders.amount(place) == (count, size):
            status = "notneeded" if os.path.lexists(place) else "ok"
            return Organized(step.source, step.target, status, size=size)
    except PartError as error:
        return Organized(step.source, step.target, "impossible", str(error))
    return Organized(step.source, step.target, "impossible", occupied(place))


def link(root: Path, planned: Iterable[OrganizeStep], tracked: Container[str] = ()) -> Iterator[Organized]:
    """Make links to the sources; git-annex does not take them in."""
    planned = list(planned)
    without = ignored(root, paths_of_steps(planned)) if (root / ".git").exists() else {}
    for step in planned:
        try:
            check_step(root, step, SYMLINK, tracked, without)
            place = placing.make_folders(root, step.target)
            if placing.put_link(step.source, root, step.target):
                yield Organized(step.source, step.target)
            elif place.is_symlink() and place.readlink() == step.source:
                yield Organized(step.source, step.target, "notneeded")
            else:
                raise FileError(occupied(place))
        except FileError as error:
            yield Organized(step.source, step.target, "impossible", str(error))
        except OSError as error:
            raise DiskError.of(error.filename or root, error) from error


def carry_out_steps(
    clone: AnnexRepository, worker: Worker, planned: Iterable[OrganizeStep], mode: str
) -> Iterator[Organized]:
    """Bring files to their places and add them to the index; yields each when it is on disk.

    Only under the dataset's lock.

    Raises:
        DiskError, GitError: the disk or git-annex failed.
    """
    planned = list(planned)
    zarrs = [step for step in planned if step.is_zarr]
    tracked, planned, media = clone.listing(), iter([step for step in planned if not step.is_zarr]), list[_Brought]()
    try:
        with placing.staging(OwnPath(clone.git_dir, ("dandi-mirror", "organize"))) as folder:
            while batch := list(islice(planned, _BATCH)):
                brought = _bring(clone, worker, batch, mode, folder, tracked)
                if mode == MOVE:
                    # several NWB files may refer to one media file: delete it when all of them are in place
                    media += [one for one in brought if one.media]
                    brought = _remove([one for one in brought if not one.media])
                yield from (one.told for one in brought)
            yield from (one.told for one in _remove(media))
            without = ignored(clone.path, paths_of_steps(zarrs)) if zarrs else {}
            yield from zarr_folders.ZarrFolders(clone.path, folder, mode, tracked, without).bring(zarrs)
    except OSError as error:
        raise DiskError.of(error.filename or clone.path, error) from error


@dataclass(frozen=True, slots=True)
class _Brought:
    """The report about a file, and if it is in its place, the state in which we read its source."""

    told: Organized
    seen: SourceState | None = None
    media: bool = False


def _bring(
    clone: AnnexRepository,
    worker: Worker,
    batch: Sequence[OrganizeStep],
    mode: str,
    folder: Path,
    tracked: Container[str],
) -> list[_Brought]:
    """Bring one batch to its places; on disk when this returns."""
    brought: list[_Brought] = []
    without = ignored(clone.path, paths_of_steps(batch))
    with adding(clone.path) as adder:
        run = _Batch(clone, worker, adder, folder, mode, tracked, without)
        for step in batch:
            brought += run.one(step)
    brought = _taken_in(clone, brought)
    places = [clone.path / one.told.target for one in brought if one.seen]
    files = [Path(os.path.realpath(place)) for place in places]
    bring_files_to_disk([str(file) for file in files])
    folders = [*(place.parents[:2] for place in places), *(file.parents[:4] for file in files)]
    bring_folders_to_disk({str(folder) for above in folders for folder in above})
    return brought


def _taken_in(clone: AnnexRepository, brought: list[_Brought]) -> list[_Brought]:
    """The same list, but a file that git-annex or git did not add becomes an error, and its source is kept."""
    has = in_index(clone.path, (one.told.target for one in brought if one.seen))
    return [one if not one.seen or _is_kept(clone, one.told, has) else _not_kept(one) for one in brought]


def _is_kept(clone: AnnexRepository, told: Organized, has: Container[str]) -> bool:
    key = key_of_link(clone.path / told.target)
    return told.target in has and (clone.has(key) if key else (clone.path / told.target).is_file())


def _not_kept(one: _Brought) -> _Brought:
    words = f"it was copied to {one.told.target}, but git-annex did not add it; the source is kept"
    return replace(one, seen=None, told=replace(one.told, status="error", message=words))


_NUMBERS = count()


@dataclass(frozen=True, slots=True)
class _Batch:
    """Steps that one git-annex takes in."""

    clone: AnnexRepository
    worker: Worker
    adder: Adder
    folder: Path
    mode: str
    tracked: Container[str]
    ignored: Mapping[str, str]

    def one(self, step: OrganizeStep) -> list[_Brought]:
        """Bring an NWB file, after the media files that it refers to."""
        done: list[_Brought] = []
        try:
            check_step(self.clone.path, step, self.mode, self.tracked, self.ignored)
            for media in step.media:
                done.append(replace(self._bring(media.source, media.target, ()), media=True))
            return [*done, self._bring(step.source, step.target, step.references)]
        except (FileError, NotAdded) as error:
            reason = str(error)
        except OSError as error:
            if error.filename not in {str(step.source), *(str(media.source) for media in step.media)}:
                raise
            reason = f"{error.filename}: {error.strerror}"
        # keep the sources of the media files: the NWB file that refers to them failed
        refused = _Brought(Organized(step.source, step.target, "impossible", reason))
        return [*(replace(one, seen=None) for one in done), refused]

    def _bring(self, source: Path, target: str, references: Sequence[NwbFacts]) -> _Brought:
        place = placing.make_folders(self.clone.path, target)
        if source == place:
            return _Brought(Organized(source, target, "notneeded"))
        made = self.folder / f"{next(_NUMBERS)}{place.suffix}"
        try:
            seen, sha256 = self._make(source, made, references, os.path.lexists(place))
            fresh = made.exists() and placing.put(made, self.clone.path, target)
        finally:
            made.unlink(missing_ok=True)
        if not fresh and not _holds(place, sha256):
            if f"--{sha256}" in key_of_link(place):
                return _Brought(Organized(source, target, "notneeded", size=seen.look.size, key=key_of_link(place)))
            raise FileError(occupied(place))
        key = self.adder.add(target) or key_of_link(place)
        if fresh and f"--{sha256}" not in key and not _holds(place, sha256):
            raise FileError(f"what is at {place} now is not what was read; {source} is kept")
        return _Brought(Organized(source, target, "ok" if fresh else "notneeded", size=seen.look.size, key=key), seen)

    def _make(self, source: Path, made: Path, references: Sequence[NwbFacts], there: bool) -> tuple[SourceState, str]:
        """Make the file that gets the name; the source as it was read, and the digest of what is made."""
        if references:
            seen = placing.copy(source, made)
            self.worker.rewrite_media(made, references)
            return seen, placing.digest(made)
        if there:
            seen = placing.read(source)
        elif self.mode == HARDLINK or (self.mode == MOVE and _same_disk(source, self.folder)):
            os.link(os.path.realpath(source), made)
            seen = placing.read(source)
        else:
            seen = placing.copy(source, made)
        return seen, seen.sha256


def _same_disk(source: Path, folder: Path) -> bool:
    return source.stat().st_dev == folder.stat().st_dev


def _holds(place: Path, sha256: str) -> bool:
    """Whether a file, or the content of a link, has this digest; it is read again."""
    return place.is_file() and placing.digest(place) == sha256


def _remove(brought: Iterable[_Brought]) -> list[_Brought]:
    """Delete the sources of files that are in their place; a source that changed in the meantime is kept."""
    told = []
    for one in brought:
        source = one.told.source
        if one.seen and os.path.lexists(source):
            if placing.unchanged(source, one.seen):
                source.unlink()
            else:
                words = "it has changed since it was copied; it is kept, and the copy is in its place"
                one = replace(one, told=replace(one.told, status="error", message=words))
        told.append(one)
    return told
