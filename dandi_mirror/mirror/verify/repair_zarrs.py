"""The steps of a repair that are about Zarrs: their manifests, their repositories, and those that are installed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dandi_mirror.archive.api.client import ArchiveClient
from dandi_mirror.archive.api.zarrs import list_zarrs, zarr_state
from dandi_mirror.errors import NotFoundError
from dandi_mirror.mirror.fetch.zarr_install import zarrs_of
from dandi_mirror.mirror.format.admission import ContentHosts
from dandi_mirror.mirror.state.layout import Mirror
from dandi_mirror.mirror.state.options import Options
from dandi_mirror.mirror.sync.permissions import is_embargoed
from dandi_mirror.mirror.verify.dataset import DatasetToVerify
from dandi_mirror.mirror.verify.differences import Difference
from dandi_mirror.mirror.verify.restore_zarrs import (
    bad_repositories,
    bad_states,
    restore_manifest,
    restore_repository,
    set_aside,
    set_repository_aside,
)
from dandi_mirror.mirror.verify.sibling_sources import SiblingSources
from dandi_mirror.mirror.verify.zarr_content import folders_of_zarrs, held_zarrs, installed_zarrs
from dandi_mirror.mirror.verify.zarr_repositories import bases_of
from dandi_mirror.mirror.verify.zarr_states import NamedZarrState
from dandi_mirror.mirror.zarr.annex_logs import Sources
from dandi_mirror.mirror.zarr.gitmodules import ZarrModule
from dandi_mirror.mirror.zarr.repository import repository_name
from dandi_mirror.repo.annex.repository import AnnexRepository
from dandi_mirror.repo.git.dataset import Dataset


@dataclass(frozen=True, slots=True)
class ZarrRepair:
    """The repair of what belongs to the Zarrs of one dataset."""

    archive: ArchiveClient
    chosen: DatasetToVerify
    options: Options
    found: tuple[Difference, ...]
    sources: SiblingSources

    def with_content(self) -> Iterator[tuple[Dataset, str]]:
        """The Zarrs that are installed in the dataset, and those that the mirror holds; and where a mirror has them."""
        for zarr in self._modules():
            place = repository_name(zarr.zarr_id)
            yield from ((found, place) for found in installed_zarrs(self.chosen.dataset, [zarr]))
            yield from ((found, place) for found in held_zarrs(self.chosen.mirror, [zarr]))

    def folders(self) -> list[Path]:
        """Where the mirror has the Zarrs of the dataset."""
        return folders_of_zarrs(self.chosen.mirror, self._modules())

    def _modules(self) -> list[ZarrModule]:
        return [zarr.module for zarr in zarrs_of(AnnexRepository(self.chosen.dataset.path)).values()]

    def restore_manifests(self) -> None:
        """Set bad manifests aside; make those again that a sync cannot list, because the archive has other states."""
        for state in bad_states(self.found):
            set_aside(self.chosen.mirror, state.manifest)
            if not self._is_listed(state) and not restore_manifest(self.chosen.mirror, state):
                self.sources.give_manifest(self.chosen.mirror, state)

    def _is_listed(self, state: NamedZarrState) -> bool:
        try:
            return zarr_state(self.archive, state.zarr_id).checksum == state.checksum
        except NotFoundError:
            return False

    def lend_manifests(self, room: Mirror) -> None:
        """Let a dataset that is made anew have the manifests of this mirror: older states cannot be listed again."""
        lender = self.chosen.mirror.manifests
        for zarr_id in list_zarrs(self.archive, self.chosen.dandiset).ids():
            for checksum in lender.states(zarr_id):
                lent = room.manifests.path(zarr_id, checksum)
                lent.parent.make_folder()
                try:
                    os.link(lender.path(zarr_id, checksum), lent)
                except OSError:
                    shutil.copyfile(lender.path(zarr_id, checksum), lent)

    def set_repositories_aside(self) -> None:
        """Set bad repositories aside."""
        for zarr_id in bad_repositories(self.found):
            set_repository_aside(self.chosen.mirror, zarr_id)

    def write_repositories(self) -> None:
        """Write the repositories that were bad, also those that the settings do not ask for: they were there."""
        mirror, hosts = self.chosen.mirror, ContentHosts(self.chosen.instance, self.options.hosts)
        bases, closed = bases_of(mirror, self.chosen.dandiset, hosts), is_embargoed(self.chosen.dataset)
        current = {module.zarr_id: module.checksum for module in self._modules()}
        for zarr_id in bad_repositories(self.found):
            states = mirror.manifests.states(zarr_id)
            newest = current[zarr_id] if current.get(zarr_id) in states else next(iter(states), "")
            if newest:
                sources = Sources(self.chosen.instance.api_url, bases.get(zarr_id), closed)
                restore_repository(mirror, zarr_id, newest, sources)
