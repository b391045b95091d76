"""Who may read and write a dataset: nobody else writes to it, and what is embargoed is not for everybody."""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator
from itertools import starmap
from pathlib import Path

from dandi_mirror.mirror.sync.permissions import is_embargoed, mode_of
from dandi_mirror.mirror.verify.differences import Difference, DifferenceKind
from dandi_mirror.repo.git.dataset import Dataset

_EVERYBODY = stat.S_IROTH | stat.S_IXOTH
_WORDS = {
    stat.S_IWOTH: ("every user of this machine may write to it", "chmod o-w"),
    stat.S_IRWXO: ("the Dandiset is embargoed, and every user of this machine may read it", "chmod o-rwx"),
}
"""What is wrong, and what to type, for the permissions that other users must not have."""


def check_permissions(dataset: Dataset) -> Iterator[Difference]:
    """Folders of git that every user may write to; and an embargoed dataset that every user may read."""
    yield from starmap(_difference, _too_open(dataset))


def check_zarr_permissions(dataset: Dataset, zarrs: Iterable[Path]) -> Iterator[Difference]:
    """The folders of an embargoed dataset's Zarrs that every user may read."""
    yield from starmap(_difference, _open_zarrs(dataset, zarrs))


def _difference(folder: Path, permissions: int) -> Difference:
    what, remedy = _WORDS[permissions]
    return Difference(DifferenceKind.PERMISSIONS, str(folder), what, f"{remedy} {folder}")


def restrict(dataset: Dataset, zarrs: Iterable[Path]) -> None:
    """Take from other users the permissions that the checks name."""
    for folder, permissions in (*_too_open(dataset), *_open_zarrs(dataset, zarrs)):
        folder.chmod(mode_of(folder) & ~permissions)


def _open_zarrs(dataset: Dataset, zarrs: Iterable[Path]) -> Iterator[tuple[Path, int]]:
    found = [folder for folder in zarrs if mode_of(folder) & _EVERYBODY]
    if found and is_embargoed(dataset):
        yield from ((folder, stat.S_IRWXO) for folder in found)


def _too_open(dataset: Dataset) -> Iterator[tuple[Path, int]]:
    top = dataset.path.resolve()
    for folder in (top, dataset.git_dir, dataset.git_dir / "objects", dataset.git_dir / "annex"):
        mode = mode_of(folder)
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            yield folder, stat.S_IWOTH
    if mode_of(top) & _EVERYBODY and is_embargoed(dataset):
        yield top, stat.S_IRWXO
