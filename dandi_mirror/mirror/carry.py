"""Keeping what is mirrored of an asset that the archive still lists but that cannot be written just now."""

from __future__ import annotations

import orjson

from dandi_mirror.mirror.fields import annex_fields
from dandi_mirror.mirror.kept import KeptRecords
from dandi_mirror.mirror.records import is_asset_path
from dandi_mirror.mirror.spool import Spool
from dandi_mirror.mirror.tree import Carried, Listing
from dandi_mirror.paths import conflicts
from dandi_mirror.repo.dataset import Dataset
from dandi_mirror.repo.dataset import Tree as OldTree
from dandi_mirror.repo.stream import Known


def carried_assets(dataset: Dataset, old: OldTree, listing: Listing, spool: Spool) -> list[Carried]:
    """Each pending or refused asset whose path is mirrored already, as it is mirrored.

    A new row that cannot be taken does not delete what its path held before.
    """
    refused = {refusal.path for refusal in listing.refusals}
    wanted = {path for path in refused if path in old and is_asset_path(path) and path not in listing.assets}
    if wanted:
        wanted -= set(conflicts([*listing.assets, *wanted]))
    lines = sorted(KeptRecords(dataset, old, spool).lines(wanted))
    return [_carried(path, line, Known(old[path][1], old[path][0]), spool) for path, line in lines]


def _carried(path: str, line: bytes, entry: Known, spool: Spool) -> Carried:
    record = orjson.loads(line)
    return Carried(path, entry, spool.put(line), record["size"], annex_fields(record["metadata"], path))
