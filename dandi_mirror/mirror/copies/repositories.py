"""The repositories of a mirror that may have content: the dataset of a Dandiset, and those of its Zarrs.

The content of a Zarr is in the Zarr's own repository, where other mirrors find it by the Zarr's id, wherever it is in a
version.  ``get`` also brings content of a Zarr into a work tree; that is here, and no other mirror sees it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dandi_mirror.errors import MirrorError
from dandi_mirror.mirror.state.layout import Mirror
from dandi_mirror.mirror.zarr.manifests import FOLDER
from dandi_mirror.mirror.zarr.repository import ZarrRepositories, repository_name
from dandi_mirror.model import is_asset_id
from dandi_mirror.repo.annex.keys import is_key
from dandi_mirror.repo.annex.pointers import OBJECTS_IN_GIT_DIR
from dandi_mirror.repo.annex.repository import AnnexRepository

_MODULES = "modules"
"""The folder of git in which the repositories of installed Zarrs are."""


@dataclass(frozen=True, slots=True)
class MirrorRepository:
    """One repository of a mirror, here or in another mirror."""

    dandiset: str
    zarr_id: str = ""
    """Of the Zarr; empty for the dataset of the Dandiset."""

    @property
    def name(self) -> str:
        """By which a mirror remembers it."""
        return self.zarr_id or self.dandiset

    @property
    def place(self) -> str:
        """Where a mirror has it, relative to its top."""
        return repository_name(self.zarr_id) if self.zarr_id else self.dandiset

    def clone(self, mirror: Mirror) -> AnnexRepository:
        """The repository in a mirror; see :meth:`exists`.

        Raises:
            NotAMember: another repository is at the path of the dataset.
        """
        if not self.zarr_id:
            return AnnexRepository(mirror.dataset(self.dandiset).path)
        dataset = ZarrRepositories(mirror.path).dataset(self.zarr_id)
        return AnnexRepository(dataset.path, dataset)

    def exists(self, mirror: Mirror) -> bool:
        """Whether a mirror has it; a link in its place does not count."""
        if not self.zarr_id:
            return mirror.dataset(self.dandiset).exists()
        return ZarrRepositories(mirror.path).exists(self.zarr_id)

    def has_content(self, mirror: Mirror) -> bool:
        """Whether git-annex has, or had, content in it; starts no git."""
        return self.exists(mirror) and (self.clone(mirror).git_dir / OBJECTS_IN_GIT_DIR).is_dir()


def present_keys(git_dir: Path) -> dict[str, int]:
    """The keys whose content is in a repository, with the bytes of the files."""
    found = {}
    for folder, _, names in os.walk(git_dir / OBJECTS_IN_GIT_DIR):
        for name in names:
            if Path(folder).name == name and is_key(name):
                with suppress(FileNotFoundError):  # dropped meanwhile
                    found[name] = os.lstat(Path(folder, name)).st_size
    return found


def installed_git_dir(dataset: AnnexRepository, path: str) -> Path:
    """The git folder of a Zarr that is, or was, installed in a dataset."""
    return dataset.git_dir / _MODULES / path


def held_size(mirror: Mirror) -> int:
    """Bytes of all content in a mirror: of its datasets, of its Zarrs, and of the Zarrs that are installed there."""
    folders = list(_zarr_folders(mirror.path / FOLDER))
    for name in mirror.dandisets():
        with suppress(MirrorError):
            git_dir = mirror.dataset(name).git_dir
            folders += [git_dir, *_installed(git_dir / _MODULES)]
    return sum(_sizes(folders))


def _sizes(folders: Iterable[Path]) -> Iterator[int]:
    for folder in folders:
        yield from present_keys(folder).values()


def _zarr_folders(top: Path) -> Iterator[Path]:
    """The repositories of Zarrs below ``zarr``."""
    if not top.is_symlink():
        found = top.glob("[0-9a-f][0-9a-f][0-9a-f]/[0-9a-f][0-9a-f][0-9a-f]/*.git")
        yield from (path for path in found if is_asset_id(path.name.removesuffix(".git")) and not path.is_symlink())


def _installed(modules: Path) -> Iterator[Path]:
    """The git folders below ``modules``; a Zarr's path may have several parts."""
    for folder, names, files in os.walk(modules):
        if "HEAD" in files:
            names.clear()
            yield Path(folder)
