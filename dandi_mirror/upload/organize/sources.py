"""Which NWB files are to be organized, where they go, and what is in the way."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from dandi_mirror.repo.git.files import place_of
from dandi_mirror.upload.kinds import ZARR, ZARR_MARKS, is_zarr
from dandi_mirror.upload.organize.naming import Facts, Refused, Step, fields_in_use, is_url, nameable, steps
from dandi_mirror.upload.read.reader import FileError
from dandi_mirror.upload.read.worker import Worker

COPY, MOVE, HARDLINK, SYMLINK = "copy", "move", "hardlink", "symlink"


def find(sources: Iterable[Path], organized: Container[Path] = ()) -> tuple[list[Path], list[Refused]]:
    """The NWB files that are named, or that are in folders that are; ``organized`` ones in folders are passed over."""
    found: dict[Path, None] = {}
    refused = []
    for source in sources:
        source = place_of(source)
        inside = source.is_dir() and not _in_zarr(source / "file")
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
        whole = [name for name in folders if is_zarr(name, _marks(Path(top, name)))]
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in whole)
        for name in sorted([*whole, *(name for name in files if name.lower().endswith(".nwb"))]):
            if not name.startswith("."):
                yield Path(top, name)


def _in_zarr(file: Path) -> bool:
    """Whether a file is in a Zarr, at any depth."""
    return any(is_zarr(folder.name, _marks(folder)) for folder in file.parents)


def _marks(folder: Path) -> list[str]:
    return [name for name in ZARR_MARKS if os.path.lexists(folder / name)]


def _unreadable(file: Path) -> str:
    """Why a file is not even opened; empty if it is."""
    if _in_zarr(file / "file" if file.is_dir() else file):
        return ZARR
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
    worker: Worker, files: Sequence[Path], paths: Iterable[str], required: Sequence[str],
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

    answers = list(worker.each(read, files))
    refused = [one for one in answers if isinstance(one, Refused)]
    facts, without = nameable([one for one in answers if not isinstance(one, Refused)])
    names = worker.nwb_names(facts, sorted({*required, *fields_in_use(paths)})) if facts else {}
    made, clashing = steps(map(_with_slashes, facts), names)
    return made, sorted([*refused, *without, *clashing], key=lambda one: one.source)


def targets(planned: Iterable[Step]) -> Iterator[str]:
    """Every path at which steps put a file."""
    for step in planned:
        yield step.target
        yield from (media.target for media in step.media)


def _with_slashes(facts: Facts) -> Facts:
    """The same facts, and where media files are: a name that Windows wrote is tried with slashes, too."""
    folder = Path(facts["path"]).parent

    def found(name: str) -> str:
        other = name.replace("\\", "/")
        return other if not (folder / name).exists() and (folder / other).exists() else name

    return {
        **facts,
        "found": {name: found(name) for one in facts["media"] for name in one["files"] if not is_url(name)},
    }


def obstacle(root: Path, step: Step, mode: str, tracked: Container[str], ignored: Mapping[str, str]) -> str:
    """Why a file cannot be brought to its place in this way, as far as can be said without reading it."""
    place = root / step.target
    if step.source == place:
        return ""
    for target in targets([step]):
        if target in ignored:
            return f"it would be {root / target}, and {ignored[target]}"
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
