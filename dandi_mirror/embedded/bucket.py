"""The archive's own bucket: what lies at which key, uploads in parts, presigned URLs.  HTTP is in ``s3``."""

from __future__ import annotations

import re
import secrets
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol
from urllib.parse import quote

from dandi_mirror.embedded import signing
from dandi_mirror.embedded.assets import Zarr
from dandi_mirror.embedded.contents import Arriving, Content, Part, Stored, etag_of, multipart_etag, pieces, size_of
from dandi_mirror.embedded.rules import dumps

if TYPE_CHECKING:
    from dandi_mirror.embedded.dandiset import Dandiset
    from dandi_mirror.embedded.store import Archive

BUCKET = "dandi-dandisets"
LEAST_PART = 5 * 1024 * 1024
"""Bytes of every part but the last, at least."""
PLAIN = "application/octet-stream"
KEY = signing.Key("embedded", "the embedded archive keeps no secrets")


class Entry(NamedTuple):
    """One object in a listing."""

    key: str
    size: int
    etag: str
    modified: datetime


class Objects(Protocol):
    """What the archive wants of S3: its own bucket below, or another server (``outside``)."""

    url: str
    """Of the bucket, without a slash at the end."""

    def presigned(
        self, method: str, key: str, query: Mapping[str, str], seconds: int, headers: Mapping[str, str] | None = None
    ) -> str:
        """A URL that opens ``key`` to whoever has it, for one method; ``headers`` must be sent with it."""

    def begin(self, key: str) -> str:
        """Begin an upload in parts; its id."""

    def abort(self, key: str, upload_id: str) -> None:
        """Forget an upload in parts, and its parts; also one that is not there."""

    def stat(self, key: str) -> tuple[int, str] | None:
        """Size in bytes and ETag of an object; None for none."""

    def read(self, key: str) -> Iterator[bytes]:
        """The bytes of an object, a piece at a time."""

    def put(self, key: str, content: bytes) -> None:
        """Store an object."""

    def listing(self, prefix: str) -> list[Entry]:
        """The objects whose keys begin with ``prefix``, by key."""

    def delete(self, keys: Iterable[str]) -> None:
        """Delete objects; also such as are not there."""


@dataclass(frozen=True, slots=True)
class Object:
    """What lies at a key; ``content`` is None for a blob that is only known by name."""

    key: str
    content: Content | None
    etag: str
    created: datetime
    holders: tuple[Dandiset, ...]
    kind: str

    @property
    def hidden(self) -> bool:
        """Whether it is only in Dandisets under embargo: then anonymous readers get 403."""
        return bool(self.holders) and not any(dandiset.is_open for dandiset in self.holders)

    @property
    def version_id(self) -> str:
        """The one version that an object here has."""
        return etag_of(self.key.encode())


@dataclass(slots=True)
class Multipart:
    """An upload in parts that has begun; ``parts`` by number."""

    key: str
    parts: dict[int, Part] = field(default_factory=dict)


