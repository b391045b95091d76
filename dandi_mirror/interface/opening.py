"""Open the content of an asset: the file on this machine, or a file object that reads ranges from where it is."""

from __future__ import annotations

import io
from typing import BinaryIO, cast

from dandi_mirror.addresses import Allowed, is_inside
from dandi_mirror.archive.instances import api_url
from dandi_mirror.errors import NotFoundError, UsageError
from dandi_mirror.mirror.contents.files import VersionFile
from dandi_mirror.repo.annex.repository import AnnexRepository
from dandi_mirror.repo.git.dataset import Dataset
from dandi_mirror.text import how_to_install

BLOCK = 2**20
"""Bytes that are asked for at once, at least; HDF5 files are read in many small pieces."""


def open_content(dataset: Dataset, file: VersionFile, instance: str) -> BinaryIO:
    """A file object with the content of a file of a version, to be closed by the caller.

    Raises:
        NotFoundError: nobody is known to have the content.
        UsageError: it is elsewhere, and the extra ``stream`` is not installed; or it is a Zarr.
    """
    if file.is_zarr:
        raise UsageError(f"{file.path} is a Zarr; open an entry of it, or see dandi-mirror zarr ref")
    if file.content:
        return file.content.open("rb")
    if file.oid:
        with dataset.reader() as reader:
            (content,) = reader.read([file.oid])
        return io.BytesIO(content or b"")
    return _remote(dataset, file, instance)


def _remote(dataset: Dataset, file: VersionFile, instance: str) -> BinaryIO:
    try:
        import fsspec
    except ImportError:
        raise UsageError(
            f"the content of {file.path} is not here; get it first; or, to read it from the archive, "
            f"{how_to_install('stream')}"
        ) from None
    clone = AnnexRepository(dataset.path)
    clone.read_config()
    allowed = Allowed.named(api_url(instance), frozenset(), clone.addresses)
    urls = [file.url] if file.url else []  # an entry of a Zarr
    urls += [url for _, known in clone.facts([file.key] if file.key else []) for url in known.urls]
    # a repository of somebody else must not make this machine ask its neighbours
    if not (url := next((url for url in urls if not is_inside(url, allowed)), "")):
        raise NotFoundError(f"nobody is known to have the content of {file.path}")
    return cast(BinaryIO, fsspec.filesystem("http").open(url, "rb", block_size=BLOCK, size=file.size))
