"""The records that a sync does not read again, because the branch's tree has them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from dandi_mirror.errors import PartError
from dandi_mirror.mirror.format import record_reader
from dandi_mirror.mirror.format.record_reader import Record as Admitted
from dandi_mirror.mirror.format.record_spool import Spool
from dandi_mirror.mirror.format.records import (
    RecordFile,
    StoredRecord,
    in_order,
    is_asset_path,
    is_part,
    record_part_of,
    record_parts,
)
from dandi_mirror.repo.git.dataset import Dataset
from dandi_mirror.repo.git.stream import ExistingObject, TreeEntry

AS_BEFORE = ExistingObject("")
"""An entry that stays as the old tree has it at the path."""


class UnchangedRecords:
    """Makes the parts of a new tree from new records and the parts of the old one."""

    def __init__(self, dataset: Dataset, old: Mapping[str, tuple[bytes, str]], spool: Spool) -> None:
        self._dataset = dataset
        self._old = {path: oid for path, (_, oid) in old.items() if is_part(path)}
        self._tree = old
        self._spool = spool

    def __contains__(self, path: str) -> bool:
        """Whether the old tree has something at a path."""
        return path in self._tree

    def files(self, records: list[StoredRecord]) -> Iterator[tuple[str, TreeEntry]]:
        """The parts, by their paths in the tree, for records of distinct paths."""
        paths = {record.path for record in records}
        gone = self._parts_of(path for path in self._tree if path not in paths and is_asset_path(path))
        for name, members in record_parts(records):
            yield name, self._file(name, members, gone)

    def _file(self, name: str, records: Sequence[StoredRecord], gone: set[str]) -> TreeEntry:
        """The part ``name``; ``gone`` are old parts with a record that the new tree does not have."""
        kept = [record.path for record in records if record.handle is None]
        if len(kept) == len(records) and name in self._old and name not in gone:
            return AS_BEFORE
        lines = {record.path: record.line for record in self.records(kept)}
        if lost := set(kept).difference(lines):
            raise PartError(
                f"{self._dataset.path}: the draft lacks the record of {min(lost)!a:.200} that a sync has made; "
                f"run dandi-mirror sync {self._dataset.path.name} --mode verify"
            )
        ordered = sorted(records, key=in_order)
        handles = (self._spool.put(lines[path]) if handle is None else handle for path, handle, _ in ordered)
        return RecordFile(self._spool, tuple(handles))

    def _parts_of(self, paths: Iterable[str]) -> set[str]:
        """The old parts that may have the records of these paths."""
        return {part for path in paths if (part := record_part_of(path, self._old))}

    def records(self, paths: Iterable[str]) -> Iterator[Admitted]:
        """The records of these paths in the old tree."""
        wanted = set(paths)
        needed = sorted(self._parts_of(wanted))
        if not needed:
            return
        with self._dataset.reader() as reader:
            for record in record_reader.records(reader, [self._old[part] for part in needed]):
                if isinstance(record, Admitted) and record.path in wanted:
                    yield record
