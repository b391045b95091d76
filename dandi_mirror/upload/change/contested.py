"""Find the files that two people have changed, one here and one in the archive.  Pure."""

from __future__ import annotations

from collections.abc import Mapping

from dandi_mirror.model import RemoteFile
from dandi_mirror.upload.change.plan import LocalFile


def contested(
    base: Mapping[str, RemoteFile], theirs: Mapping[str, RemoteFile], ours: Mapping[str, LocalFile]
) -> list[str]:
    """The paths, sorted, at which ``ours`` and ``theirs`` differ from ``base``, the last sync, and from each other.

    A file that is deleted here is not one of them: an upload keeps the archive's.  Nor is a Zarr, whose entries are
    compared one by one.
    """
    return sorted(path for path, here in ours.items() if _is_contested(here, base.get(path), theirs.get(path)))


def _is_contested(here: LocalFile, base: RemoteFile | None, there: RemoteFile | None) -> bool:
    if here.zarr or (there and not there.digest):
        return False  # nobody can compare what has no digest yet
    before, after = base and base.digest, there and there.digest
    return after not in (before, here.digest) and here.digest != before
