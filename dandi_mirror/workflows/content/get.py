"""Get the content of files: in a clone, in a mirror's dataset, or in a clone that is made first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from dandi_mirror.paths import GITMODULES
from dandi_mirror.text import counted, quoted
from dandi_mirror.workflows.access.tokens import content_access
from dandi_mirror.workflows.content.get_report import GetReport
from dandi_mirror.workflows.hints import zarrs_left

if TYPE_CHECKING:
    from dandi_mirror.archive.content.single import ByteCounter
    from dandi_mirror.archive.content.sources import TransferSettings
    from dandi_mirror.mirror.contents.selection import FileSelection
    from dandi_mirror.mirror.fetch.get import GetResult
    from dandi_mirror.mirror.fetch.get_plan import GetPlan
    from dandi_mirror.mirror.fetch.zarr_get import ZarrClone
    from dandi_mirror.mirror.fetch.zarr_install import WantedZarr
    from dandi_mirror.mirror.locate.targets import Target
    from dandi_mirror.repo.annex.repository import AnnexRepository
    from dandi_mirror.workflows.results import Results


class ContentRun:
    """Gets the content that one call asks for, from one dataset after the other."""

    def __init__(
        self, mirror_path: Path, instance: str | None, selection: FileSelection, jobs: int, results: Results
    ) -> None:
        self._mirror_path = mirror_path
        self._instance = instance or ""
        self._given = instance
        self._hosts: frozenset[str] = frozenset()
        self._selection = selection
        self._jobs = jobs
        self._results = results
        self._report = GetReport(results)

    def run(self, what: Iterable[str]) -> None:
        """Get what somebody typed: paths, or Dandisets with paths.

        Raises:
            UsageError: something of it means nothing; then nothing has been fetched.
            DiskError: there is no room for it, or the disk is not ours to write.
        """
        places = self._places(what)
        self._check_room(places)
        for place in places:
            self._one(place)

    def run_in(self, folder: Path, paths: Iterable[str]) -> None:
        """Get files, folders and globs of the dataset at ``folder``; all of it if there are none."""
        from dandi_mirror.mirror.locate.targets import Target
        from dandi_mirror.workflows.names.naming import settings_for

        settings = settings_for(self._mirror_path, [], instance=self._given)
        self._instance, self._hosts = settings.instance, frozenset(settings.content_hosts)
        self._one(Target(folder, paths=list(paths)))

    def _places(self, what: Iterable[str]) -> list[Target]:
        """Find the datasets that somebody means."""
        from dandi_mirror.archive.instances import instance_name
        from dandi_mirror.mirror.locate.targets import read_targets
        from dandi_mirror.mirror.state.layout import Mirror
        from dandi_mirror.workflows.names.naming import read_file, settings_for

        names = []

        def read(text: str):  # type: ignore[no-untyped-def]
            names.append(read_file(text, self._mirror_path, self._given))
            return names[-1]

        def archive_of(name):  # type: ignore[no-untyped-def]
            settings = settings_for(self._mirror_path, [name], instance=self._given)
            self._hosts = frozenset(settings.content_hosts)
            return instance_name(settings.instance)

        found = read_targets(what, read, Mirror(self._mirror_path.absolute()), archive_of)
        self._instance = settings_for(self._mirror_path, names, instance=self._given).instance
        return found

    def _check_room(self, places: list[Target]) -> None:
        """Refuse several datasets that do not fit together, before anything of one is fetched."""
        if len(places) > 1 and not self._results.dry_run and self._selection.most is None:
            from dandi_mirror.mirror.fetch.preview import check_room

            check_room(places, self._selection)

    def _one(self, place: Target) -> None:
        """Get all that was asked for of one dataset."""
        from dataclasses import replace

        from dandi_mirror.mirror.fetch.get_plan import plan_get
        from dandi_mirror.mirror.locate.targets import make
        from dandi_mirror.repo.annex.repository import AnnexRepository
        from dandi_mirror.repo.git.siblings import fetch_annex_branch, lacks_annex_branch

        new = place.source or place.member_of
        if new and self._results.dry_run:
            self._preview_clone(place)
            return
        if new and make(place):
            how = f"cloned from {place.source} into" if place.source else "installed in"
            self._results.say(f"{place.dandiset} {how} {place.folder}")
        clone = AnnexRepository(place.folder)
        if lacking := lacks_annex_branch(clone.dataset):
            self._results.say(f"{clone.path} was cloned without {lacking}, which says where content is; it is fetched")
            if trouble := fetch_annex_branch(clone.dataset):
                self._results.say(trouble)
        clone.prepare()
        zarrs, place.paths, names_all = self._zarrs(clone, place)
        if not names_all:
            choice = plan_get(clone, replace(self._selection, paths=tuple(place.paths)), place.commit(clone.dataset))
            self._report.checked_out(clone, place)
            self._report.cannot_come(clone.path, choice)
            self._do(clone, choice)
        for zarr in zarrs:
            self._zarr(clone, place, zarr)

    def _zarrs(self, clone: AnnexRepository, place: Target) -> tuple[list[WantedZarr], list[str], bool]:
        """The Zarrs that are named, the paths that are left, and whether the Zarrs are all that was named."""
        if not clone.listing(None, GITMODULES):
            # without Zarrs, nothing that they need is imported, and a large index is listed once less
            return [], place.paths, False
        from dandi_mirror.mirror.fetch.zarr_install import passed_over, wanted, zarrs_of

        known = zarrs_of(clone)
        zarrs, rest = wanted(known, place.paths)
        names_all = bool(zarrs) and not rest
        if not names_all and not self._selection.where and (left := passed_over(clone, known, zarrs, rest)):
            self._results.say(zarrs_left(clone.path, left))
        return zarrs, rest, names_all

    def _zarr(self, dataset: AnnexRepository, place: Target, wanted: WantedZarr) -> None:
        """Get what was asked for of one Zarr; install it if it is not."""
        from dataclasses import replace

        from dandi_mirror.mirror.fetch.get_plan import plan_get
        from dandi_mirror.mirror.fetch.zarr_get import ZarrClone, said
        from dandi_mirror.mirror.fetch.zarr_install import is_installed, state_of_folder
        from dandi_mirror.repo.annex.repository import AnnexRepository

        path = wanted.module.path
        if not is_installed(dataset, wanted) and not self._install(dataset, place, wanted):
            return
        clone = AnnexRepository(dataset.path / path)
        clone.prepare()
        if state_of_folder(clone) != wanted.commit:
            self._results.say(
                f"{path} has another state checked out than the dataset has, and content of that comes; for the "
                f"dataset's: git -C {quoted(dataset.path)} submodule update -- {quoted(path)}"
            )
        choice = plan_get(clone, replace(self._selection, paths=tuple(wanted.paths), where=()))
        self._report.cannot_come(clone.path, choice)
        zarr = ZarrClone.of(clone)
        self._do(clone, choice, zarr)
        if zarr and not self._results.dry_run and (choice.missing or choice.here):
            self._results.say(f"{path}: {said(zarr)}")

    def _install(self, dataset: AnnexRepository, place: Target, wanted: WantedZarr) -> bool:
        """Install a Zarr in a dataset; false if that failed, or a dry run only lists what would come."""
        from dandi_mirror.errors import DiskError, MirrorError
        from dandi_mirror.mirror.fetch.zarr_install import install_zarr
        from dandi_mirror.mirror.locate.clones import clone_at

        path = wanted.module.path
        around = clone_at(str(dataset.path))
        dandiset = place.dandiset or (around.name.dandiset if around else "") or ""
        if self._results.dry_run:
            self._preview_zarr(dataset, dataset.path, dandiset, wanted)
            return False
        try:
            install_zarr(dataset, wanted, dandiset, self._mirror_path, self._hosts)
        except DiskError:
            raise
        except MirrorError as error:
            self._report.failed(dataset.path, path, error)
            return False
        self._results.say(f"{path} installed")
        return True

    def _do(self, clone: AnnexRepository, choice: GetPlan, zarr: ZarrClone | None = None) -> None:
        """Get what a plan says, or show it."""
        if self._results.dry_run:
            self._report.would_come(clone.path, choice)
        else:
            self._bring(clone, choice, zarr)
        self._spend(choice)

    def _spend(self, choice: GetPlan) -> None:
        """Leave the rest of the budget to the next dataset."""
        from dataclasses import replace

        if self._selection.most is not None:
            self._selection = replace(self._selection, most=max(0, self._selection.most - choice.size))
        if choice.beyond:
            are = "is" if choice.beyond == 1 else "are"
            self._results.say(f"{counted(choice.beyond, 'more file')} {are} beyond --max-size")

    def _preview_clone(self, place: Target) -> None:
        """Say what would come from a clone that is not made: ask its mirror, if that is here, else the archive."""
        from dataclasses import replace

        from dandi_mirror.mirror.fetch.preview import preview_get
        from dandi_mirror.mirror.fetch.zarr_preview import source_zarrs
        from dandi_mirror.workflows.access import tokens

        self._results.say(
            f"{place.dandiset} would be cloned from {place.source or place.member_of} into {place.folder}"
        )
        source, zarrs = source_zarrs(place)
        if place.paths or not zarrs:
            selection = replace(self._selection, paths=tuple(place.paths))
            choice = preview_get(place, selection, lambda look: tokens.asked(self._instance, None, look))
            self._report.cannot_come(place.folder, choice)
            self._report.would_come(place.folder, choice)
            self._spend(choice)
        for zarr in zarrs:
            self._preview_zarr(source, place.folder, place.dandiset, zarr)

    def _preview_zarr(self, dataset: AnnexRepository, folder: Path, dandiset: str, zarr: WantedZarr) -> None:
        """Say what would come of a Zarr that is not installed; ``dataset`` will be, or is, at ``folder``."""
        from dandi_mirror.errors import MirrorError
        from dandi_mirror.mirror.fetch.zarr_preview import plan_zarr
        from dandi_mirror.mirror.locate.zarr_mirrors import mirrors_of

        path = zarr.module.path
        try:
            mirrors = mirrors_of(dataset, dandiset, self._mirror_path)
            choice = plan_zarr(zarr, dandiset, mirrors, self._selection.most)
        except MirrorError as error:
            self._report.failed(folder, path, error)
            return
        self._results.say(f"{path} would be installed")
        self._report.cannot_come(folder / path, choice)
        self._report.would_come(folder / path, choice)
        self._spend(choice)

    def _bring(self, clone: AnnexRepository, choice: GetPlan, zarr: ZarrClone | None) -> None:
        from dandi_mirror.addresses import Allowed
        from dandi_mirror.archive.content.single import ByteCounter
        from dandi_mirror.archive.instances import api_url
        from dandi_mirror.errors import MirrorError

        # what the clone says about itself does not count: only what a person named, or lets git-annex ask
        allowed = Allowed.named(api_url(self._instance), self._hosts, clone.addresses)
        access = content_access(clone.closed_api() or self._instance, allowed)
        meter = ByteCounter(self._results.waiting)
        names = [file.path for file in choice.missing]
        with self._results.progress(names, choice.size, lambda: meter.received):
            try:
                for got in self._content(clone, choice, zarr, access, meter):
                    self._report.file(clone.path, got)
            except MirrorError as error:
                self._results.ended_by(error)
                raise

    def _content(
        self,
        clone: AnnexRepository,
        choice: GetPlan,
        zarr: ZarrClone | None,
        access: TransferSettings,
        meter: ByteCounter,
    ) -> Iterator[GetResult]:
        if zarr:
            from dandi_mirror.mirror.fetch.zarr_get import get_zarr

            return get_zarr(zarr, choice, access, self._jobs, meter)
        from dandi_mirror.mirror.fetch.get import get_content

        return get_content(clone, choice, access, self._jobs, meter)
