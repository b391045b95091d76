"""NWB files brought to where they belong in a Dandiset's work tree, as content of git-annex; nothing is committed.

Each file is made in a folder of git's own, verified by its digest, and then gets its name, unless something is called
so.  git-annex takes it in, and digests it for its key: that is one more reading.  A source that is moved goes at the
very end, when all of that is on the disk; so at any instant one of the two is whole, and another run goes on.
"""

from __future__ import annotations

import os
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count, islice
from pathlib import Path

from dandi_mirror.errors import DiskError
from dandi_mirror.files.own import OwnPath
from dandi_mirror.repo.annex.adding import Adder, NotAdded, adding
from dandi_mirror.repo.annex.clone import Clone
from dandi_mirror.repo.git.disk import bring_files_to_disk, bring_folders_to_disk
from dandi_mirror.repo.git.ignored import ignored, in_index
from dandi_mirror.upload.organize import placing
from dandi_mirror.upload.organize.naming import Facts, Step
from dandi_mirror.upload.organize.placing import Seen
from dandi_mirror.upload.organize.sources import HARDLINK, MOVE, SYMLINK, obstacle, targets
from dandi_mirror.upload.read.reader import FileError
from dandi_mirror.upload.read.worker import Worker

_BATCH = 50
"""Files that are taken in by one git-annex, and of which the sources go together."""


@dataclass(frozen=True, slots=True)
class Organized:
    """What became of one file."""

    source: Path
    target: str = ""
    """Its path in the Dandiset; empty if it has none."""
    status: str = "ok"
    """DataLad's words: ``ok``; ``notneeded``: it is there; ``impossible``: it is left where it is; ``error``."""
    message: str = ""
    size: int = 0
    key: str = ""

    @property
    def exit_code(self) -> int:
        """Of this file."""
        return 0 if self.status in {"ok", "notneeded"} else 3


def preview(root: Path, planned: Iterable[Step], mode: str, tracked: Container[str]) -> Iterator[Organized]:
    """What would be done; nothing is written, and of files that are there already, only sizes are compared."""
    planned = list(planned)
    without = ignored(root, targets(planned))
    for step in planned:
        reason = obstacle(root, step, mode, tracked, without)
        if reason:
            yield Organized(step.source, step.target, "impossible", reason)
            continue
        yield _foreseen(root, step.source, step.target, bool(step.media))
        for media in step.media:
            yield _foreseen(root, media.source, media.target, False)


def _foreseen(root: Path, source: Path, target: str, edited: bool) -> Organized:
    place, size = root / target, source.stat().st_size
    if not os.path.lexists(place):
        return Organized(source, target, size=size)
    if edited or f"-s{size}--" in _key_at(place) or (place.is_file() and place.stat().st_size == size):
        return Organized(source, target, "notneeded", size=size)
    return Organized(source, target, "impossible", _occupied(place))


def _key_at(place: Path) -> str:
    """The key of a link of git-annex; empty if it is something else."""
    target = str(place.readlink()) if place.is_symlink() else ""
    return target.rpartition("/")[2] if "annex/objects/" in target else ""


def _occupied(place: Path) -> str:
    return f"{place} is there and is another file; nothing is overwritten"


def link(root: Path, planned: Iterable[Step], tracked: Container[str] = ()) -> Iterator[Organized]:
    """Lay links to the sources out; git-annex is not told of them."""
    planned = list(planned)
    without = ignored(root, targets(planned)) if (root / ".git").exists() else {}
    for step in planned:
        try:
            if reason := obstacle(root, step, SYMLINK, tracked, without):
                raise FileError(reason)
            place = placing.make_folders(root, step.target)
            if placing.put_link(step.source, root, step.target):
                yield Organized(step.source, step.target)
            elif place.is_symlink() and place.readlink() == step.source:
                yield Organized(step.source, step.target, "notneeded")
            else:
                raise FileError(_occupied(place))
        except FileError as error:
            yield Organized(step.source, step.target, "impossible", str(error))
        except OSError as error:
            raise DiskError.of(error.filename or root, error) from error


def carry_out(clone: Clone, worker: Worker, planned: Iterable[Step], mode: str) -> Iterator[Organized]:
    """Bring files to their places, each told when it is there for good; the index has it, and nothing is committed.

    Only under the dataset's lock.

    Raises:
        DiskError, GitError: the disk, or git-annex, does not take more.
    """
    tracked, planned, media = clone.listing(), iter(planned), list[_Brought]()
    try:
        with placing.staging(OwnPath(clone.git_dir, ("dandi-mirror", "organize"))) as folder:
            while batch := list(islice(planned, _BATCH)):
                brought = _bring(clone, worker, batch, mode, folder, tracked)
                if mode == MOVE:
                    # several files may refer to the same: it goes when all of them are there
                    media += [one for one in brought if one.media]
                    brought = _remove([one for one in brought if not one.media])
                yield from (one.told for one in brought)
            yield from (one.told for one in _remove(media))
    except OSError as error:
        raise DiskError.of(error.filename or clone.path, error) from error


