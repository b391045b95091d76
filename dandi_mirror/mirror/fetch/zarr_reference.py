"""Where the content of a Zarr's state is, for a reference file: on disk if all of it is here, else at the archive."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from pathlib import Path

from dandi_mirror.archive.zarr_entry import ZarrEntry
from dandi_mirror.errors import NotFoundError, PartError
from dandi_mirror.mirror.fetch.zarr_install import zarrs_of
from dandi_mirror.mirror.locate.zarr_mirrors import mirrors_of, sources_of
from dandi_mirror.mirror.zarr.entries import entry_key
from dandi_mirror.mirror.zarr.reference import reference_file
from dandi_mirror.repo.annex.repository import AnnexRepository


def zarr_reference(
    clone: AnnexRepository, path: str, state: str, dandiset: str, named: Path, hosts: frozenset[str]
) -> Iterator[str]:
    """The reference file of a Zarr in a dataset, in pieces.

    ``state`` is a checksum, or empty for the state that the dataset has; ``named`` and ``hosts`` are as for
    :func:`.install_zarr`.

    Raises:
        NotFoundError: the dataset has no such Zarr, or no mirror here has the state.
        PartError: the Zarr is embargoed, so that only a client with a token can read it.
        BadManifest: the manifest is damaged.
    """
    zarr = zarrs_of(clone).get(path)
    if zarr is None:
        raise NotFoundError(f"{clone.path} has no Zarr at {path}; see what it has: {_how_to_list(clone.path)}")
    zarr_id, checksum = zarr.module.zarr_id, state or zarr.module.checksum
    for mirror in mirrors_of(clone, dandiset, named):
        if mirror.manifests.has(zarr_id, checksum):
            break
    else:
        raise NotFoundError(
            f"no mirror on this machine has the state {checksum} of this Zarr; name one that has: -d DIR"
        )
    sources = sources_of(clone, mirror, dandiset, zarr_id, hosts)
    if sources.embargoed:
        raise PartError(f"{path} is embargoed: fsspec sends no API key; get it, and open the folder")
    entries = mirror.manifests.read
    inside = AnnexRepository(clone.path / path)
    # fsspec opens a file of URLs, or one of paths, without more settings than the other
    if inside.dataset.exists() and all(inside.has(_key(entry)) for entry in entries(zarr_id, checksum)):
        return reference_file(entries(zarr_id, checksum), lambda entry: inside.object_path(_key(entry)))
    return reference_file(entries(zarr_id, checksum), lambda entry: sources.urls(zarr_id, entry)[-1])


def _how_to_list(folder: Path) -> str:
    """The command that lists a clone, from where the person is."""
    inside = Path.cwd().resolve().is_relative_to(folder.resolve())
    return shlex.join(["dandi-mirror", "ls", os.path.relpath(folder.resolve()) if inside else str(folder)])


def _key(entry: ZarrEntry) -> str:
    return entry_key(entry.path, entry.size, entry.etag)
