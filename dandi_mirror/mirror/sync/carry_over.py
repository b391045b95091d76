"""Keep the mirrored state of an asset that the archive still lists and that cannot be written now."""

from __future__ import annotations

from operator import attrgetter

from dandi_mirror.mirror.format.annex_metadata import annex_fields
from dandi_mirror.mirror.format.record_reader import Record
from dandi_mirror.mirror.format.record_spool import Spool
from dandi_mirror.mirror.format.tree import Carried, Listing
from dandi_mirror.mirror.format.unchanged_records import UnchangedRecords
from dandi_mirror.mirror.sync.plan import carried_paths
from dandi_mirror.repo.git.dataset import Dataset
from dandi_mirror.repo.git.dataset import Tree as OldTree
from dandi_mirror.repo.git.stream import ExistingObject


def carried_assets(dataset: Dataset, old: OldTree, listing: Listing, spool: Spool) -> list[Carried]:
    """The pending or refused assets whose paths the mirror has, as it has them.

    A listing that cannot be written yet does not delete the file that was at its path before.
    """
    wanted = carried_paths(old, {refusal.path for refusal in listing.refusals}, listing.assets)
    found = sorted(UnchangedRecords(dataset, old, spool).records(wanted), key=attrgetter("path"))
    return [_carried(record, ExistingObject(old[record.path][1], old[record.path][0]), spool) for record in found]


def _carried(record: Record, entry: ExistingObject, spool: Spool) -> Carried:
    fields = annex_fields(record.metadata, record.path)
    return Carried(record.path, entry, spool.put(record.line), record.size, fields)
