"""Keeping what is mirrored of an asset that the archive still lists but that cannot be written just now."""

from __future__ import annotations

from dandi_mirror.mirror.admit import conflicts
from dandi_mirror.mirror.kept import KeptRecords
from dandi_mirror.mirror.records import is_asset_path
from dandi_mirror.mirror.spool import Spool
from dandi_mirror.mirror.tree import Listing
from dandi_mirror.repo.dataset import Dataset
from dandi_mirror.repo.dataset import Tree as OldTree
from dandi_mirror.repo.stream import Entry, Known


def carried_entries(dataset: Dataset, old: OldTree, listing: Listing, spool: Spool) -> list[tuple[str, Entry, int]]:
    """(path, entry, record handle) of each pending or refused asset whose path is mirrored already.

    A new row that cannot be taken does not delete what its path held before.
    """
    wanted = {refusal.path for refusal in listing.refusals} & {path for path in old if is_asset_path(path)}
    wanted -= set(listing.assets)
    if wanted:
        wanted -= set(conflicts([*listing.assets, *wanted]))
    records = dict(KeptRecords(dataset, old, spool).lines(wanted))
    return [
        (path, Known(old[path][1], old[path][0]), spool.put(records[path]))
        for path in sorted(wanted)
        if path in records
    ]
