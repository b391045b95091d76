"""The archive's own bucket: the object at a key, uploads in parts, presigned URLs.  Its HTTP is in ``answers``."""

from __future__ import annotations

import secrets
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

from dandi_mirror.embedded.bucket import signing
from dandi_mirror.embedded.bucket.contents import (
    IncomingFile,
    Stored,
    StoredPart,
    etag_of,
    multipart_etag,
    pieces,
    size_of,
)
from dandi_mirror.embedded.bucket.listing import MOST_KEYS
from dandi_mirror.embedded.bucket.objects import BUCKET, PLAIN, ListedObject, Object, only_version
from dandi_mirror.embedded.bucket.zarr_files import FileVersion
from dandi_mirror.embedded.bucket.zarr_keys import ZarrFolder, zarr_keys, zarr_slot

LEAST_PART = 5 * 1024 * 1024
"""Bytes in every part but the last, at least."""
KEY = signing.Key("embedded", "the embedded archive keeps no secrets")


class BucketOwner(Protocol):
    """What the bucket asks of the archive whose content it has."""

    lock: threading.RLock

    @property
    def zarrs(self) -> Mapping[str, ZarrFolder]:
        """Zarrs by id."""

    def now(self) -> datetime:
        """The archive's time."""

    def object_at(self, key: str, version_id: str | None = None) -> Object | None:
        """The object that the archive's records put at ``key``: its current version, or another."""


@dataclass(slots=True)
class Multipart:
    """An upload in parts that has begun; ``parts`` by number."""

    key: str
    parts: dict[int, StoredPart] = field(default_factory=dict)


class Bucket:
    """Blobs, Zarr files and manifests by key.  Content that comes over HTTP goes to files in a temporary folder."""

    def __init__(self, archive: BucketOwner, origin: str) -> None:
        self.archive = archive
        self.at(origin)
        self.multiparts: dict[str, Multipart] = {}
        self._uploaded: dict[str, Stored] = {}
        """Completed uploads that the archive has not made blobs of."""
        self.lists = True
        """Whether anybody may list the bucket; a bucket that does not allow it answers 403."""
        self.most_keys = MOST_KEYS
        """Entries on a page of a list at most, whatever a client asks for."""
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def at(self, origin: str) -> None:
        """Set the address of the server."""
        self.url = f"{origin}/{BUCKET}"

    # --- the archive's side

    def presigned(
        self, method: str, key: str, query: Mapping[str, str], seconds: int, headers: Mapping[str, str] | None = None
    ) -> str:
        """As in :class:`Objects`; signed with a public key pair."""
        return signing.presigned(
            KEY, method, f"{self.url}/{quote(key)}", query, headers or {}, self.archive.now(), seconds
        )

    def begin(self, key: str) -> str:
        """As in :class:`Objects`."""
        upload_id = secrets.token_hex(16)
        self.multiparts[upload_id] = Multipart(key)
        return upload_id

    def abort(self, key: str, upload_id: str) -> None:
        """As in :class:`Objects`."""
        if multipart := self.multiparts.pop(upload_id, None):
            for part in multipart.parts.values():
                part.path.unlink(missing_ok=True)

    def stat(self, key: str) -> tuple[int, str] | None:
        """As in :class:`Objects`."""
        found = self.find(key)
        return (size_of(found.content), found.etag) if found and found.content is not None else None

    def read(self, key: str) -> Iterator[bytes]:
        """As in :class:`Objects`."""
        found = self.find(key)
        if found is None or found.content is None:
            raise KeyError(key)
        return pieces(found.content)

    def put(self, key: str, content: bytes) -> None:
        """Do nothing: a blob or Zarr keeps the content that a test gives it."""

    def listing(self, prefix: str, after: str = "", most: int | None = None) -> list[ListedObject]:
        """As in :class:`Objects`; only Zarrs are listed."""
        start = after + "\0" if after else ""
        return list(islice(self._current(prefix, start), most))

    def _current(self, prefix: str, start: str) -> Iterator[ListedObject]:
        for key in self.keys(prefix, start):
            found = self.newest(key)
            if found is not None and found.content is not None:
                yield ListedObject(key, size_of(found.content), etag_of(found.content), found.modified)

    def keys(self, prefix: str, start: str) -> Iterator[str]:
        """The keys of Zarrs' files from ``start`` on that begin with ``prefix``, also of deleted ones, sorted."""
        return zarr_keys(self.archive.zarrs, prefix, start)

    def versions(self, key: str) -> list[FileVersion]:
        """All versions of a Zarr's file, newest first."""
        slot = zarr_slot(self.archive.zarrs, key)
        return slot[0].files.versions(slot[1]) if slot else []

    def newest(self, key: str) -> FileVersion | None:
        """The current version of a Zarr's file, which may be a delete marker."""
        slot = zarr_slot(self.archive.zarrs, key)
        return slot[0].files.newest(slot[1]) if slot else None

    def delete(self, keys: Iterable[str]) -> None:
        """As in :class:`Objects`; only files of Zarrs are deleted."""
        for key in keys:
            if slot := zarr_slot(self.archive.zarrs, key):
                slot[0].files.pop(slot[1], None)

    # --- uploads over HTTP

    def room(self) -> IncomingFile:
        """A new file for bytes that arrive."""
        return IncomingFile(self._path(f"arriving-{secrets.token_hex(8)}"))

    def keep_part(self, upload_id: str, number: int, arrived: IncomingFile) -> None:
        """Keep a part; it replaces one of the same number."""
        part = arrived.keep(self._path(f"{upload_id}-{number}-{secrets.token_hex(4)}"))
        parts = self.multiparts[upload_id].parts
        if before := parts.get(number):
            before.path.unlink(missing_ok=True)
        parts[number] = part

    def keep_file(self, key: str, arrived: IncomingFile, kind: str) -> str | None:
        """Keep a file of a Zarr as its newest version, and return the version's id; None if there is no such Zarr."""
        slot = zarr_slot(self.archive.zarrs, key)
        if slot is None:
            return None
        zarr, path = slot
        part = arrived.keep(self._path(f"zarr-{secrets.token_hex(16)}"))
        zarr.files[path] = Stored((part,), part.md5, kind)
        return zarr.files.versions(path)[0].version_id

    def complete(self, upload_id: str, numbers: list[int]) -> Stored:
        """Make an object of the parts with these numbers, and drop the other parts."""
        multipart = self.multiparts.pop(upload_id)
        parts = tuple(multipart.parts.pop(number) for number in numbers)
        for left in multipart.parts.values():
            left.path.unlink(missing_ok=True)
        stored = Stored(parts, multipart_etag([part.md5 for part in parts]))
        self._uploaded[multipart.key] = stored
        return stored

    def take(self, key: str) -> Stored | None:
        """Remove and return an uploaded object, so that its blob can keep it."""
        return self._uploaded.pop(key, None)

    def _path(self, name: str) -> Path:
        with self.archive.lock:
            if self._folder is None:
                self._folder = tempfile.TemporaryDirectory(prefix="dandi-archive-")
        return Path(self._folder.name, name)

    # --- the object at a key

    def find(self, key: str, version_id: str | None = None) -> Object | None:
        """The object at ``key``, also if it is hidden from the public; its current version, or another."""
        if stored := self._uploaded.get(key):
            return Object(key, stored, stored.etag, self.archive.now(), False, PLAIN, only_version(key))
        return self.archive.object_at(key, version_id)

    def is_zarr_file(self, key: str) -> bool:
        """Whether ``key`` is a place for a file of a Zarr."""
        return zarr_slot(self.archive.zarrs, key) is not None
