"""What every step of one Dandiset's sync is given: archive, mirror, options, and where records wait."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dandi_mirror.archive.api.client import ArchiveClient
from dandi_mirror.mirror.state.layout import Mirror
from dandi_mirror.mirror.state.options import Options
from dandi_mirror.model import Instance
from dandi_mirror.repo.git.dataset import Dataset

if TYPE_CHECKING:
    from dandi_mirror.mirror.format.admission import ContentHosts
    from dandi_mirror.mirror.format.record_spool import Spool


class OutOfTime(Exception):
    """The time limit of the run has come."""


@dataclass(frozen=True, slots=True)
class SyncContext:
    """One sync of one Dandiset, while it holds the dataset's lock."""

    archive: ArchiveClient
    mirror: Mirror
    dandiset: str
    options: Options
    spool: Spool
    closed: bool = False
    """Whether the Dandiset is embargoed: then only the API gives content, to people with an API key."""
    dropped_hosts: frozenset[str] = frozenset()
    """Hosts of content that the settings named at the last sync and no longer name."""
    until: float | None = None
    """The time at which the run ends, in seconds since 1970; None: when everything is done."""
    zarr_commits: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """The commits of Zarrs' states (id and checksum) that count if a manifest cannot be read: for a comparison."""
    read_only: bool = False
    """Whether the archive is only compared with the mirror: then no manifest of a Zarr is written, either."""

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
        from dandi_mirror.mirror.format.admission import ContentHosts

        return ContentHosts(self.archive.instance, self.options.hosts, closed=self.closed)

    @property
    def lists_zarrs(self) -> bool:
        """Whether it lists the entries of Zarrs whose states are new, and writes their manifests."""
        return not self.read_only and not self.options.dry_run

    def knows_zarr(self, state: tuple[str, str]) -> bool:
        """Whether a state of a Zarr need not be listed."""
        return state in self.zarr_commits or self.mirror.manifests.has(*state)

    def progress(self, doing: str) -> None:
        """Tell whoever watches the run what it does now."""
        self.options.progress(self.dandiset, doing)


def check_time_limit(sync: SyncContext) -> None:
    """Stop at the time limit.

    Raises:
        OutOfTime: it has come.
    """
    if sync.until is not None and time.time() >= sync.until:
        raise OutOfTime
