"""Read the records of assets and of the Dandiset from a commit; nothing else reads records from git.

A repository may come from anybody, so the same rules decide about its records as about the API's: for path, size,
digest and id.  A record that breaks them becomes a :class:`.Refusal`, never an exception.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import orjson

from dandi_mirror import canonical
from dandi_mirror.digests import ETAG, digest_in, is_zarr_record
from dandi_mirror.mirror.format.admission import LARGEST_RECORD, Refusal, shown_path, size_and_digest, zarr_size
from dandi_mirror.mirror.format.records import LARGEST_PART, is_part
from dandi_mirror.model import FindingKind, is_asset_id
from dandi_mirror.paths import refuse_path
from dandi_mirror.repo.git.dataset import Dataset
from dandi_mirror.repo.git.reader import ObjectReader

_MISSING = b"a file of records is missing"
_TOO_LARGE = b"a file of records is larger than a sync makes it"
_NO_RECORD = "its line in .dandi/assets is no record"
_REFUSED_NAME = re.compile(r"\.dandi/refused/[0-9a-f-]{36}(?:-[0-9]{1,9})?\.json")
_LONGEST_REASON = 500  # characters


@dataclass(frozen=True, slots=True)
class Record:
    """An admitted record of an asset."""

    path: str
    asset_id: str
    size: int
    """Bytes."""
    sha256: str
    """Empty for a Zarr."""
    metadata: dict[str, object]
    created: str
    """When the archive got the asset; empty if the record does not say."""
    line: bytes
    """Its canonical bytes."""
    zarr: bool = False
    """Whether it is a Zarr."""

    @property
    def etag(self) -> str:
        """The archive's ETag of the content; empty if the record has none."""
        etag = digest_in(self.metadata, ETAG)
        return etag if isinstance(etag, str) else ""


def lines(reader: ObjectReader, oids: Iterable[str]) -> Iterator[bytes]:
    """The lines of files of records, for :func:`admit`; one line for a file that cannot be read."""
    for content in reader.read(list(oids), LARGEST_RECORD + 1, _TOO_LARGE):
        if content is None:
            yield _MISSING
        elif len(content) > LARGEST_PART and b"\n" in content[:-1]:
            yield _TOO_LARGE  # a file has more than one record only while it is small
        else:
            yield from content.splitlines()


def records(reader: ObjectReader, oids: Iterable[str]) -> Iterator[Record | Refusal]:
    """The records in files of records, admitted or refused."""
    return map(admit, lines(reader, oids))


def admit(line: bytes) -> Record | Refusal:
    """Admit a line of a file of records, or refuse it."""
    if line in {_MISSING, _TOO_LARGE}:
        return Refusal(FindingKind.REFUSED, "", line.decode(), "")
    record = _object(line)
    path = record.get("path")
    too_large = "the record is larger than 8 MiB" if len(line) > LARGEST_RECORD else None
    return _admit(record, refuse_path(path) or too_large, str(path), line)


def refused_asset(name: str, content: bytes | None) -> Record | Refusal:
    """The refusal in a file below ``.dandi/refused``; or the record, if the asset's content can be downloaded.

    The record's path is that of its link.
    """
    facts = _object(content or b"") if _REFUSED_NAME.fullmatch(name) else {}
    record, asset_id = facts.get("record"), facts.get("asset_id")
    if isinstance(record, dict) and "metadata" in record:
        return _admit(record, None, name.removesuffix(".json"), b"")
    return Refusal(FindingKind.REFUSED, shown_path(facts), _reason(facts), asset_id if is_asset_id(asset_id) else "")


def refused_record(name: str, content: bytes) -> dict[str, object]:
    """The record that a file below ``.dandi/refused`` keeps, with its asset's id; empty if it keeps none."""
    facts = _object(content) if _REFUSED_NAME.fullmatch(name) else {}
    record = facts.get("record")
    return record if isinstance(record, dict) and is_asset_id(record.get("asset_id")) else {}


def refusal_of(name: str, content: bytes | None) -> Refusal:
    """The refusal in a file below ``.dandi/refused``, to be shown to people."""
    facts = _object(content or b"") if _REFUSED_NAME.fullmatch(name) else {}
    record, asset_id = facts.get("record"), facts.get("asset_id")
    size = record.get("size") if isinstance(record, dict) else None
    size = size if type(size) is int and size >= 0 else None
    path = shown_path(facts) if facts else name
    return Refusal(FindingKind.REFUSED, path, _reason(facts), asset_id if is_asset_id(asset_id) else "", size)


def records_in(reader: ObjectReader, name: str, oid: str) -> Iterator[Record | Refusal]:
    """The records in the file ``name`` of a tree: a file of records, or one below ``.dandi/refused``."""
    if is_part(name):
        yield from records(reader, [oid])
    else:
        yield from (refused_asset(name, content) for content in reader.read([oid], instead=b""))


def records_at(dataset: Dataset, commit: str) -> Iterator[Record | Refusal]:
    """All records of a commit, admitted or refused."""
    parts = [oid for path, (_, oid) in dataset.tree(commit, ".dandi").items() if is_part(path)]
    with dataset.reader() as reader:
        yield from records(reader, parts)


def times(dataset: Dataset, commit: str) -> dict[str, str]:
    """Path → when the archive got the asset."""
    return {record.path: record.created for record in records_at(dataset, commit) if isinstance(record, Record)}


def dandiset_record(content: bytes | None) -> dict[str, object]:
    """A Dandiset's own record, from a commit's ``dandiset.yaml``; empty if no sync wrote that."""
    return _object(content or b"")


def _admit(record: dict[str, object], refused: str | None, path: str, line: bytes) -> Record | Refusal:
    asset_id, metadata, created = record.get("asset_id"), record.get("metadata"), record.get("created")
    known = asset_id if is_asset_id(asset_id) else ""
    if not record or not isinstance(metadata, dict):
        return Refusal(FindingKind.REFUSED, shown_path(record), _NO_RECORD, known)
    is_zarr = is_zarr_record(metadata)
    size, sha256, reason = zarr_size(record) if is_zarr else size_and_digest(record, metadata)
    reason = refused or reason or (None if known else "the asset id is not a UUID of version 4")
    if reason or size is None or (sha256 is None and not is_zarr):
        return Refusal(FindingKind.REFUSED, shown_path(record), reason or "the record has no SHA-256", known, size)
    when = created if isinstance(created, str) else ""
    return Record(path, known, size, sha256 or "", metadata, when, line, is_zarr)


def _reason(facts: dict[str, object]) -> str:
    reason = facts.get("reason")
    return reason[:_LONGEST_REASON] if isinstance(reason, str) else "what was kept of it cannot be read"


def _object(content: bytes) -> dict[str, object]:
    """The JSON object in some bytes, if it is no deeper than a sync writes; else an empty one."""
    try:
        found = orjson.loads(content)
        if content.count(b"{") + content.count(b"[") > canonical.DEEPEST:
            canonical.check(found)
    except (orjson.JSONDecodeError, canonical.NotCanonical):
        return {}
    return found if isinstance(found, dict) else {}
