"""What every step of one Dandiset's sync is given: archive, mirror, options, and where records wait."""

from __future__ import annotations

from dataclasses import dataclass

from dandi_mirror.archive.api.client import Archive
from dandi_mirror.mirror.format.admission import ContentHosts
from dandi_mirror.mirror.format.record_spool import Spool
from dandi_mirror.mirror.state.layout import Mirror
from dandi_mirror.mirror.state.options import Options
from dandi_mirror.model import Instance
from dandi_mirror.repo.git.dataset import Dataset


@dataclass(frozen=True, slots=True)
class SyncContext:
    """One sync of one Dandiset, while it holds the dataset's lock."""

    archive: Archive
    mirror: Mirror
    dandiset: str
    options: Options
    spool: Spool
    closed: bool = False
    """Whether the Dandiset is embargoed: then only the API gives content, to people with an API key."""
    dropped_hosts: frozenset[str] = frozenset()
    """Hosts of content that the settings named at the last sync and no longer name."""

    @property
    def instance(self) -> Instance:
        """The archive's name and address."""
        return self.archive.instance

    @property
    def dataset(self) -> Dataset:
        """The Dandiset's repository."""
        return self.mirror.dataset(self.dandiset)

    @property
    def hosts(self) -> ContentHosts:
        """The hosts to which content URLs may point."""
        return ContentHosts(self.archive.instance, self.options.hosts, closed=self.closed)

    def progress(self, doing: str) -> None:
        """Tell whoever watches the run what it does now."""
        self.options.progress(self.dandiset, doing)
