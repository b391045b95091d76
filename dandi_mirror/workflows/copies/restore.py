"""Restore a version from other mirrors: which of them, and what cannot come."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dandi_mirror.errors import MirrorError, UsageError
from dandi_mirror.workflows.copies import copies
from dandi_mirror.workflows.names import naming

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dandi_mirror.archive.content.single import ByteCounter
    from dandi_mirror.archive.names import Name
    from dandi_mirror.config import Settings, Sibling
    from dandi_mirror.mirror.copies.restoring import RestorePlan
    from dandi_mirror.mirror.copies.zarrs import ZarrOfVersions
    from dandi_mirror.mirror.fetch.get import GetResult
    from dandi_mirror.mirror.state.layout import Mirror
    from dandi_mirror.repo.annex.repository import Tracked
    from dandi_mirror.workflows.results import Results


def restore_version(
    settings: Settings, mirror: Mirror, name: Name, siblings: list[Sibling], jobs: int, results: Results
) -> None:
    """Bring what a version lacks here from other mirrors.

    Raises:
        UsageError: the name is not that of a version of this mirror.
        DiskError: the disk is full or not writable.
    """
    from dandi_mirror.mirror.copies.restoring import plan_restore

    if not name.dandiset or not name.version:
        raise UsageError(f"{name.text}: name a version, such as 000004@0.220126.1852, or 000004@draft")
    (dandiset,) = naming.chosen(mirror, [name.dandiset])
    plan = plan_restore(mirror, dandiset, name.version)
    _Restore(settings, mirror, dandiset, siblings, jobs, results).run(plan)


class _Restore:
    """One run."""

    def __init__(
        self, settings: Settings, mirror: Mirror, dandiset: str, siblings: list[Sibling], jobs: int, results: Results
    ) -> None:
        self._settings = settings
        self._mirror = mirror
        self._dandiset = dandiset
        self._siblings = siblings
        self._jobs = jobs
        self._results = results
        self._came: set[str] = set()
        self._has_told = False

    def run(self, plan: RestorePlan) -> None:
        from dandi_mirror.archive.content.single import ByteCounter
        from dandi_mirror.mirror.fetch.get import GetResult
        from dandi_mirror.repo.annex.keys import size_of

        lacking = [(zarr, missing) for zarr in plan.zarrs if (missing := self._missing(plan, zarr))]
        if not plan.choice.missing and not lacking and not self._has_told:
            self._results.say("nothing to restore: all content of this version is here")
            return
        if self._results.dry_run:
            for file in (*plan.choice.missing, *(file for _, entries in lacking for file in entries)):
                self._tell(plan.clone.path, GetResult(file.path, file.key, size_of(file.key)))
            return
        self._learn()
        meter = ByteCounter(self._results.waiting)
        size = plan.choice.size + sum(size_of(file.key) for _, entries in lacking for file in entries)
        names = [file.path for file in (*plan.choice.missing, *(file for _, entries in lacking for file in entries))]
        with self._results.progress(names, size, lambda: meter.received):
            try:
                for got in self._restored(plan, lacking, meter):
                    self._tell(plan.clone.path, got)
            except MirrorError as error:
                self._results.ended_by(error)
                raise
        for zarr in (zarr for zarr, _ in lacking if zarr.path in self._came):
            self._results.say(f"{zarr.path} is in the mirror's repository of it; to see its files: get {zarr.path}")

    def _missing(self, plan: RestorePlan, zarr: ZarrOfVersions) -> list[Tracked]:
        """The entries of a Zarr that are not here, with their paths in the dataset."""
        from dataclasses import replace

        from dandi_mirror.mirror.copies.restoring import missing_entries

        try:
            entries = missing_entries(self._mirror, plan.clone, zarr)
        except MirrorError as error:
            self._tell(plan.clone.path, _failed(zarr, error))
            return []
        return [replace(entry, path=f"{zarr.path}/{entry.path}") for entry in entries]

    def _restored(
        self, plan: RestorePlan, lacking: list[tuple[ZarrOfVersions, list[Tracked]]], meter: ByteCounter
    ) -> Iterator[GetResult]:
        from dandi_mirror.errors import DiskError
        from dandi_mirror.mirror.copies.restoring import restore

        access = copies.access(self._settings, self._siblings)
        yield from restore(plan.clone, plan.choice, access, self._uuids(self._dandiset), self._jobs, meter)
        for zarr, missing in lacking:
            try:
                yield from self._restored_zarr(plan, zarr, missing, meter)
            except DiskError:
                raise
            except MirrorError as error:
                yield _failed(zarr, error)

    def _restored_zarr(
        self, plan: RestorePlan, zarr: ZarrOfVersions, missing: list[Tracked], meter: ByteCounter
    ) -> Iterator[GetResult]:
        from dataclasses import replace

        from dandi_mirror.errors import PartError
        from dandi_mirror.mirror.copies.restoring import restore_zarr
        from dandi_mirror.mirror.copies.zarrs import RepositoryWriter

        if not (uuids := self._uuids(zarr.repository.name)):
            raise PartError(f"no mirror of the settings has content of this Zarr; {len(missing):,} files are missing")
        hosts = frozenset(self._settings.content_hosts)
        clone = RepositoryWriter(self._mirror, plan.clone, self._dandiset, hosts).write(zarr)
        access = copies.access(self._settings, self._siblings)
        for got in restore_zarr(clone, zarr, missing, access, uuids, self._jobs, meter):
            self._came |= {zarr.path} if got.status == "ok" else set()
            yield replace(got, path=f"{zarr.path}/{got.path}")

    def _uuids(self, repository: str) -> set[str]:
        """The UUIDs that the mirrors have for a repository."""
        names = {one.name for one in self._siblings}
        known = self._mirror.copies.read().uuids.items()
        return {uuid for (sibling, of), uuid in known if of == repository and sibling in names}

    def _learn(self) -> None:
        """Fetch what the mirrors say, and make remotes of them; one that does not answer is named, and passed over."""
        from dandi_mirror.mirror.copies.fetching import fetch_claims

        hosts = frozenset(self._settings.content_hosts)
        with copies.reading(self._settings, self._siblings) as session:
            for one in fetch_claims(self._mirror, [self._dandiset], self._siblings, session.content, hosts):
                if one.message:
                    self._results.say(f"{one.sibling}: {one.message}")

    def _tell(self, folder: object, got: GetResult) -> None:
        self._has_told = True
        facts = {"path": f"{folder}/{got.path}", "refds": str(folder), "file": got.path, "key": got.key}
        self._results.file(got.path, got.status, got.message, got.size, got.exit_code, facts)


def _failed(zarr: ZarrOfVersions, error: MirrorError) -> GetResult:
    from dandi_mirror.mirror.fetch.get import GetResult

    return GetResult(zarr.path, status="error", message=str(error), exit_code=error.exit_code)
