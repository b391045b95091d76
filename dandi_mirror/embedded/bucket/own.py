"""The archive's own bucket: the object at a key, uploads in parts, presigned URLs.  Its HTTP is in ``answers``."""

from __future__ import annotations

import re
import secrets
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

from dandi_mirror.embedded.bucket import signing
from dandi_mirror.embedded.bucket.contents import (
    Content,
    IncomingFile,
    Stored,
    StoredPart,
    etag_of,
    multipart_etag,
    pieces,
    size_of,
)
from dandi_mirror.embedded.bucket.objects import BUCKET, PLAIN, ListedObject, Object

LEAST_PART = 5 * 1024 * 1024
"""Bytes in every part but the last, at least."""
KEY = signing.Key("embedded", "the embedded archive keeps no secrets")


class ZarrFiles(Protocol):
    """The files of a Zarr, by path."""

    files: dict[str, Content]
    written: dict[str, datetime]
    """When a file came, if it came after the Zarr was made."""
    created: datetime

    @property
    def key(self) -> str:
        """Key of the Zarr's folder in the bucket."""


class Records(Protocol):
    """What the bucket asks of the archive whose content it has."""

    lock: threading.RLock

    @property
    def zarrs(self) -> Mapping[str, ZarrFiles]:
        """Zarrs by id."""

    def now(self) -> datetime:
        """The archive's time."""

    def object_at(self, key: str) -> Object | None:
        """The object that the archive's records put at ``key``."""


@dataclass(slots=True)
class Multipart:
    """An upload in parts that has begun; ``parts`` by number."""

    key: str
    parts: dict[int, StoredPart] = field(default_factory=dict)


class Bucket:
    """Blobs, Zarr files and manifests by key.  Content that comes over HTTP goes to files in a temporary folder."""

    def __init__(self, archive: Records, origin: str) -> None:
        self.archive = archive
        self.at(origin)
        self.multiparts: dict[str, Multipart] = {}
        self._uploaded: dict[str, Stored] = {}
        """Completed uploads that the archive has not made blobs of."""
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

    def listing(self, prefix: str) -> list[ListedObject]:
        """As in :class:`Objects`; only Zarrs are listed."""
        zarr, _ = self._zarr_file(prefix)
        if zarr is None:
            return []
        made = [
            ListedObject(zarr.key + path, size_of(content), etag_of(content), zarr.written.get(path, zarr.created))
            for path, content in zarr.files.items()
        ]
        return sorted(entry for entry in made if entry.key.startswith(prefix))

    def delete(self, keys: Iterable[str]) -> None:
        """As in :class:`Objects`; only files of Zarrs are deleted."""
        for key in keys:
            zarr, path = self._zarr_file(key)
            if zarr is not None:
                zarr.files.pop(path, None)

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

    def keep_file(self, zarr: ZarrFiles, path: str, arrived: IncomingFile, kind: str) -> None:
        """Keep a file of a Zarr; the file that it replaces stays on disk, because a request may be reading it."""
        part = arrived.keep(self._path(f"zarr-{secrets.token_hex(16)}"))
        zarr.files[path] = Stored((part,), part.md5, kind)
        zarr.written[path] = self.archive.now()

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

    def find(self, key: str) -> Object | None:
        """The object at ``key``, also if it is hidden from the public."""
        if stored := self._uploaded.get(key):
            return Object(key, stored, stored.etag, self.archive.now(), False, PLAIN)
        return self.archive.object_at(key)

    def zarr_slot(self, key: str) -> tuple[ZarrFiles, str] | None:
        """The Zarr and the path in it that ``key`` names; None if there is no such Zarr."""
        zarr, path = self._zarr_file(key)
        return (zarr, path) if zarr is not None and path else None

    def _zarr_file(self, key: str) -> tuple[ZarrFiles | None, str]:
        parts = re.fullmatch(r"zarr/([^/]+)/(.*)", key, re.DOTALL)
        return (self.archive.zarrs.get(parts[1]), parts[2]) if parts else (None, "")
