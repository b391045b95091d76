"""Find the NWB files and Zarrs to organize, plan where they go, and check what is in the way."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from dandi_mirror.errors import PartError
from dandi_mirror.repo.git.files import absolute_path
from dandi_mirror.text import quoted
from dandi_mirror.upload.kinds import ZARR_MARKS, is_left_folder, is_leftover, is_zarr
from dandi_mirror.upload.organize.naming import (
    NwbFacts,
    OrganizeStep,
    RefusedFile,
    fields_in_use,
    is_url,
    nameable,
    naming_steps,
)
from dandi_mirror.upload.read.nwb_zarr import NO_NWB
from dandi_mirror.upload.read.worker import Worker
from dandi_mirror.upload.read.worker_process import FileError
from dandi_mirror.upload.zarrs.local import plain_files

_IN_ZARR = "it is in a Zarr; name the folder that is the Zarr"
COPY, MOVE, HARDLINK, SYMLINK = "copy", "move", "hardlink", "symlink"


def find_sources(sources: Iterable[Path], organized: Container[Path] = ()) -> tuple[list[Path], list[RefusedFile]]:
    """The NWB files among ``sources`` and in folders among them; in folders, files in ``organized`` are skipped."""
    found: dict[Path, None] = {}
    refused = []
    for source in sources:
        source = absolute_path(source)
        inside = source.is_dir() and not _is_zarr(source) and not _in_zarr(source)
        for file in _below(source) if inside else [source]:
            if file in found or (inside and file in organized):
                continue
            try:
                _check_readable(file)
                found[file] = None
            except FileError as error:
                refused.append(RefusedFile(file, str(error)))
    return sorted(found), refused


def _below(folder: Path) -> Iterator[Path]:
    """The files that may be NWB files, and the folders that are Zarrs."""
    for top, folders, files in os.walk(folder):
        whole = [name for name in folders if is_zarr(name, _marks(Path(top, name)))]
        below = "" if top == str(folder) else f"{os.path.relpath(top, folder)}/"
        folders[:] = sorted(name for name in folders if name not in whole and not is_left_folder(below + name))
        for name in sorted([*whole, *(name for name in files if name.lower().endswith(".nwb"))]):
            if not is_leftover(below + name):
                yield Path(top, name)


def _is_zarr(folder: Path) -> bool:
    return folder.is_dir() and is_zarr(folder.name, _marks(folder))


def _in_zarr(file: Path) -> bool:
    """Whether a file is in a Zarr, at any depth."""
    return any(is_zarr(folder.name, _marks(folder)) for folder in file.parents)


def _marks(folder: Path) -> list[str]:
    return [name for name in ZARR_MARKS if os.path.lexists(folder / name)]


def _check_readable(file: Path) -> None:
    """Refuse a file that is not even opened.

    Raises:
        FileError: it is neither an NWB file nor a Zarr, or its content is not here.
    """
    if _in_zarr(file):
        raise FileError(_IN_ZARR)
    if _is_zarr(file):
        try:
            plain_files(file)
        except PartError as error:
            raise FileError(str(error)) from error
        return
    if not os.path.lexists(file):
        raise FileError("there is no such file")
    if not file.name.endswith(".nwb"):
        raise FileError("its name does not end in .nwb")
    try:
        facts = file.stat()
    except OSError as error:
        if file.is_symlink():
            raise FileError("its content is not here; get it first: dandi-mirror get, or git annex get") from error
        raise FileError(str(error.strerror)) from error
    if not stat.S_ISREG(facts.st_mode):
        raise FileError("it is not a regular file")
    if not facts.st_size:
        raise FileError("it is empty")


def plan(
    worker: Worker, files: Sequence[Path], paths: Iterable[str], required: Sequence[str],
    heard: Callable[[Path], None] = lambda file: None,
) -> tuple[list[OrganizeStep], list[RefusedFile]]:  # fmt: skip
    """Plan where files go in a Dandiset that has ``paths`` already; ``heard`` is called after each file was read.

    Raises:
        FileError: no names distinguish the files.
    """

    def read(file: Path) -> NwbFacts | RefusedFile:
        try:
            return worker.nwb_facts(file)
        except FileError as error:
            if str(error) == NO_NWB:
                return RefusedFile(file, NO_NWB)
            return RefusedFile(file, f"it cannot be read: {error}")
        finally:
            heard(file)

    answers = list(worker.each(read, files))
    refused = [one for one in answers if isinstance(one, RefusedFile)]
    facts, without = nameable([one for one in answers if not isinstance(one, RefusedFile)])
    names = worker.nwb_names(facts, sorted({*required, *fields_in_use(paths)})) if facts else {}
    made, clashing = naming_steps(map(_with_slashes, facts), names)
    return made, sorted([*refused, *without, *clashing], key=lambda one: one.source)


def paths_of_steps(planned: Iterable[OrganizeStep]) -> Iterator[str]:
    """Every path to which steps bring a file."""
    for step in planned:
        yield step.target
        yield from (media.target for media in step.media)


def _with_slashes(facts: NwbFacts) -> NwbFacts:
    """The same facts with the media files that were found; a name from Windows is also tried with slashes."""
    folder = Path(facts["path"]).parent

    def found(name: str) -> str:
        other = name.replace("\\", "/")
        return other if not (folder / name).exists() and (folder / other).exists() else name

    return {
        **facts,
        "found": {name: found(name) for one in facts["media"] for name in one["files"] if not is_url(name)},
    }


def check_step(root: Path, step: OrganizeStep, mode: str, tracked: Container[str], ignored: Mapping[str, str]) -> None:
    """Refuse a step that cannot be done in this mode, as far as this is known without reading the file.

    ``tracked`` are the paths that git has, ``ignored`` those that it ignores, each with the reason.

    Raises:
        FileError: it cannot be done.
    """
    source = step.source
    if source == root / step.target:
        return
    for target in paths_of_steps([step]):
        if target in ignored:
            raise FileError(f"it would be {root / target}, and {ignored[target]}")
    if source.is_relative_to(root) and str(inside := source.relative_to(root)) in tracked:
        raise FileError(
            f"git has it already; rename it: git -C {quoted(root)} mv {quoted(inside)} {quoted(step.target)}"
        )
    if step.media and mode in {HARDLINK, SYMLINK}:
        raise FileError(
            f"it refers to media files that get new names, and a {mode} cannot refer to these; use -f copy or -f move"
        )
    if mode == MOVE and source.is_symlink():
        raise FileError("it is a link, and moving a link does not move its content; use -f copy")
    for media in step.media:
        if not media.source.is_file():
            raise FileError(f"it refers to {media.source}, which does not exist")
