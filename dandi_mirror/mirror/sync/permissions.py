"""Who may read the folder of an embargoed Dandiset: not every user of the machine."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

from dandi_mirror.errors import MirrorError
from dandi_mirror.mirror.sync.messages import EMBARGO
from dandi_mirror.mirror.zarr.repository import repository_path
from dandi_mirror.repo.git.dataset import Dataset


def is_embargoed(dataset: Dataset) -> bool:
    """Whether the last commit of the draft says that the Dandiset was not open."""
    commit = dataset.ref("refs/heads/draft")
    try:
        return bool(commit) and f"\n{EMBARGO}: yes\n" in dataset.message(commit or "")
    except MirrorError:
        return False  # another check names what cannot be read


def close_folder(folder: Path) -> None:
    """Take a dataset's folder from all users but its owner and group; as it is, where that is not allowed."""
    with suppress(OSError):
        if mode_of(folder) & stat.S_IRWXO:
            folder.chmod(mode_of(folder) & ~stat.S_IRWXO)


def open_to_others(folder: Path, like: Path) -> None:
    """Give a dataset's folder back to other users, as far as the folder ``like`` is theirs."""
    with suppress(OSError):
        if mode := mode_of(folder):
            folder.chmod(mode | mode_of(like.resolve()) & (stat.S_IROTH | stat.S_IXOTH))


def set_zarr_permissions(mirror: Path, zarr_id: str, *, closed: bool) -> None:
    """Take the manifests and the repository of a Zarr from other users of the machine, or give them back."""
    for folder in zarr_folders(mirror, zarr_id):
        if closed:
            close_folder(folder)
        elif mode_of(folder) and not mode_of(folder) & stat.S_IRWXO:
            open_to_others(folder, mirror)


def zarr_folders(mirror: Path, zarr_id: str) -> list[Path]:
    """The folders of a mirror with the repository of a Zarr and with its manifests, as far as they are its own."""
    repository = repository_path(mirror, zarr_id)
    return [folder.path for folder in (repository, repository.beside(zarr_id)) if folder.is_own_folder()]


def mode_of(folder: Path) -> int:
    """The permissions of a folder; 0 if there is none, or a link has its name."""
    try:
        mode = os.lstat(folder).st_mode
    except OSError:
        return 0
    return stat.S_IMODE(mode) if stat.S_ISDIR(mode) else 0
