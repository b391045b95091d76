"""Publish the draft of a Dandiset: what prevents it, doing it, the sync after it, and the citation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial

from dandi_mirror.archive.api.client import ArchiveClient
from dandi_mirror.archive.instances import check_called
from dandi_mirror.archive.names import Name
from dandi_mirror.config import Settings
from dandi_mirror.mirror.history.cited import cited
from dandi_mirror.mirror.state.layout import Mirror
from dandi_mirror.mirror.state.options import Options, Progress
from dandi_mirror.mirror.sync.dandiset import sync_dandiset
from dandi_mirror.model import ListedDandiset, Report
from dandi_mirror.upload.change.publishing import obstacles, publish_draft, until_validated
from dandi_mirror.workflows.access import tokens


@dataclass(frozen=True, slots=True)
class Publication:
    """The publication of one Dandiset's draft."""

    archive: ArchiveClient
    mirror: Mirror
    settings: Settings
    dandiset: str

    def check(self, wait: float, progress: Progress) -> tuple[ListedDandiset, list[str]]:
        """Wait until the archive has validated the draft; return the draft and the reasons against publishing it."""
        entry = until_validated(self.archive, self.dandiset, wait, partial(progress, self.dandiset))
        return entry, list(obstacles(self.archive, entry, "the Dandiset's page at the archive"))

    def publish(self, entry: ListedDandiset, wait: float, notes: str, progress: Progress) -> tuple[str, Report]:
        """Publish the draft, which nobody can undo, and mirror the new version; return its name and the report."""
        version = publish_draft(self.archive, entry, wait, notes, partial(progress, self.dandiset))
        versions = "all" if self.settings.versions == "draft" else self.settings.versions
        options = replace(Options.of(self.settings), versions=versions, progress=progress)
        return version, sync_dandiset(self.archive, self.mirror, self.dandiset, options)

    def citation(self, version: str) -> str:
        """The citation of a version; empty if the mirror does not have it."""
        dataset = self.mirror.dataset(self.dandiset)
        if not dataset.exists() or not dataset.ref(f"refs/tags/{version}"):
            return ""
        return cited(dataset, *dataset.tagged(version)).form("text")


@contextmanager
def publication(settings: Settings, mirror: Mirror, name: Name, dandiset: str) -> Iterator[Publication]:
    """Connect to the archive, and see that the mirror is one of this archive.

    Raises:
        CredentialsError: there is no API key.
        UsageError: the mirror, or what ``name`` calls the archive, is of another archive.
    """
    with closing(tokens.session(settings, tokens.needed(settings.instance))) as session:
        archive = ArchiveClient(session)
        check_called(name.instance, archive.instance)
        if not mirror.alone:
            mirror.check_archive(str(archive.instance.dataset_id()))
        yield Publication(archive, mirror, settings, dandiset)
