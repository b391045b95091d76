"""Find out what somebody looks for with `which`: a content, or a Zarr folder by its checksum."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dandi_mirror.mirror.search.which import ContentIdentifier


def identify(text: str) -> ContentIdentifier:
    """Identify a content as :func:`dandi_mirror.mirror.search.which.identify`, or a Zarr folder by its checksum.

    Raises:
        UsageError: the text is none of these.
        PartError: the folder has something that cannot be part of a Zarr.
        DiskError: the file cannot be read.
    """
    from dandi_mirror.mirror.search import which

    path = Path(text)
    if not path.is_dir() or path.is_symlink() or not _is_zarr(path):
        return which.identify(text)
    from dandi_mirror.repo.annex.repository import AnnexRepository
    from dandi_mirror.repo.git.git_folder import find_repository
    from dandi_mirror.upload.zarrs.local import read_zarr

    folder = path.absolute()
    around = find_repository(folder)
    return which.ContentIdentifier(
        checksum=read_zarr(folder, AnnexRepository(around.top if around else folder)).checksum
    )


def _is_zarr(folder: Path) -> bool:
    """Whether a folder is a Zarr, by its name or by what it holds."""
    from dandi_mirror.upload.kinds import is_zarr

    return is_zarr(folder.name, {place.name for place in folder.iterdir()})
