"""Whether Zarrs have changed in place: then neither their Dandiset's list entry nor its assets show it."""

from __future__ import annotations

from collections.abc import Mapping

from dandi_mirror.archive.api.client import ArchiveClient
from dandi_mirror.errors import MirrorError

FEW = 8
"""Of so many Dandisets at most, each is asked for by itself; else the whole archive's Zarrs are listed once."""


def changed_zarrs(archive: ArchiveClient, remembered: Mapping[str, str]) -> set[str]:
    """The Dandisets whose Zarrs have other states than ``remembered``; if the archive does not answer, all of them.

    ``remembered`` has what :meth:`.ZarrListing.key` wrote at the last sync, for each Dandiset that holds Zarrs.
    """
    if not remembered:
        return set()
    from dandi_mirror.archive.api.zarrs import list_zarrs

    try:
        if len(remembered) > FEW:
            now = list_zarrs(archive).keys()
        else:
            now = {dandiset: list_zarrs(archive, dandiset).key() for dandiset in remembered}
    except MirrorError:
        return set(remembered)  # the sync of each reports it
    return {dandiset for dandiset, key in remembered.items() if now.get(dandiset) != key}
