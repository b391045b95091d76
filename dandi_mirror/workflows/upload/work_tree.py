"""The work tree in which somebody works, a clone or the mirror's own dataset, and the processes that read its files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from dandi_mirror.config import size
from dandi_mirror.errors import UsageError
from dandi_mirror.mirror.locate.clones import clone_at, view_at
from dandi_mirror.mirror.state.layout import mirror_of
from dandi_mirror.mirror.sync.dandiset import repair_after_crash
from dandi_mirror.model import DRAFT
from dandi_mirror.repo.annex.repository import AnnexRepository
from dandi_mirror.repo.git.files import absolute_path
from dandi_mirror.text import quoted
from dandi_mirror.upload.read.worker import Worker
from dandi_mirror.upload.read.worker_process import Limits
from dandi_mirror.workflows.access import current_clone
from dandi_mirror.workflows.names import naming

if TYPE_CHECKING:
    from dandi_mirror.config import Settings
    from dandi_mirror.mirror.locate.clones import LocalDandiset


@dataclass(frozen=True, slots=True)
class Working:
    """The dataset of a work tree."""

    dandiset: str
    clone: AnnexRepository

    @property
    def folder(self) -> Path:
        """The top of its work tree."""
        return self.clone.path

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the dataset's lock, after finishing what a killed run left half-done.

        Raises:
            LockedError: another run holds it.
        """
        with mirror_of(self.folder, self.dandiset).lock(self.dandiset) as killed:
            if killed:
                repair_after_crash(self.clone.dataset, DRAFT, killed)
            yield


def working(path: Path) -> Working:
    """Find the dataset that a folder or a file is in.

    Raises:
        UsageError: it is in no dataset.
    """
    found = clone_at(str(path))
    if found is None:
        where = "you are" if path == Path() else f"{path} is"
        raise UsageError(f"{where} not in a clone of a Dandiset; make one (datalad clone MIRROR/000123) and go there")
    clone = AnnexRepository(found.folder)
    clone.read_config()
    return Working(str(found.name.dandiset), clone)


def reader_processes(jobs: int | None, file_time: float, file_memory: str) -> Worker:
    """The processes that read files, at most so many; they end with the block.

    ``file_time`` is in seconds, ``file_memory`` a size such as ``4G``: what one file may take.

    Raises:
        UsageError: ``file_memory`` is not a size, or dandi is not installed.
    """
    limits = Limits(seconds=file_time, memory=size("--file-memory", file_memory))
    return Worker(jobs or min(4, os.cpu_count() or 1), limits)


def upload_place(
    paths: tuple[str, ...], instance: str | None
) -> tuple[Path, str, Settings, str | None, tuple[str, ...]]:
    """Find the work tree to upload from.

    Returns its folder, its Dandiset, the settings, the archive as the dataset's record calls it, and the paths that
    somebody chose in it.

    Raises:
        UsageError: a path is not in a clone, or two are in different ones.
    """
    clones = []
    for path in paths or (".",):
        clone = clone_at(path) or _gone(path)
        if clone is None or clone.name.dandiset is None:
            told = view_at(Path(path).absolute())
            raise UsageError(told or f"{path} is not in a clone of a Dandiset; go into one, or name files of one")
        clones.append(clone)
        if clone.folder != clones[0].folder:
            raise UsageError(f"{path} is in {clone.folder}, not in {clones[0].folder}; upload from one at a time")
    name, folder = clones[0].name, clones[0].folder
    api = current_clone.api_here(name, folder.parent, folder)
    settings = naming.settings_for(folder.parent, [name], api, clones[0], instance=instance)
    chosen = tuple((clone.name.path or "").rstrip("/") for clone in clones)
    return folder, str(name.dandiset), settings, name.instance, () if "" in chosen else chosen


def _gone(path: str) -> LocalDandiset | None:
    """Find the clone of a path that does not exist any more, by the nearest folder that does."""
    full = absolute_path(path)
    there = next(folder for folder in full.parents if folder.exists())
    clone = clone_at(str(there))
    if clone is None:
        return None
    inside = (there.resolve() / full.relative_to(there)).relative_to(clone.folder)
    return replace(clone, name=replace(clone.name, path=str(inside)))


def not_on_draft(folder: Path, branch: str) -> UsageError:
    """Return the error for a work tree from which nothing can be uploaded: it has not checked the draft out."""
    if not (folder / ".git").is_dir() or (folder / ".git").is_symlink():
        return UsageError(f"{folder} is a work tree beside another one; upload from that, or from a clone")
    git_here = f"git -C {quoted(folder)}"
    what = f"its branch {branch}" if branch else "a version"
    words = f"{folder} has {what} checked out, and upload sends what is on {DRAFT}: {git_here} switch {DRAFT}"
    return UsageError(words + (f" && {git_here} merge {quoted(branch)}" if branch else ""))