class Bucket:
    """Blobs, Zarr files and manifests by key.  What comes over HTTP goes to files in a temporary folder."""

    def __init__(self, archive: Archive, origin: str) -> None:
        self.archive = archive
        self.at(origin)
        self.multiparts: dict[str, Multipart] = {}
        self._uploaded: dict[str, Stored] = {}
        """Objects that no blob knows of yet."""
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def at(self, origin: str) -> None:
        """Note where it is served."""
        self.url = f"{origin}/{BUCKET}"

    # --- what the archive does to it

    def presigned(
        self, method: str, key: str, query: Mapping[str, str], seconds: int, headers: Mapping[str, str] | None = None
    ) -> str:
        """As in :class:`Objects`; signed with a key that everybody knows."""
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
        """Nothing: what a test gives stays with its blob or Zarr."""

    def listing(self, prefix: str) -> list[Entry]:
        """As in :class:`Objects`; only Zarrs are listed."""
        zarr, _ = self._zarr_file(prefix)
        if zarr is None:
            return []
        made = [
            Entry(zarr.key + path, size_of(content), etag_of(content), zarr.written.get(path, zarr.created))
            for path, content in zarr.files.items()
        ]
        return sorted(entry for entry in made if entry.key.startswith(prefix))

    def delete(self, keys: Iterable[str]) -> None:
        """As in :class:`Objects`; only files of Zarrs are deleted."""
        for key in keys:
            zarr, path = self._zarr_file(key)
            if zarr is not None:
                zarr.files.pop(path, None)

    # --- what comes over HTTP

    def room(self) -> Arriving:
        """A file for what is being received."""
        return Arriving(self._path(f"arriving-{secrets.token_hex(8)}"))

    def keep_part(self, upload_id: str, number: int, arrived: Arriving) -> None:
        """Have a part; one of the same number is replaced."""
        part = arrived.keep(self._path(f"{upload_id}-{number}-{secrets.token_hex(4)}"))
        parts = self.multiparts[upload_id].parts
        if before := parts.get(number):
            before.path.unlink(missing_ok=True)
        parts[number] = part

    def keep_file(self, zarr: Zarr, path: str, arrived: Arriving, kind: str) -> None:
        """Have a file of a Zarr; the one that was there stays on disk, for it may be read just now."""
        part = arrived.keep(self._path(f"zarr-{secrets.token_hex(16)}"))
        zarr.files[path] = Stored((part,), part.md5, kind)
        zarr.written[path] = self.archive.now()

    def complete(self, upload_id: str, numbers: list[int]) -> Stored:
        """Make an object of the parts with these numbers."""
        multipart = self.multiparts.pop(upload_id)
        parts = tuple(multipart.parts.pop(number) for number in numbers)
        for left in multipart.parts.values():
            left.path.unlink(missing_ok=True)
        stored = Stored(parts, multipart_etag([part.md5 for part in parts]))
        self._uploaded[multipart.key] = stored
        return stored

    def take(self, key: str) -> Stored | None:
        """Hand an uploaded object over to its blob."""
        return self._uploaded.pop(key, None)

    def _path(self, name: str) -> Path:
        with self.archive.lock:
            if self._folder is None:
                self._folder = tempfile.TemporaryDirectory(prefix="dandi-archive-")
        return Path(self._folder.name, name)

    # --- what lies where

    def find(self, key: str) -> Object | None:
        """What lies at ``key``, whoever asks."""
        kind, _, rest = key.partition("/")
        if kind == "blobs":
            return self._blob(key, rest.rpartition("/")[2])
        if kind == "zarr":
            zarr, path = self._zarr_file(key)
            content = zarr.files.get(path) if zarr else None
            if zarr is None or content is None:
                return None
            written, holders = zarr.written.get(path, zarr.created), (zarr.dandiset,)
            kind = content.kind if isinstance(content, Stored) else PLAIN
            return Object(key, content, etag_of(content), written, holders, kind)
        return self._manifest(key) if kind == "dandisets" else None

    def zarr_slot(self, key: str) -> tuple[Zarr, str] | None:
        """The Zarr and the path in it that ``key`` stands for; None if there is no such Zarr."""
        zarr, path = self._zarr_file(key)
        return (zarr, path) if zarr is not None and path else None

    def _zarr_file(self, key: str) -> tuple[Zarr | None, str]:
        parts = re.fullmatch(r"zarr/([^/]+)/(.*)", key, re.DOTALL)
        return (self.archive.zarrs.get(parts[1]), parts[2]) if parts else (None, "")

    def _blob(self, key: str, blob_id: str) -> Object | None:
        if stored := self._uploaded.get(key):
            return Object(key, stored, stored.etag, self.archive.now(), (), PLAIN)
        blob = self.archive.blobs.get(blob_id)
        if blob is None or blob.key != key:
            return None
        return Object(key, blob.content, blob.etag or "", blob.created, blob.holders, PLAIN)

    def _manifest(self, key: str) -> Object | None:
        """A version's manifest, made when it is asked for; the YAML ones are JSON, which YAML reads too."""
        parts = key.split("/")
        dandiset = self.archive.dandisets.get(parts[1]) if len(parts) == 4 else None
        version = dandiset.versions.get(parts[2]) if dandiset else None
        if dandiset is None or version is None:
            return None
        name, _, kind = parts[3].partition(".")
        if (name, kind) not in {(n, k) for n in ("dandiset", "assets") for k in ("yaml", "jsonld")}:
            return None
        if name == "assets":
            content = b"[" + b",".join([asset.record() for asset in version]) + b"]"
        else:
            content = dumps(version.metadata)
        media = "application/ld+json" if kind == "jsonld" else PLAIN
        return Object(key, content, etag_of(content), version.modified, (dandiset,), media)
