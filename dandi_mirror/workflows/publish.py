"""Publish the draft of a Dandiset: what prevents it, doing it, the sync after it, and the citation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from dandi_mirror.archive.api.client import Archive
from dandi_mirror.archive.instances import check_called
from dandi_mirror.archive.names import Name
from dandi_mirror.config import Settings
from dandi_mirror.mirror.format.record_reader import dandiset_record
from dandi_mirror.mirror.history.citation import Citation
from dandi_mirror.mirror.state.layout import Mirror
from dandi_mirror.mirror.state.options import Options
from dandi_mirror.mirror.sync.dandiset import sync_dandiset
from dandi_mirror.model import DandisetRow, Report
from dandi_mirror.upload.change.publishing import obstacles, publish_draft, until_validated
from dandi_mirror.workflows import tokens


@dataclass(frozen=True, slots=True)
class Publication:
    """The publication of one Dandiset's draft."""

    archive: Archive
    mirror: Mirror
    settings: Settings
    dandiset: str

    def check(self, wait: float) -> tuple[DandisetRow, list[str]]:
        """Wait until the archive has validated the draft; return the draft and the reasons against publishing it."""
        row = until_validated(self.archive, self.dandiset, wait)
        return row, list(obstacles(self.archive, row, "the Dandiset's page at the archive"))

    def publish(self, row: DandisetRow, wait: float, notes: str) -> tuple[str, Report]:
        """Publish the draft, which nobody can undo, and mirror the new version; return its name and the report."""
        version = publish_draft(self.archive, row, wait, notes)
        versions = "all" if self.settings.versions == "draft" else self.settings.versions
        options = Options(versions=versions, hosts=frozenset(self.settings.content_hosts))
        return version, sync_dandiset(self.archive, self.mirror, self.dandiset, options)

    def citation(self, version: str) -> str:
        """The citation of a version; empty if the mirror does not have it."""
        dataset = self.mirror.dataset(self.dandiset)
        if not dataset.exists() or not dataset.ref(f"refs/tags/{version}"):
            return ""
        commit, seconds = dataset.tagged(version)
        with dataset.reader() as reader:
            (content,) = reader.read([f"{commit}:dandiset.yaml"])
        return Citation.of(dandiset_record(content), commit, datetime.fromtimestamp(seconds, UTC)).form("text")


@contextmanager
def publication(settings: Settings, mirror: Mirror, name: Name, dandiset: str) -> Iterator[Publication]:
    """Connect to the archive, and see that the mirror is one of this archive.

    Raises:
        CredentialsError: there is no API key.
        UsageError: the mirror, or what ``name`` calls the archive, is of another archive.
    """
    with closing(tokens.session(settings, tokens.needed(settings.instance))) as session:
        archive = Archive(session)
        check_called(name.instance, archive.instance)
        mirror.superdataset.check_is_ours(str(archive.instance.dataset_id()))
        yield Publication(archive, mirror, settings, dandiset)
