"""A Dandiset that its owner changes at the archive, and where its dataset is on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from dandi_mirror.archive.api.client import ArchiveClient
from dandi_mirror.archive.instances import check_called
from dandi_mirror.config import Settings
from dandi_mirror.mirror.state.layout import Mirror, mirror_of
from dandi_mirror.mirror.state.options import Options
from dandi_mirror.mirror.sync.dandiset import sync_dandiset
from dandi_mirror.model import Report
from dandi_mirror.workflows.access import current_clone, tokens
from dandi_mirror.workflows.names import naming


@dataclass(frozen=True, slots=True)
class OwnDandiset:
    """A Dandiset at the archive, and where its dataset may be on this machine."""

    archive: ArchiveClient
    mirror: Mirror
    settings: Settings
    dandiset: str

    def sync(self) -> Report | None:
        """Bring the Dandiset's dataset up to date; None if it has none here."""
        if not self.mirror.dataset(self.dandiset).exists():
            return None
        hosts = frozenset(self.settings.content_hosts)
        options = Options(versions=self.settings.versions, embargoed=True, hosts=hosts)
        return sync_dandiset(self.archive, self.mirror, self.dandiset, options)


@contextmanager
def own_dandiset(text: str, mirror_path: Path, instance: str | None) -> Iterator[OwnDandiset]:
    """Connect to the archive of a Dandiset that somebody typed, with the API key.

    Raises:
        CredentialsError: there is no API key.
        UsageError: the text names no whole Dandiset, or the mirror or -i another archive than it.
    """
    name = naming.read_name(text)
    (identifier,) = naming.dandisets([name])
    settings = naming.settings_for(mirror_path, [name], asks_mirrors=True, instance=instance)
    clone = current_clone.clone_around(mirror_path, [name])
    mirror = mirror_of(clone.folder, identifier) if clone else Mirror(mirror_path.absolute())
    with closing(tokens.session(settings, tokens.needed(settings.instance))) as session:
        archive = ArchiveClient(session)
        check_called(name.instance, archive.instance)
        yield OwnDandiset(archive, mirror, settings, identifier)
