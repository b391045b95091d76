"""Organize NWB files in a clone: what goes where, and doing it by the mode that somebody chose."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dandi_mirror.errors import UsageError
from dandi_mirror.workflows.upload.work_tree import Working, working

if TYPE_CHECKING:
    from dandi_mirror.upload.organize.naming import OrganizeStep, RefusedFile
    from dandi_mirror.upload.organize.results import Organized
    from dandi_mirror.upload.read.worker import Worker
    from dandi_mirror.workflows.results import Results


def organize_in(folder: Path | None, mode: str, results: Results) -> OrganizeRun:
    """Prepare to organize files in a clone, or with the mode ``simulate`` in a new folder.

    Raises:
        UsageError: it is not a clone, or the new folder exists.
    """
    if mode != "simulate":
        place = working(folder or Path())
        return OrganizeRun(place, place.folder, mode, results)
    if folder is None or os.path.lexists(folder):
        raise UsageError("-f simulate makes a folder for its links: name one that does not exist, with --to")
    return OrganizeRun(None, folder.absolute(), mode, results)


class OrganizeRun:
    """Organizes the files of one call."""

    def __init__(self, place: Working | None, root: Path, mode: str, results: Results) -> None:
        self._place = place
        self._root = root
        self._mode = mode
        self._results = results
        self._tracked = place.clone.listing() if place else {}

    def plan(self, worker: Worker, sources: Iterable[Path], required: Sequence[str]) -> list[OrganizeStep]:
        """Decide what goes where, and tell which files stay where they are."""
        from dandi_mirror.upload.organize.sources import find_sources, plan

        files, refused = find_sources(sources, {self._root / path for path in self._tracked})
        self._refuse(refused)
        with self._results.counting(len(files)) as count:
            steps, refused = plan(worker, files, self._tracked, required, lambda file: count(file.name))
        self._refuse(refused)
        return steps

    def carry_out(self, worker: Worker, steps: list[OrganizeStep]) -> None:
        """Do it; in a dry run, only tell it."""
        with self._results.counting(len(steps)) as count:
            for told in self._done(worker, steps):
                self._tell(told)
                count(told.source.name)

    def _done(self, worker: Worker, steps: list[OrganizeStep]) -> Iterator[Organized]:
        from dandi_mirror.upload.organize import organize, sources

        if self._mode == "dry":
            yield from organize.preview(self._root, steps, sources.COPY, self._tracked)
        elif self._mode in {"simulate", sources.SYMLINK}:
            self._root.mkdir(parents=True, exist_ok=True)
            yield from organize.link(self._root, steps, self._tracked)
        elif self._place and steps:
            with self._place.held():
                self._place.clone.prepare()
                yield from organize.carry_out_steps(self._place.clone, worker, steps, self._mode)

    def _refuse(self, refused: Iterable[RefusedFile]) -> None:
        from dandi_mirror.upload.organize.results import Organized

        for one in refused:
            self._tell(Organized(one.source, "", "impossible", one.reason))

    def _tell(self, told: Organized) -> None:
        place = str(self._root / told.target) if told.target else ""
        facts = {"path": place, "refds": str(self._root), "source": str(told.source), "file": told.target,
                 "key": told.key, "mode": self._mode}  # fmt: skip
        label = str(told.source) if told.message else f"{told.source} -> {told.target}"
        self._results.file(label, told.status, told.message, told.size, told.exit_code, facts)
