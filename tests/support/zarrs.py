"""Zarrs in the archive of a test: put in, changed at S3 alone or as a client does it, made by zarr-python."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from zarr_checksum.tree import ZarrChecksumTree

from dandi_mirror.embedded import Archive, Dandiset, Zarr
from dandi_mirror.embedded.bucket.contents import Content, InParts, etag_of, pieces, size_of

SMALL = {
    ".zgroup": b'{"zarr_format": 2}', "arr/.zarray": b"{}", "arr/0/0": b"\0" * 9000, "arr/0/1": b"\0" * 9000,
    "arr/1 a/0": b"\1" * 9000, "arr/%2e": b"x",
}  # fmt: skip
"""A Zarr whose names need care in URLs."""


def a_zarr(dandiset: Dandiset, path: str, files: Mapping[str, Content] = SMALL, **options: Any) -> Zarr:
    """A Complete Zarr at a path of the draft, and the asset there; ``options`` of ``Dandiset.add_zarr``."""
    zarr = dandiset.add_zarr(path, files=files, **options)
    zarr.complete()
    dandiset.add_asset(path, zarr=zarr)
    return zarr


def change(zarr: Zarr, files: Mapping[str, Content | None], *, finalized: bool = True) -> None:
    """Write files of a Zarr, and delete those whose content is None; also the same bytes are a new version.

    Unless ``finalized`` it happens at S3 alone: the archive keeps its checksum.
    """
    archive = _archive(zarr)
    with archive.lock:
        assert zarr.checksum is not None or finalized
        for path, content in files.items():
            if content is None:
                del zarr.files[path]
            else:
                zarr.files[path] = content
            if archive.bucket is not archive.own_bucket:
                _at_s3(archive, zarr.key + path, content)
        if finalized:
            finish(zarr)


def hold(zarr: Zarr, files: Mapping[str, Content]) -> None:
    """The Zarr holds these files and no other from now on."""
    gone = [path for path in zarr.files if path not in files]
    new = {path: content for path, content in files.items() if zarr.files.get(path) != content}
    change(zarr, {**dict.fromkeys(gone), **new})


def rewrite(zarr: Zarr, paths: Iterable[str] | None = None) -> None:
    """Send the same bytes again: new version ids and times, the same checksum."""
    change(zarr, {path: zarr.files[path] for path in (list(zarr.files) if paths is None else paths)})


def finish(zarr: Zarr) -> None:
    """What the archive does at the end of an ingestion: the checksum, and the times of assets and draft."""
    archive = _archive(zarr)
    with archive.lock:
        zarr.complete()
        dandiset = archive.dandisets[zarr.dandiset.identifier]
        for asset in dandiset.draft:
            if asset.zarr is zarr:
                asset.modified = archive.now()
        dandiset.draft.touch(archive.now())


def _at_s3(archive: Archive, key: str, content: Content | None) -> None:
    """The same change on another S3 server."""
    if content is None:
        archive.bucket.delete([key])
    else:
        archive.bucket.put(key, b"".join(pieces(content)))


def _archive(zarr: Zarr) -> Archive:
    archive = zarr.dandiset.archive
    assert isinstance(archive, Archive)
    return archive


def checksum(files: Mapping[str, Content]) -> str:
    """The checksum of files by the package that the archive uses."""
    tree = ZarrChecksumTree()
    for path, content in files.items():
        tree.add_leaf(Path(path), size_of(content), etag_of(content))
    return str(tree.process())


def in_parts(content: bytes, part_size: int = 1000) -> InParts:
    """Content that a client sent in parts: its ETag is ``<md5>-<n>``."""
    return InParts.of(content, part_size)


def made_by_zarr(folder: Path, zarr_format: int, *, shape: tuple[int, ...] = (30, 20), levels: int = 2) -> Path:
    """A folder with a real OME-like Zarr: an array for each level, with consolidated metadata."""
    import numpy as np
    import zarr

    root = zarr.open_group(str(folder), mode="w", zarr_format=zarr_format)
    root.attrs["multiscales"] = [{"version": "0.4", "datasets": [{"path": str(n)} for n in range(levels)]}]
    for level in range(levels):
        size = tuple(max(1, length // 2**level) for length in shape)
        array = root.create_array(str(level), shape=size, chunks=tuple(min(10, n) for n in size), dtype="int32")
        array[...] = 1 + np.arange(np.prod(size), dtype="int32").reshape(size)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # consolidated metadata are no part of format 3 yet
        zarr.consolidate_metadata(str(folder), zarr_format=zarr_format)
    return folder


def files_of(folder: Path) -> dict[str, bytes]:
    """The files of a folder by path."""
    found = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}
