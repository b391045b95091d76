"""Download files of a Dandiset as plain files: which ones, from where, and what became of each."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from dandi_mirror.workflows.access import current_clone, tokens
from dandi_mirror.workflows.names import naming
from dandi_mirror.workflows.names.zarr_names import read_zarr_place

if TYPE_CHECKING:
    from dandi_mirror.archive.api.client import ArchiveClient
    from dandi_mirror.archive.content.sources import TransferSettings
    from dandi_mirror.archive.names import Name
    from dandi_mirror.mirror.contents.files import Contents, VersionFile
    from dandi_mirror.mirror.fetch.download_plan import DownloadPlan, DownloadResult
    from dandi_mirror.mirror.fetch.zarr_parts import Surroundings
    from dandi_mirror.mirror.format.admission import ContentHosts
    from dandi_mirror.workflows.content.zarr_source import ZarrSource
    from dandi_mirror.workflows.results import Results


@dataclass(slots=True)
class DownloadRun:
    """Downloads what one call asks for, name after name."""

    folder: Path
    existing: str
    preserve_tree: bool
    jobs: int
    results: Results
    taken: dict[Path, str] = field(default_factory=dict)
    """Where each file of this call goes, with its digest."""
    hosts: frozenset[str] = frozenset()
    """More hosts that may hold content, from the settings."""

    def run(self, texts: Iterable[str], mirror_path: Path, instance: str | None) -> None:
        """Download what somebody typed; all names are read before anything is fetched.

        Raises:
            UsageError: a name means nothing.
            DiskError: the disk is full or not ours to write; what has come is kept.
        """
        for name, clone in [_read(text, mirror_path.absolute()) for text in texts]:
            self._one(name, clone, mirror_path, instance)

    def _one(self, name: Name, clone: Path | None, mirror_path: Path, instance: str | None) -> None:
        """Download what one name means; ``clone`` is the clone in which it is a path, if it is one."""
        from dataclasses import replace

        from dandi_mirror.mirror.contents.links import urls
        from dandi_mirror.mirror.contents.local import local_contents
        from dandi_mirror.mirror.fetch.download_plan import DownloadResult, plan_download
        from dandi_mirror.mirror.fetch.zarr_parts import reopen
        from dandi_mirror.workflows.content.zarr_source import ZarrSource

        api = current_clone.api_here(name, mirror_path, clone)
        settings = naming.settings_for(mirror_path, [name], api, instance=instance)
        archive, self.hosts = settings.instance, frozenset(settings.content_hosts)
        here = replace(name, instance=name.instance or instance)
        zarrs = ZarrSource(name, archive, mirror_path, self.hosts)
        contents = zarrs.expanded(local_contents(here, mirror_path, clone)) or naming.known(
            name, mirror_path, lambda: _ask(name, archive, self._wants_record(name))
        )
        plan = plan_download(name, contents, self.folder, self.existing, self.taken, preserve_tree=self.preserve_tree)
        if name.entry and self.existing != "skip":
            reopen(plan)
        for done in plan.settled:
            self._tell(done, contents)
        if contents.record and contents.dandiset and self._wants_record(name):
            self._record(contents)
        if self.results.dry_run:
            for file, path in (*plan.wanted, *plan.zarrs):
                self._tell(DownloadResult(file, path), contents)
            return
        if plan.wanted:
            around = zarrs.around(self._target(name, contents)) if name.entry else None
            self._fetch(plan, contents, urls(contents, self._content_hosts(archive)), archive, around)
        for file, path in plan.zarrs:
            self._tell(self._fetch_zarr(file, path, zarrs), contents)

    def _target(self, name: Name, contents: Contents) -> Callable[[VersionFile], Path]:
        """Return where each file of what a name means is put."""
        from dandi_mirror.mirror.fetch.download_plan import download_targets

        return download_targets(name, contents, self.folder, preserve_tree=self.preserve_tree)

    def _access(self, archive: str) -> TransferSettings:
        from dandi_mirror.addresses import Allowed
        from dandi_mirror.archive.instances import api_url

        return tokens.content_access(archive, Allowed.named(api_url(archive), self.hosts))

    def _content_hosts(self, archive: str) -> ContentHosts:
        from dandi_mirror.archive.instances import api_url
        from dandi_mirror.mirror.format.admission import ContentHosts

        return ContentHosts.of_api(api_url(archive), self.hosts)

    def _wants_record(self, name: Name) -> bool:
        return name.whole or self.preserve_tree

    def _record(self, contents: Contents) -> None:
        from dandi_mirror.mirror.fetch.plain_files import put_record
        from dandi_mirror.paths import DANDISET_YAML

        place = f"{contents.dandiset}/{DANDISET_YAML}"
        done = put_record(contents.record, self.folder, place, self.existing, dry_run=self.results.dry_run)
        self._tell(done, contents)

    def _fetch(
        self,
        plan: DownloadPlan,
        contents: Contents,
        urls: dict[str, tuple[str, ...]],
        archive: str,
        around: Surroundings | None,
    ) -> None:
        from dandi_mirror.archive.content.single import ByteCounter
        from dandi_mirror.errors import MirrorError
        from dandi_mirror.mirror.fetch.plain_files import download_files
        from dandi_mirror.mirror.fetch.zarr_parts import download_entries

        access, meter = self._access(archive), ByteCounter(self.results.waiting)
        names = [file.path for file, _ in plan.wanted]
        transfer = (urls, self.folder, access, meter, self.jobs)
        with self.results.progress(names, plan.size, lambda: meter.received):
            try:
                results = download_entries(plan, around, *transfer) if around else None
                for done in results or download_files(plan, contents, *transfer):
                    self._tell(done, contents)
            except MirrorError as error:
                self.results.ended_by(error)
                raise
        self._say_what_is_not_verified(file for file, _ in plan.wanted)

    def _say_what_is_not_verified(self, files: Iterable[VersionFile]) -> None:
        from dandi_mirror.digests import is_verifiable

        if number := sum(not is_verifiable(file.digest, file.size or 0) for file in files if file.entry):
            what = "a file of a Zarr was" if number == 1 else f"{number:,} files of Zarrs were"
            self.results.say(f"{what} sent to the archive in parts of unknown size: only the size is verified")

    def _fetch_zarr(self, zarr: VersionFile, path: Path, zarrs: ZarrSource) -> DownloadResult:
        from dandi_mirror.archive.content.single import ByteCounter
        from dandi_mirror.errors import DiskError, MirrorError
        from dandi_mirror.mirror.contents.files import Contents
        from dandi_mirror.mirror.contents.links import urls
        from dandi_mirror.mirror.fetch.download_plan import DownloadResult
        from dandi_mirror.mirror.fetch.zarr_download import download_zarr, plan_zarr_download

        access, meter = self._access(zarrs.archive), ByteCounter(self.results.waiting)
        try:
            zarr, files = zarrs.whole(zarr)
            filling = plan_zarr_download(zarr, files, path, self.folder, self.existing)
            where = urls(Contents("", "", "", files), self._content_hosts(zarrs.archive))
            names = [zarr.path]
            with self.results.progress(names, filling.plan.size, lambda: meter.received):
                done = download_zarr(filling, self.folder, where, access, meter, self.jobs)
            self._say_what_is_not_verified(file for file, _ in filling.plan.wanted)
            return done
        except DiskError as error:
            self.results.ended_by(error)
            raise
        except MirrorError as error:
            return DownloadResult(zarr, path, "error", str(error).removeprefix(f"{zarr.path}: "), error.exit_code)

    def _tell(self, done: DownloadResult, contents: Contents) -> None:
        facts = {"path": str(done.path) if done.path.is_absolute() else "", "refds": str(self.folder)}
        facts |= {"dandiset": contents.dandiset, "version": contents.version, "file": done.file.path}
        facts |= {"sha256": done.file.sha256}
        known = done.file.path if done.message else os.path.relpath(done.path)
        self.results.file(known, done.status, done.message, done.file.size or 0, done.exit_code, facts)


def _read(text: str, mirror_path: Path) -> tuple[Name, Path | None]:
    """Read a name, and find the clone in which it is a path; for a folder, the error explains -o."""
    from dataclasses import replace

    from dandi_mirror.errors import UsageError

    try:
        name, clone = read_zarr_place(text, mirror_path)
        # a slash behind a Zarr means all that is in it: here that is the Zarr
        return replace(name, entry="" if name.entry == "/" else name.entry), clone
    except UsageError as error:
        if Path(text).is_dir():
            raise UsageError(f"{error}; to download into that folder: -o {text}") from None
        raise


def _ask(name: Name, archive: str, record: bool) -> Contents:
    """Ask the archive what a name means; with ``record``, also for the record of the Dandiset."""
    from dataclasses import replace

    from dandi_mirror.mirror.contents.remote import remote_contents
    from dandi_mirror.mirror.format.tree import dandiset_yaml

    def look(asked: ArchiveClient) -> Contents:
        found = remote_contents(name, asked)
        if not (record and found.version):
            return found
        return replace(found, record=dandiset_yaml(asked.version_metadata(found.dandiset, found.version)))

    return tokens.asked(archive, name.instance, look)
