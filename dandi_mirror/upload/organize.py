"""NWB files brought to where they belong in a Dandiset's work tree, as content of git-annex; nothing is committed.

Each file is made in a folder of git's own, verified by its digest, and then gets its name, unless something is called
so.  git-annex takes it in, and digests it for its key: that is one more reading.  A source that is moved goes at the
very end, when all of that is on the disk; so at any instant one of the two is whole, and another run goes on.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import count, islice
from pathlib import Path

from dandi_mirror.errors import DiskError
from dandi_mirror.repo.adding import Adder, NotAdded, adding
from dandi_mirror.repo.clone import Clone
from dandi_mirror.repo.objects import sync_files
from dandi_mirror.upload import placing
from dandi_mirror.upload.naming import Facts, Refused, Step, fields_in_use, nameable, steps
from dandi_mirror.upload.placing import Seen
from dandi_mirror.upload.worker import FileError, Worker

COPY, MOVE, HARDLINK, SYMLINK = "copy", "move", "hardlink", "symlink"
_BATCH = 50
"""Files that are taken in by one git-annex, and of which the sources go together."""
_ZARR = (".zarr", ".ngff")


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


# --- which files, and where they go ---------------------------------------------------------------------------------


def find(sources: Iterable[Path], organized: Container[Path] = ()) -> tuple[list[Path], list[Refused]]:
    """The NWB files that are named, or that are in folders that are; ``organized`` ones in folders are passed over."""
    found: dict[Path, None] = {}
    refused = []
    for source in sources:
        source = Path(os.path.abspath(source))  # noqa: PTH100 (links of git-annex are not to be followed)
        inside = source.is_dir() and not source.name.endswith(_ZARR)
        for file in _below(source) if inside else [source]:
            if file in found or (inside and file in organized):
                continue
            if reason := _unreadable(file):
                refused.append(Refused(file, reason))
            else:
                found[file] = None
    return sorted(found), refused


def _below(folder: Path) -> Iterator[Path]:
    """The files that may be NWB files, and folders that are one."""
    for top, folders, files in os.walk(folder):
        whole = [name for name in folders if name.endswith(_ZARR)]
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in whole)
        for name in sorted([*whole, *(name for name in files if name.lower().endswith(".nwb"))]):
            if not name.startswith("."):
                yield Path(top, name)


def _unreadable(file: Path) -> str:
    """Why a file is not even opened; empty if it is."""
    if file.name.endswith(_ZARR):
        return "it is a Zarr; not organized by this release"
    if not os.path.lexists(file):
        return "there is no such file"
    if not file.name.endswith(".nwb"):
        return "its name does not end in .nwb"
    try:
        facts = file.stat()
    except OSError as error:
        if file.is_symlink():
            return "its content is not here; get it first: dandi-mirror get, or git annex get"
        return str(error.strerror)
    if not stat.S_ISREG(facts.st_mode):
        return "it is no regular file"
    return "" if facts.st_size else "it is empty"


def plan(
    worker: Worker, files: Sequence[Path], paths: Iterable[str], required: Sequence[str], jobs: int,
    heard: Callable[[Path], None] = lambda file: None,
) -> tuple[list[Step], list[Refused]]:  # fmt: skip
    """Where files go in a Dandiset that has ``paths`` already; ``heard`` is told of each file that has been read.

    Raises:
        FileError: there are no names that tell them apart.
    """

    def read(file: Path) -> Facts | Refused:
        try:
            return worker.nwb_facts(file)
        except FileError as error:
            return Refused(file, f"it cannot be read: {error}")
        finally:
            heard(file)

    with ThreadPoolExecutor(jobs) as pool:
        answers = list(pool.map(read, files))
    refused = [one for one in answers if isinstance(one, Refused)]
    facts, without = nameable([one for one in answers if not isinstance(one, Refused)])
    names = worker.nwb_names(facts, sorted({*required, *fields_in_use(paths)})) if facts else {}
    made, clashing = steps(facts, names)
    return made, sorted([*refused, *without, *clashing], key=lambda one: one.source)


def obstacle(root: Path, step: Step, mode: str, tracked: Container[str]) -> str:
    """Why a file cannot be brought to its place in this way, as far as can be said without reading it."""
    place = root / step.target
    if step.source == place:
        return ""
    if step.source.is_relative_to(root) and str(step.source.relative_to(root)) in tracked:
        return f"git has it already; rename it: git -C {root} mv {step.source.relative_to(root)} {step.target}"
    if step.media and mode in {HARDLINK, SYMLINK}:
        return f"it refers to media files by names that change, and a {mode} cannot say other ones; use -f copy or move"
    if mode == MOVE and step.source.is_symlink():
        return "it is a link, and moving that would not move its content; use -f copy"
    for media in step.media:
        if not media.source.is_file():
            return f"it refers to {media.source}, which is not there"
    return ""


# --- bringing them there --------------------------------------------------------------------------------------------


def preview(root: Path, planned: Iterable[Step], mode: str, tracked: Container[str]) -> Iterator[Organized]:
    """What would be done; nothing is written, and of files that are there already, only sizes are compared."""
    for step in planned:
        reason = obstacle(root, step, mode, tracked)
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
    for step in planned:
        try:
            if reason := obstacle(root, step, SYMLINK, tracked):
                raise FileError(reason)
            place = placing.make_folders(root, step.target)
            if not os.path.lexists(place):
                place.symlink_to(step.source)
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
        with placing.staging(clone.git_dir / "dandi-mirror" / "organize") as folder:
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
    clone: Clone, worker: Worker, batch: Iterable[Step], mode: str, folder: Path, tracked: Container[str]
) -> list[_Brought]:
    """One batch; on the disk when this returns."""
    brought: list[_Brought] = []
    with adding(clone.path) as adder:
        run = _Run(clone, worker, adder, folder, mode)
        for step in batch:
            brought += run.one(step, obstacle(clone.path, step, mode, tracked))
    places = [clone.path / one.told.target for one in brought if one.seen]
    sync_files(clone.git_dir, [file for place in places for file in (Path(os.path.realpath(place)), place.parent)])
    return brought


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
            refused = _Brought(Organized(step.source, step.target, "impossible", str(error)))
            # the sources of what came are kept: what refers to them did not come
            return [*(replace(one, seen=None) for one in done), refused]

    def _bring(self, source: Path, target: str, references: Sequence[Facts]) -> _Brought:
        place = placing.make_folders(self.clone.path, target)
        if source == place:
            return _Brought(Organized(source, target, "notneeded"))
        made = self.folder / f"{next(_NUMBERS)}{place.suffix}"
        try:
            seen, sha256 = self._make(source, made, references, os.path.lexists(place))
            fresh = made.exists() and placing.put(made, place)
        finally:
            made.unlink(missing_ok=True)
        if not fresh and not _holds(place, sha256):
            if f"--{sha256}" in _key_at(place):
                return _Brought(Organized(source, target, "notneeded", size=seen.size, key=_key_at(place)))
            raise FileError(_occupied(place))
        key = self.adder.add(target) or _key_at(place)
        if fresh and f"--{sha256}" not in key and not _holds(place, sha256):
            raise FileError(f"what is at {place} now is not what was read; {source} is kept")
        return _Brought(Organized(source, target, "ok" if fresh else "notneeded", size=seen.size, key=key), seen)

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
