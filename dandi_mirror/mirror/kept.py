"""Records that a sync did not read again: they are in the branch's tree, and are taken from there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import orjson

from dandi_mirror.mirror.records import Record, RecordFile, is_asset_path, is_part, part_of, record_parts
from dandi_mirror.mirror.spool import Spool
from dandi_mirror.repo.dataset import Dataset
from dandi_mirror.repo.stream import Entry, Known


class KeptRecords:
    """Makes the parts of a new tree out of new records and the parts of the old one."""

    def __init__(self, dataset: Dataset, old: Mapping[str, tuple[bytes, str]], spool: Spool) -> None:
        self._dataset = dataset
        self._old = {path: oid for path, (_, oid) in old.items() if is_part(path)}
        self._tree = old
        self._assets = [path for path in old if is_asset_path(path)]
        self._spool = spool

    def entry(self, path: str) -> Entry | None:
        """What the old tree has at a path."""
        found = self._tree.get(path)
        return Known(found[1], found[0]) if found else None

    def files(self, records: list[tuple[str, int]]) -> Iterator[tuple[str, Entry]]:
        """The parts, by their paths in the tree, for (path, handle) pairs of distinct paths."""
        paths = {path for path, _ in records}
        gone = self._parts_of(path for path in self._assets if path not in paths)
        for name, members in record_parts(records):
            yield name, self._file(name, members, gone)

    def _file(self, name: str, records: Sequence[Record], gone: set[str]) -> Entry:
        """The part ``name``; ``gone`` are old parts that held a record which is nowhere now."""
        kept = [record for record in records if record.handle < 0]
        if len(kept) == len(records) and name in self._old and name not in gone:
            return Known(self._old[name])
        lines = dict(self.lines(record.path for record in kept))
        handles = (record.handle if record.handle >= 0 else self._spool.put(lines[record.path]) for record in records)
        return RecordFile(self._spool, tuple(handles))

    def _parts_of(self, paths: Iterable[str]) -> set[str]:
        """The old parts in which the records of these paths stand."""
        return {part for path in paths if (part := part_of(path, self._old))}

    def lines(self, paths: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        """The records of these paths in the old tree, as (path, line)."""
        wanted = set(paths)
        needed = sorted(self._parts_of(wanted))
        if not needed:
            return
        with self._dataset.reader() as reader:
            for content in reader.read([self._old[part] for part in needed]):
                for line in (content or b"").splitlines():
                    path = orjson.loads(line)["path"]
                    if path in wanted:
                        yield path, line
