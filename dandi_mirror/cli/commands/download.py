"""``dandi-mirror download``."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dandi_mirror.cli import bringing, options
from dandi_mirror.cli.ending import end_by_signals
from dandi_mirror.workflows import naming, tokens

if TYPE_CHECKING:
    from dandi_mirror.archive.api.client import Archive
    from dandi_mirror.archive.content.sources import TransferSettings
    from dandi_mirror.archive.names import Name
    from dandi_mirror.mirror.contents.files import Contents, VersionFile
    from dandi_mirror.mirror.fetch.download_plan import DownloadPlan, DownloadResult


@click.command("download")
@click.argument("names", metavar="NAME...", nargs=-1, required=True, shell_complete=options.complete_versions)
@click.option(
    "-o", "--output-dir", "folder", metavar="DIR", type=click.Path(path_type=Path, file_okay=False), default=Path(),
    show_default=".", help="Where to put the files; made if it is not there.",
)  # fmt: skip
@click.option(
    "-e", "--existing", type=click.Choice(["error", "skip", "overwrite", "overwrite-different", "refresh"]),
    default="error", show_default=True,
    help="Files that are there: fail; leave them; fetch all; fetch those of other content; of other size or time.",
)  # fmt: skip
@click.option("--preserve-tree", is_flag=True, help="Put parts where they are in the Dandiset, too: ID/FOLDER/FILE.")
@bringing.common
def command(
    names: tuple[str, ...],
    folder: Path,
    existing: str,
    preserve_tree: bool,
    jobs: int | None,
    dry_run: bool,
    mirror_path: Path,
    instance: str | None,
    output: str,
) -> int:
    """Download files as they are: no git, no links, no dataset.

    Each NAME is a Dandiset, a version, a folder, a file or a glob, in any form: 000004@draft/sub-P10HMH, the link of
    a page, an asset's URL.  Content that the mirror has is copied from there; the rest comes from S3, or the API.
    Every file is verified by its SHA-256 before it is put in its place.  When a run ends before its time, run
    it again: what is complete is kept, and a file that was under way goes on where it was.
    """
    end_by_signals()
    telling = bringing.Telling("download", ("downloaded", "download"), output, dry_run)
    run = _Run(Path(os.path.abspath(folder)), existing, preserve_tree, jobs, telling)  # noqa: PTH100
    for name, clone in [_read(text, mirror_path.absolute()) for text in names]:
        run.one(name, clone, mirror_path.absolute(), instance)
    return telling.end()


@dataclass(slots=True)
class _Run:
    """What is told over all names of a call."""

    folder: Path
    existing: str
    preserve_tree: bool
    jobs: int | None
    telling: bringing.Telling
    taken: dict[Path, str] = field(default_factory=dict)
    """Where files go, and their digests."""
    hosts: frozenset[str] = frozenset()
    """Further hosts of content, from the settings."""

    def one(self, name: Name, clone: Path | None, mirror_path: Path, instance: str | None) -> None:
        """All that one name means; ``clone`` is where it is a path, if it is one."""
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
        if self.telling.dry_run:
            for file, path in (*plan.wanted, *plan.zarrs):
                self._tell(DownloadResult(file, path), contents)
            return
        if plan.wanted:
            self._bring(plan, contents, urls(contents, api_url(archive)), archive)
        for file, path in plan.zarrs:
            self._tell(self._bring_zarr(file, path, archive, name.instance), contents)

    def _access(self, archive: str) -> TransferSettings:
        from dandi_mirror.addresses import Allowed
        from dandi_mirror.archive.instances import api_url

        return bringing.access(archive, Allowed.named(api_url(archive), self.hosts))

    def _wants_record(self, name: Name) -> bool:
        return name.whole or self.preserve_tree

    def _record(self, contents: Contents) -> None:
        from dandi_mirror.mirror.fetch.plain_files import RECORD, put_record

        place = f"{contents.dandiset}/{RECORD}"
        done = put_record(contents.record, self.folder, place, self.existing, dry_run=self.telling.dry_run)
        self._tell(done, contents)

    def _bring(self, plan: DownloadPlan, contents: Contents, urls: dict[str, tuple[str, ...]], archive: str) -> None:
        from dandi_mirror.archive.content.scheduler import JOBS
        from dandi_mirror.archive.content.single import ByteCounter
        from dandi_mirror.errors import MirrorError
        from dandi_mirror.mirror.fetch.plain_files import download_files

        access, meter = self._access(archive), ByteCounter()
        with self.telling.progress(plan.size, meter):
            try:
                for done in download_files(plan, contents, urls, self.folder, access, meter, self.jobs or JOBS):
                    self._tell(done, contents)
            except MirrorError as error:
                self.telling.ended_by(error)
                raise

    def _bring_zarr(self, zarr: VersionFile, path: Path, archive: str, said: str | None) -> DownloadResult:
        from dandi_mirror.archive.content.scheduler import JOBS
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
            with self.telling.progress(filling.plan.size, meter):
                return download_zarr(filling, self.folder, where, access, meter, self.jobs or JOBS)
        except DiskError as error:
            self.telling.ended_by(error)
            raise
        except MirrorError as error:
            return DownloadResult(zarr, path, "error", str(error).removeprefix(f"{zarr.path}: "), error.exit_code)

    def _tell(self, done: DownloadResult, contents: Contents) -> None:
        facts = {"path": str(done.path) if done.path.is_absolute() else "", "refds": str(self.folder)}
        facts |= {"dandiset": contents.dandiset, "version": contents.version, "file": done.file.path}
        facts |= {"sha256": done.file.sha256}
        known = done.file.path if done.message else os.path.relpath(done.path)
        self.telling.file(known, done.status, done.message, done.file.size or 0, done.exit_code, facts)


def _read(text: str, mirror_path: Path) -> tuple[Name, Path | None]:
    """One name, and the clone in which it is a path; of a folder, how one says that it is where files are to go."""
    from dandi_mirror.errors import UsageError

    try:
        return naming.read_place(text, mirror_path=mirror_path)
    except UsageError as error:
        if Path(text).is_dir():
            raise UsageError(f"{error}; to download into that folder: -o {text}") from None
        raise


def _ask(name: Name, archive: str, record: bool) -> Contents:
    """What a name means, from the archive; with the Dandiset's record if that is wanted."""
    from dataclasses import replace

    from dandi_mirror.mirror.contents.remote import remote_contents
    from dandi_mirror.mirror.format.tree import dandiset_yaml

    def look(asked: Archive) -> Contents:
        found = remote_contents(name, asked)
        if not (record and found.version):
            return found
        return replace(found, record=dandiset_yaml(asked.version_metadata(found.dandiset, found.version)))

    return tokens.asked(archive, name.instance, look)
