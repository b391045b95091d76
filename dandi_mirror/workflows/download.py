"""Download files of a Dandiset as plain files: which ones, from where, and what became of each."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from dandi_mirror.workflows import naming, tokens

if TYPE_CHECKING:
    from dandi_mirror.archive.api.client import Archive
    from dandi_mirror.archive.content.sources import TransferSettings
    from dandi_mirror.archive.names import Name
    from dandi_mirror.mirror.contents.files import Contents, VersionFile
    from dandi_mirror.mirror.fetch.download_plan import DownloadPlan, DownloadResult
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
        for name, clone in [_read(text, mirror_path) for text in texts]:
            self._one(name, clone, mirror_path, instance)

    def _one(self, name: Name, clone: Path | None, mirror_path: Path, instance: str | None) -> None:
        """Download what one name means; ``clone`` is the clone in which it is a path, if it is one."""
        from dataclasses import replace

        from dandi_mirror.archive.instances import api_url
        from dandi_mirror.mirror.contents.links import urls
        from dandi_mirror.mirror.contents.local import local_contents
        from dandi_mirror.mirror.fetch.download_plan import DownloadResult, plan_download

        api = naming.api_here(name, mirror_path, clone)
        settings = naming.settings_for(mirror_path, [name], api, instance=instance)
        archive, self.hosts = settings.instance, frozenset(settings.content_hosts)
        here = replace(name, instance=name.instance or instance)
        contents = local_contents(here, mirror_path, clone) or naming.known(
            name, mirror_path, lambda: _ask(name, archive, self._wants_record(name))
        )
        plan = plan_download(name, contents, self.folder, self.existing, self.taken, preserve_tree=self.preserve_tree)
        for done in plan.settled:
            self._tell(done, contents)
        if contents.record and contents.dandiset and self._wants_record(name):
            self._record(contents)
        if self.results.dry_run:
            for file, path in (*plan.wanted, *plan.zarrs):
                self._tell(DownloadResult(file, path), contents)
            return
        if plan.wanted:
            self._fetch(plan, contents, urls(contents, api_url(archive)), archive)
        for file, path in plan.zarrs:
            self._tell(self._fetch_zarr(file, path, archive, name.instance), contents)

    def _access(self, archive: str) -> TransferSettings:
        from dandi_mirror.addresses import Allowed
        from dandi_mirror.archive.instances import api_url

        return tokens.content_access(archive, Allowed.named(api_url(archive), self.hosts))

    def _wants_record(self, name: Name) -> bool:
        return name.whole or self.preserve_tree

    def _record(self, contents: Contents) -> None:
        from dandi_mirror.mirror.fetch.plain_files import RECORD, put_record

        place = f"{contents.dandiset}/{RECORD}"
        done = put_record(contents.record, self.folder, place, self.existing, dry_run=self.results.dry_run)
        self._tell(done, contents)

    def _fetch(self, plan: DownloadPlan, contents: Contents, urls: dict[str, tuple[str, ...]], archive: str) -> None:
        from dandi_mirror.archive.content.single import ByteCounter
        from dandi_mirror.errors import MirrorError
        from dandi_mirror.mirror.fetch.plain_files import download_files

        access, meter = self._access(archive), ByteCounter()
        names = [file.path for file, _ in plan.wanted]
        with self.results.progress(names, plan.size, lambda: meter.received):
            try:
                for done in download_files(plan, contents, urls, self.folder, access, meter, self.jobs):
                    self._tell(done, contents)
            except MirrorError as error:
                self.results.ended_by(error)
                raise

    def _fetch_zarr(self, zarr: VersionFile, path: Path, archive: str, said: str | None) -> DownloadResult:
        from dandi_mirror.archive.content.single import ByteCounter
        from dandi_mirror.archive.instances import api_url
        from dandi_mirror.errors import DiskError, MirrorError
        from dandi_mirror.mirror.contents.files import Contents
        from dandi_mirror.mirror.contents.links import urls
        from dandi_mirror.mirror.contents.remote import remote_zarr
        from dandi_mirror.mirror.fetch.download_plan import DownloadResult
        from dandi_mirror.mirror.fetch.zarr_download import download_zarr, plan_zarr_download

        access, meter = self._access(archive), ByteCounter()
        try:
            zarr, files = tokens.asked(archive, said, lambda asked: remote_zarr(asked, zarr))
            filling = plan_zarr_download(zarr, files, path, self.folder, self.existing)
            where = urls(Contents("", "", "", files), api_url(archive))
            with self.results.progress([zarr.path], filling.plan.size, lambda: meter.received):
                return download_zarr(filling, self.folder, where, access, meter, self.jobs)
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
    from dandi_mirror.errors import UsageError

    try:
        return naming.read_place(text, mirror_path=mirror_path)
    except UsageError as error:
        if Path(text).is_dir():
            raise UsageError(f"{error}; to download into that folder: -o {text}") from None
        raise


def _ask(name: Name, archive: str, record: bool) -> Contents:
    """Ask the archive what a name means; with ``record``, also for the record of the Dandiset."""
    from dataclasses import replace

    from dandi_mirror.mirror.contents.remote import remote_contents
    from dandi_mirror.mirror.format.tree import dandiset_yaml

    def look(asked: Archive) -> Contents:
        found = remote_contents(name, asked)
        if not (record and found.version):
            return found
        return replace(found, record=dandiset_yaml(asked.version_metadata(found.dandiset, found.version)))

    return tokens.asked(archive, name.instance, look)
