"""The keys of Zarrs' files in the bucket: ``zarr/<id>/<path>``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Protocol, TypeVar

from dandi_mirror.embedded.bucket.zarr_files import Files

_KEY = re.compile(r"zarr/([^/]+)/(.*)", re.DOTALL)


class ZarrFolder(Protocol):
    """A Zarr as the bucket sees it."""

    files: Files

    @property
    def key(self) -> str:
        """Key of its folder in the bucket, with a slash at the end."""


Folder = TypeVar("Folder", bound=ZarrFolder)


def zarr_slot(zarrs: Mapping[str, Folder], key: str) -> tuple[Folder, str] | None:
    """The Zarr and the path in it that ``key`` names; None if there is no such Zarr."""
    parts = _KEY.fullmatch(key)
    zarr = zarrs.get(parts[1]) if parts and parts[2] else None
    return (zarr, parts[2]) if parts and zarr else None


def zarr_keys(zarrs: Mapping[str, ZarrFolder], prefix: str, start: str) -> Iterator[str]:
    """The keys from ``start`` on that begin with ``prefix``, also of deleted files, sorted."""
    start = max(start, prefix)
    for zarr in _in_order(zarrs, prefix):
        folder = zarr.key
        if start >= folder[:-1] + "0":  # behind all of its keys: the digit 0 follows the slash
            continue
        for path in zarr.files.paths(start.removeprefix(folder) if start > folder else ""):
            if not (key := folder + path).startswith(prefix):
                return
            yield key


def _in_order(zarrs: Mapping[str, ZarrFolder], prefix: str) -> list[ZarrFolder]:
    """The Zarrs that may have keys with ``prefix``, by key."""
    if parts := _KEY.fullmatch(prefix):
        return [zarrs[parts[1]]] if parts[1] in zarrs else []
    return sorted(zarrs.values(), key=lambda zarr: zarr.key)