@dataclass(frozen=True, slots=True)
class _Brought:
    """What is told of a file; and of one that is at its place, the source as it was read."""

    told: Organized
    seen: Seen | None = None
    media: bool = False


def _bring(
    clone: Clone, worker: Worker, batch: Sequence[Step], mode: str, folder: Path, tracked: Container[str]
) -> list[_Brought]:
    """One batch; on the disk when this returns."""
    brought: list[_Brought] = []
    without = ignored(clone.path, targets(batch))
    with adding(clone.path) as adder:
        run = _Run(clone, worker, adder, folder, mode)
        for step in batch:
            brought += run.one(step, obstacle(clone.path, step, mode, tracked, without))
    brought = _taken_in(clone, brought)
    places = [clone.path / one.told.target for one in brought if one.seen]
    files = [Path(os.path.realpath(place)) for place in places]
    bring_files_to_disk([str(file) for file in files])
    folders = [*(place.parents[:2] for place in places), *(file.parents[:4] for file in files)]
    bring_folders_to_disk({str(folder) for above in folders for folder in above})
    return brought


def _taken_in(clone: Clone, brought: list[_Brought]) -> list[_Brought]:
    """The same, but for what git-annex, or git, did not take in: its source is kept, and that is told."""
    has = in_index(clone.path, (one.told.target for one in brought if one.seen))
    return [one if not one.seen or _is_kept(clone, one.told, has) else _not_kept(one) for one in brought]


def _is_kept(clone: Clone, told: Organized, has: Container[str]) -> bool:
    key = _key_at(clone.path / told.target)
    return told.target in has and (clone.has(key) if key else (clone.path / told.target).is_file())


def _not_kept(one: _Brought) -> _Brought:
    words = f"it was copied to {one.told.target}, but git-annex did not take it in; the source is kept"
    return replace(one, seen=None, told=replace(one.told, status="error", message=words))


_NUMBERS = count()


@dataclass(frozen=True, slots=True)
class _Run:
    """What one batch is done with."""

    clone: Clone
    worker: Worker
    adder: Adder
    folder: Path
    mode: str

    def one(self, step: Step, reason: str) -> list[_Brought]:
        """Bring an NWB file, after the media files that it refers to."""
        done: list[_Brought] = []
        try:
            if reason:
                raise FileError(reason)
            for media in step.media:
                done.append(replace(self._bring(media.source, media.target, ()), media=True))
            return [*done, self._bring(step.source, step.target, step.references)]
        except (FileError, NotAdded) as error:
            reason = str(error)
        except OSError as error:
            if error.filename not in {str(step.source), *(str(media.source) for media in step.media)}:
                raise
            reason = f"{error.filename}: {error.strerror}"
        # the sources of what came are kept: what refers to them did not come
        refused = _Brought(Organized(step.source, step.target, "impossible", reason))
        return [*(replace(one, seen=None) for one in done), refused]

    def _bring(self, source: Path, target: str, references: Sequence[Facts]) -> _Brought:
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
            if f"--{sha256}" in _key_at(place):
                return _Brought(Organized(source, target, "notneeded", size=seen.look.size, key=_key_at(place)))
            raise FileError(_occupied(place))
        key = self.adder.add(target) or _key_at(place)
        if fresh and f"--{sha256}" not in key and not _holds(place, sha256):
            raise FileError(f"what is at {place} now is not what was read; {source} is kept")
        return _Brought(Organized(source, target, "ok" if fresh else "notneeded", size=seen.look.size, key=key), seen)

    def _make(self, source: Path, made: Path, references: Sequence[Facts], there: bool) -> tuple[Seen, str]:
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
    """Whether a file, or the content that a link leads to, is that; read again."""
    return place.is_file() and placing.digest(place) == sha256


def _remove(brought: Iterable[_Brought]) -> list[_Brought]:
    """Take the sources away of files that are at their place for good; those that changed meanwhile are kept."""
    told = []
    for one in brought:
        source = one.told.source
        if one.seen and os.path.lexists(source):
            if placing.unchanged(source, one.seen):
                source.unlink()
            else:
                words = "it has changed since it was copied: it is kept, and its copy is at its place"
                one = replace(one, told=replace(one.told, status="error", message=words))
        told.append(one)
    return told
