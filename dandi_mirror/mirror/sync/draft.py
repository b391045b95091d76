"""A draft as the last sync left it, and as the archive has it now: the two states that an upload compares."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain

from dandi_mirror.archive.api.client import ArchiveClient
from dandi_mirror.archive.api.listing import Unstable, asset_pages
from dandi_mirror.archive.api.zarrs import list_zarrs
from dandi_mirror.digests import ETAG, digest_in
from dandi_mirror.errors import UsageError
from dandi_mirror.mirror.format.admission import LARGEST_RECORD, ContentHosts, Refusal, admit_entry
from dandi_mirror.mirror.format.record_reader import Record, admit, records_at
from dandi_mirror.mirror.format.records import is_part
from dandi_mirror.mirror.sync import messages
from dandi_mirror.mirror.sync.version_reader import TRIES
from dandi_mirror.mirror.zarr.gitmodules import read_gitmodules
from dandi_mirror.model import DRAFT, ListedDandiset, RemoteFile
from dandi_mirror.repo.git import history
from dandi_mirror.repo.git.dataset import Dataset
from dandi_mirror.repo.git.stream import FILE, IDENTITY

_SHA256 = re.compile(rb'"dandi:sha2-256":"([0-9a-f]{64})"')
"""In a canonical record; a search for it saves parsing most records."""
LARGEST_MODULES = 64 * 2**20
"""Bytes of a ``.gitmodules``; that of 23,614 Zarrs has 7.1 million."""
FEW = 50
"""Up to so many records are read one by one; for more, the whole listing with all records."""


@dataclass(frozen=True, slots=True)
class SyncedDraft:
    """A draft as the last sync left it."""

    commit: str
    assets: Mapping[str, RemoteFile]
    """By path."""
    zarrs: Mapping[str, RemoteFile] = field(default_factory=dict)
    """The Zarrs that the sync mirrored, in the states that it mirrored, by path."""


def synced_draft(dataset: Dataset) -> SyncedDraft:
    """The newest draft of a sync that the checked-out commit contains.

    Raises:
        UsageError: there is none, or its records cannot be used.
    """
    if not (commit := last_commit(dataset)):
        raise UsageError(f"{dataset.path} holds no draft that a sync has made; check it out: git checkout {DRAFT}")
    return SyncedDraft(
        commit, {path: there for path, there, _ in _records(dataset, commit)}, _synced_zarrs(dataset, commit)
    )


def _synced_zarrs(dataset: Dataset, commit: str) -> dict[str, RemoteFile]:
    oids = [oid for mode, oid in dataset.tree(commit, ".gitmodules").values() if mode == FILE]
    with dataset.reader() as reader:
        contents = [content or b"" for content in reader.read(oids, LARGEST_MODULES, b"")]
    modules = {path: zarr for content in contents for path, zarr in read_gitmodules(content).items()}
    return {path: RemoteFile("", 0, "", zarr=zarr.zarr_id, checksum=zarr.checksum) for path, zarr in modules.items()}


def last_commit(dataset: Dataset) -> str:
    """The newest commit of the draft that a sync has made and that the checked-out commit contains; or empty."""
    committer = IDENTITY.decode().partition("<")[2].rstrip(">")
    return history.last_by(dataset, committer, f"Dandi-Version: {DRAFT}", messages.TRAILER_LINE)


def metadata_of(
    dataset: Dataset, base: SyncedDraft, sha256s: Iterable[str], older: Iterable[str] = ()
) -> dict[str, dict[str, object]]:
    """The metadata of an asset for each digest that the draft has, as the last sync left it.

    For the digests ``older``, also those that only a version or an earlier state of the draft has.
    """
    wanted = {*sha256s, *older}
    found: dict[str, dict[str, object]] = {}
    for _, there, metadata in _records(dataset, base.commit) if wanted else ():
        if there.sha256 in wanted:
            found.setdefault(there.sha256, metadata)
    if missing := set(older) - found.keys():
        found |= _older(dataset, missing)
    return found


def _older(dataset: Dataset, missing: set[str]) -> dict[str, dict[str, object]]:
    """The metadata of the newest record with each of these digests, in the whole history."""
    found: dict[str, dict[str, object]] = {}
    parts = [oid for path, oid in history.contents(dataset, ".dandi") if is_part(path)]
    with dataset.reader() as reader:
        for content in reader.read(parts, LARGEST_RECORD + 1, b""):
            for match in _SHA256.finditer(content or b""):
                if content and (sha256 := match[1].decode()) in missing and sha256 not in found:
                    start, end = content.rfind(b"\n", 0, match.start()) + 1, content.find(b"\n", match.end())
                    record = admit(content[start:end])
                    if isinstance(record, Record) and record.sha256 == sha256:
                        found[sha256] = record.metadata
            if len(found) == len(missing):
                break
    return found


def _records(dataset: Dataset, commit: str) -> Iterator[tuple[str, RemoteFile, dict[str, object]]]:
    """Path, file and metadata of each asset that is a file."""
    for record in records_at(dataset, commit):
        if isinstance(record, Refusal):
            raise UsageError(
                f"{dataset.path}: the draft has a record that cannot be used, {record.path!a:.200}: {record.reason}; "
                "no sync made it, so clone the Dandiset from a mirror that you trust"
            )
        if record.zarr:
            continue
        there = RemoteFile(record.asset_id, record.size, record.sha256, record.etag)
        yield record.path, there, record.metadata


def remote_draft(
    archive: ArchiveClient, entry: ListedDandiset, base: SyncedDraft
) -> tuple[ListedDandiset, dict[str, RemoteFile]]:
    """The Dandiset as the archive lists it now, and the files of its draft by path.

    An asset does not change under its id, so this reads only the records of assets that the last sync did not see.

    Raises:
        Unstable: the draft changed each time.
    """
    for _ in range(TRIES):
        try:
            found = _listed(archive, entry, base)
        except Unstable:
            found = None
        again = archive.dandiset(entry.identifier)
        if found is not None and (again.draft.modified, again.draft.asset_count) == (entry.draft.modified, len(found)):
            return again, found
        entry = again
    raise Unstable(
        f"{entry.identifier}: the draft changed whenever it was read; somebody is at work on it: run this again"
    )


def _listed(archive: ArchiveClient, entry: ListedDandiset, base: SyncedDraft) -> dict[str, RemoteFile]:
    known = {there.asset_id: (path, there) for path, there in base.assets.items()}
    found: dict[str, RemoteFile] = {}
    unknown: list[str] = []
    for item in chain.from_iterable(asset_pages(archive, entry.identifier, DRAFT, metadata=False)):
        if not isinstance(item, dict) or not isinstance(item.get("path"), str):
            raise Unstable(f"{entry.identifier}: a list entry is not an asset")
        path, asset_id = item["path"], str(item.get("asset_id"))
        blob = item["blob"] if isinstance(item.get("blob"), str) else ""
        held = known.get(asset_id)
        if isinstance(zarr := item.get("zarr"), str):
            found[path] = RemoteFile(asset_id, 0, "", zarr=zarr)
        elif held and held[0] == path:
            found[path] = replace(held[1], blob=blob)
        else:
            found[path] = RemoteFile(asset_id, 0, "", blob=blob)
            unknown.append(asset_id)
    for there, path in _read(archive, entry, unknown):
        found[path] = replace(there, blob=found[path].blob) if path in found else there
    return found | _with_checksums(archive, entry.identifier, found)


def _with_checksums(archive: ArchiveClient, dandiset: str, found: Mapping[str, RemoteFile]) -> dict[str, RemoteFile]:
    """The Zarrs among assets with their checksums, which an asset's own record may not have yet."""
    if not any(there.zarr for there in found.values()):
        return {}
    zarrs = list_zarrs(archive, dandiset)
    return {
        path: replace(there, size=zarr.size, checksum=zarr.checksum)
        for path, there in found.items()
        if there.zarr and (zarr := zarrs.get(there.zarr))
    }


def _read(archive: ArchiveClient, entry: ListedDandiset, unknown: list[str]) -> Iterator[tuple[RemoteFile, str]]:
    """The new files of a draft, with their digests if the archive has them, and their paths."""
    if len(unknown) <= FEW:
        entries: Iterable[object] = (archive.session.get(f"/assets/{asset_id}/info/") for asset_id in unknown)
    else:
        entries = chain.from_iterable(asset_pages(archive, entry.identifier, DRAFT))
    wanted, hosts = set(unknown), ContentHosts(archive.instance, closed=not entry.is_open)
    for item in entries:
        if isinstance(item, dict) and item.get("asset_id") in wanted:
            yield _there(item, hosts), str(item.get("path"))


def _there(item: dict[str, object], hosts: ContentHosts) -> RemoteFile:
    admitted = admit_entry(item, hosts)
    found = digest_in(item.get("metadata"), ETAG)
    etag = "" if found is None else str(found)
    if isinstance(admitted, Refusal):
        # a file that a sync leaves out must not look like a change that the next sync would bring
        return RemoteFile(str(item["asset_id"]), admitted.size or 0, "", etag)
    return RemoteFile(admitted[0].asset_id, admitted[0].size, admitted[0].sha256, etag)
