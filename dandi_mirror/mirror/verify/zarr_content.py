"""Content of Zarrs that is here: in those that are installed in a dataset, and in the repositories of the mirror."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from dandi_mirror.errors import MirrorError
from dandi_mirror.mirror.state.layout import Mirror
from dandi_mirror.mirror.sync.permissions import zarr_folders
from dandi_mirror.mirror.verify.content import check_locations, uuid_of
from dandi_mirror.mirror.verify.differences import Difference
from dandi_mirror.mirror.zarr.annex_logs import annexed
from dandi_mirror.mirror.zarr.gitmodules import ZarrModule
from dandi_mirror.mirror.zarr.repository import ZarrRepositories
from dandi_mirror.repo.git.dataset import ANNEX, Dataset


def installed_zarrs(dataset: Dataset, zarrs: Iterable[ZarrModule]) -> Iterator[Dataset]:
    """The Zarrs that are installed in a dataset's work tree; one behind a link is not the dataset's."""
    top = dataset.path.resolve()
    for zarr in zarrs:
        folder = dataset.path / zarr.path
        if (folder / ".git").exists() and folder.resolve() == top / zarr.path:
            installed = Dataset(folder)
            if installed.exists() and top in installed.git_dir.resolve().parents:
                yield installed


def held_zarrs(mirror: Mirror, zarrs: Iterable[ZarrModule]) -> Iterator[Dataset]:
    """The repositories of Zarrs in the mirror that git-annex knows: ``hold`` and ``restore`` put content there."""
    repositories = ZarrRepositories(mirror.path)
    for zarr in zarrs if not mirror.alone else ():
        if repositories.exists(zarr.zarr_id) and (repositories.path(zarr.zarr_id) / "annex").is_folder():
            yield repositories.dataset(zarr.zarr_id)


def folders_of_zarrs(mirror: Mirror, zarrs: Iterable[ZarrModule]) -> list[Path]:
    """Where a mirror has the repositories and the manifests of Zarrs."""
    return [folder for zarr_id in sorted({zarr.zarr_id for zarr in zarrs})
            for folder in zarr_folders(mirror.path, zarr_id)]  # fmt: skip


def content_folders(mirror: Mirror, dataset: Dataset, zarrs: Iterable[ZarrModule]) -> Iterator[Path]:
    """The git folders that may hold content: of the dataset, and of its Zarrs."""
    yield dataset.git_dir
    modules = tuple(zarrs)
    yield from (installed.git_dir for installed in installed_zarrs(dataset, modules))
    if not mirror.alone:
        repositories = ZarrRepositories(mirror.path)
        places = (repositories.path(zarr.zarr_id) for zarr in modules)
        yield from (place.path for place in places if place.is_own_folder())


def check_zarr_locations(mirror: Mirror, dataset: Dataset, zarrs: Iterable[ZarrModule]) -> Iterator[Difference]:
    """The keys of Zarrs, installed or held by the mirror, whose location log is wrong about them."""
    for zarr in zarrs:
        for found in (*installed_zarrs(dataset, [zarr]), *held_zarrs(mirror, [zarr])):
            if found.ref(ANNEX) and (uuid := uuid_of(found)):
                with found.reader() as reader:
                    yield from check_locations(found.git_dir, uuid, reader, _keys(mirror, zarr))


def _keys(mirror: Mirror, zarr: ZarrModule) -> Iterator[str]:
    with suppress(MirrorError):  # another check names a manifest that cannot be read
        yield from (key for _, key, _ in annexed(mirror.manifests.entries(zarr.zarr_id, zarr.checksum)))
