"""Make a dataset anew beside a damaged one, and take from it, or from siblings, what is damaged or lost."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from dandi_mirror.archive.api.client import ArchiveClient
from dandi_mirror.errors import CredentialsError, IntegrityError, MirrorError, NotFoundError
from dandi_mirror.mirror.state.layout import Mirror
from dandi_mirror.mirror.state.options import Options
from dandi_mirror.mirror.sync.dandiset import Task, sync_one
from dandi_mirror.mirror.verify.aside import made_folder_aside
from dandi_mirror.mirror.verify.dataset import DatasetToVerify
from dandi_mirror.mirror.verify.repair_zarrs import ZarrRepair
from dandi_mirror.mirror.verify.restore_repository import (
    has_all,
    has_all_objects,
    replace_dataset,
    restore_objects,
    restore_refs,
)
from dandi_mirror.mirror.verify.sibling_sources import SiblingSources
from dandi_mirror.model import Report
from dandi_mirror.repo.annex.initialise_in_mirror import initialise_in_mirror
from dandi_mirror.repo.git.dataset import TAGS, Dataset


@dataclass(frozen=True, slots=True)
class AnewRepair:
    """The repair of a repository by one that is made anew."""

    archive: ArchiveClient
    chosen: DatasetToVerify
    options: Options
    sources: SiblingSources
    zarrs: ZarrRepair

    @property
    def dataset(self) -> Dataset:
        """The damaged one, as it is now."""
        return self.chosen.dataset

    def repair(self) -> None:
        """Restore objects and refs; or set the dataset aside whole, and put the new one in its place.

        Raises:
            IntegrityError: the archive does not have the Dandiset any more, and no sibling has what is missing.
            NotOurs: a link or something else stands in place of the folder for temporary files.
            MirrorError: the archive does not answer; the dataset is as it was.
        """
        mirror, dandiset = self.chosen.mirror, self.chosen.dandiset
        folder = mirror.own / "tmp" / f"repair-{dandiset}"
        folder.parent.make_folder()  # refuses a link, before anything behind it is removed or written
        place = folder.path
        shutil.rmtree(place, ignore_errors=True)
        folder.make_folder()
        try:
            self._take_from(self._made_anew(place / "anew") if self._is_in_archive() else None, place / "siblings")
        finally:
            shutil.rmtree(place, ignore_errors=True)

    def _is_in_archive(self) -> bool:
        try:
            self.archive.dandiset(self.chosen.dandiset)
        except (NotFoundError, CredentialsError):
            return False
        return True

    def _made_anew(self, place: Path) -> Dataset:
        # as a clone of its own: a mirror in a mirror would be taken for a part of that
        room = Mirror(place, alone=self.chosen.dandiset)
        room.path.mkdir()
        self.zarrs.lend_manifests(room)
        check_report(sync_one(self.archive, room, Task(self.chosen.dandiset, replace(self.options, mode="auto"))))
        shutil.rmtree(room.own.path, ignore_errors=True)
        return room.dataset(self.chosen.dandiset)

    def _take_from(self, anew: Dataset | None, room: Path) -> None:
        try:
            whole = self._is_restored(anew, self.sources.repositories(room))
        except (MirrorError, OSError):
            whole = False
        if whole:
            return
        if anew is None:
            raise IntegrityError(
                "the archive does not show this Dandiset any more, and no sibling of dandi-mirror.toml has what is "
                "missing; the dataset stays as it is"
            )
        replace_dataset(self.dataset, anew, made_folder_aside(self.chosen.mirror))
        initialise_in_mirror(self.dataset, f"mirror of {self.chosen.instance.identifier(self.chosen.dandiset)}")

    def _is_restored(self, anew: Dataset | None, siblings: Iterator[Dataset]) -> bool:
        branch, remembered = self.chosen.branch if self.dataset.exists() else "draft", self._remembered()
        restore_objects(self.dataset, anew)
        wanted = {*remembered, *self.dataset.refs_in_files().values()} - {""}
        asked: list[Dataset] = []
        # old commits of the draft and versions that are gone: no archive gives these again
        while not has_all(self.dataset, wanted) and (theirs := next(siblings, None)):
            restore_objects(self.dataset, theirs)
            asked.append(theirs)
        if anew:
            restore_refs(self.dataset, anew, branch, remembered, _tags(anew))
        else:
            for theirs in asked or siblings:
                # of a sibling only tags of commits that the branch here contains
                restore_refs(self.dataset, theirs, branch, remembered, _tags(theirs), believed=False)
        return has_all_objects(self.dataset)

    def _remembered(self) -> tuple[str, ...]:
        """The commits at which the mirror last saw the branch, the best first."""
        then = self.chosen.mirror.index.get(self.chosen.dandiset)
        try:
            registered = self.chosen.mirror.superdataset.members().get(self.chosen.dandiset, "")
        except MirrorError:
            registered = ""
        return then.branch if then else "", registered


def _tags(dataset: Dataset) -> set[str]:
    return {ref.removeprefix(TAGS) for ref in dataset.refs() if ref.startswith(TAGS)}


def check_report(report: Report) -> None:
    """Raise the failure of a sync.

    Raises:
        MirrorError: with the sync's message and exit code.
    """
    if report.status in {"error", "impossible"}:
        error = MirrorError(report.message or f"{report.dandiset} could not be synced")
        error.exit_code = report.exit_code
        raise error
