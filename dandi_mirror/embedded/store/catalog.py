"""Users, blobs, Zarrs, uploads and assets of the archive, by id."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Any

from dandi_mirror import digests
from dandi_mirror.embedded.bucket.zarr_files import FirstFiles
from dandi_mirror.embedded.store.assets import StoredAsset
from dandi_mirror.embedded.store.blobs import ETAG, SHA256, Blob, PendingUpload
from dandi_mirror.embedded.store.core import ArchiveCore
from dandi_mirror.embedded.store.identity import DandisetIdentity
from dandi_mirror.embedded.store.zarr import Zarr


@dataclass(frozen=True, slots=True)
class User:
    """A person with an API key; ``approved`` is false while the person waits for approval."""

    username: str
    token: str
    name: str
    admin: bool = False
    approved: bool = True


class Catalog(ArchiveCore):
    """The archive without its Dandisets."""

    def __init__(self, *names: Any, **options: Any) -> None:
        super().__init__(*names, **options)
        self.assets: dict[str, StoredAsset] = {}
        """Every asset that ever existed: an id stays valid after its asset leaves the draft."""
        self.blobs: dict[str, Blob] = {}
        self.zarrs: dict[str, Zarr] = {}
        self.users: dict[str, User] = {}
        """By token."""
        self.uploads: dict[str, PendingUpload] = {}
        """Uploads that clients have begun and the archive has not turned into blobs."""

    def add_user(
        self, username: str, token: str, admin: bool = False, *, name: str = "", approved: bool = True
    ) -> User:
        """Add a user with the API key ``token`` (40 hexadecimal digits on the real server)."""
        self.users[token] = User(username, token, name or username, admin, approved)
        return self.users[token]

    def renew_token(self, user: User) -> User:
        """Give a user a new token; the old one becomes invalid."""
        with self.lock:
            self.users.pop(user.token)
            made = replace(user, token=self.new_token())
            self.users[made.token] = made
        return made

    def add_blob(self, content: bytes, sha256_known: bool = True, blob_id: str | None = None) -> Blob:
        """Put ``content`` into the bucket.

        With ``sha256_known`` false its SHA-256 is missing until :meth:`compute_sha256`.
        """
        known = {ETAG: digests.dandi_etag(content)}
        if sha256_known:
            known[SHA256] = digests.sha256(content)
        blob = Blob(blob_id or self.new_id(), len(content), known, self.now(), content)
        self.bucket.put(blob.key, content)
        return self._keep(blob)

    def add_blob_record(
        self,
        size: int,
        sha256: str | None = None,
        etag: str | None = None,
        blob_id: str | None = None,
        *,
        digest: dict[str, Any] | None = None,
    ) -> Blob:
        """Add a blob without its content (S3 answers ``NoSuchKey``); ``digest`` as in a record."""
        known = dict(digest or {})
        if etag is not None:
            known[ETAG] = etag
        if sha256 is not None:
            known[SHA256] = sha256
        return self._keep(Blob(blob_id or self.new_id(), size, known, self.now(), None))

    def take_blob(self, upload: PendingUpload) -> Blob:
        """Make a blob of a completed upload; the archive computes its SHA-256 some time later."""
        content = self.own_bucket.take(upload.key)
        blob = Blob(upload.upload_id, upload.size, {ETAG: upload.etag}, self.now(), content)
        blob.holders = (upload.dandiset,)
        self.jobs.later(lambda: self._digest(blob))
        return self._keep(blob)

    def _digest(self, blob: Blob) -> None:
        """The job behind an upload: the SHA-256, then the validation of what waited for it."""
        sha256 = self._sha256_of(blob)
        with self.lock:
            if blob.pending:
                self.compute_sha256(blob, sha256)
            for dandiset in blob.holders:
                dandiset.validate()

    def _sha256_of(self, blob: Blob) -> str:
        whole = hashlib.sha256()
        for piece in self.bucket.read(blob.key):
            whole.update(piece)
        return whole.hexdigest()

    def _keep(self, blob: Blob) -> Blob:
        with self.lock:
            self.blobs[blob.blob_id] = blob
        return blob

    def compute_sha256(self, blob: Blob, sha256: str | None = None) -> str:
        """Give a blob its late SHA-256 (``sha256`` for one without content); no timestamp moves."""
        with self.lock:
            if blob.content is not None and sha256 is None:
                sha256 = self._sha256_of(blob)
            if sha256 is None:
                raise ValueError(f"blob {blob.blob_id} has no content: say its sha256")
            blob.digests = blob.digests | {SHA256: sha256}
            for dandiset in blob.holders:
                dandiset.forget()
        return sha256

    def add_zarr(
        self,
        holder: DandisetIdentity,
        name: str,
        *,
        size: int | None = None,
        checksum: str | None = None,
        first: FirstFiles | None = None,
        zarr_id: str | None = None,
    ) -> Zarr:
        """Add a Zarr to a Dandiset; without files, or with what ``first`` computes."""
        with self.lock:
            identifier = zarr_id or self.new_id()
            zarr = Zarr(identifier, holder, name, self.now(), checksum=checksum, size=size, first=first)
            self.zarrs[zarr.zarr_id] = zarr
        return zarr
