"""The archive's memory: Dandisets, blobs, users.  Seed it from Python, serve it with :func:`serve`."""

from __future__ import annotations

import hashlib
import random
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from dandi_mirror import digests
from dandi_mirror.embedded.assets import ETAG, SHA256, Asset, Blob, Zarr
from dandi_mirror.embedded.bucket import Bucket, Objects
from dandi_mirror.embedded.dandiset import OPEN, Dandiset
from dandi_mirror.embedded.jobs import Jobs
from dandi_mirror.embedded.rules import Refused, moment
from dandi_mirror.embedded.uploads import Upload, forget


@dataclass(frozen=True, slots=True)
class User:
    """Somebody with a token; ``approved`` is false for who registered and waits."""

    username: str
    token: str
    name: str
    admin: bool = False
    approved: bool = True


class Archive:
    """A DANDI archive in memory.

    ``clock`` tells the time (aware); ``seed`` makes ids repeat; ``gzip`` false compresses nothing; with ``s3``
    content is kept on another server.  ``jobs`` has what happens some time after an answer.
    Every change and every request holds ``lock``, so a test's thread may change what a server is serving.
    """

    def __init__(
        self,
        instance_name: str = "DANDI",
        doi_prefix: str = "10.48324",
        clock: Callable[[], datetime] | None = None,
        *,
        web_url: str = "https://dandiarchive.org",
        identifier: str = "RRID:SCR_017571",
        schema_version: str = "0.7.0",
        seed: int | None = None,
        gzip: bool = True,
        s3: Objects | None = None,
    ) -> None:
        self.instance_name = instance_name
        self.doi_prefix = doi_prefix
        self.web_url = web_url
        self.identifier = identifier
        self.schema_version = schema_version
        self.gzip = gzip
        self.lock = threading.RLock()
        self.dandisets: dict[str, Dandiset] = {}
        self.assets: dict[str, Asset] = {}
        """Every asset that ever was: ids outlive their place in a version."""
        self.blobs: dict[str, Blob] = {}
        self.zarrs: dict[str, Zarr] = {}
        self.users: dict[str, User] = {}
        """By token."""
        self.uploads: dict[str, Upload] = {}
        """Those that were begun and not taken for a blob."""
        self.upload_seconds = 7 * 24 * 3600
        """How long the URLs of an upload's parts are good."""
        self.link_seconds = 6 * 3600
        """How long all other presigned URLs are good."""
        self.jobs = Jobs()
        self.doi_seconds: float | None = 0.0
        """How long after a version is there DataCite gives it its DOI; 0: at once; None: DataCite fails."""
        self.own_bucket = Bucket(self, "http://127.0.0.1")
        self.bucket: Objects = s3 or self.own_bucket
        self.at("http://127.0.0.1")
        self._clock = clock or _utc_now
        self._random = random.Random(seed)
        self._count = 0

    def at(self, origin: str) -> None:
        """Note where the archive is served, for the URLs in its records."""
        self.api_url = f"{origin}/api"
        self.own_bucket.at(origin)

    @property
    def s3_url(self) -> str:
        """Of the bucket."""
        return self.bucket.url

    def now(self) -> datetime:
        """The archive's time."""
        return self._clock()

    def new_id(self) -> str:
        """A fresh UUID, version 4."""
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))

    def count_up(self) -> int:
        """The next database id."""
        self._count += 1
        return self._count

    def add_user(
        self, username: str, token: str, admin: bool = False, *, name: str = "", approved: bool = True
    ) -> User:
        """Somebody who may send ``token`` (40 hexadecimal digits on the real server)."""
        self.users[token] = User(username, token, name or username, admin, approved)
        return self.users[token]

    def renew_token(self, user: User) -> User:
        """Give somebody another token; the old one is good no more."""
        with self.lock:
            self.users.pop(user.token)
            made = replace(user, token=f"{self._random.getrandbits(160):040x}")
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
        """A blob that is known without its content (S3 answers ``NoSuchKey``); ``digest`` as in a record."""
        known = dict(digest or {})
        if etag is not None:
            known[ETAG] = etag
        if sha256 is not None:
            known[SHA256] = sha256
        return self._keep(Blob(blob_id or self.new_id(), size, known, self.now(), None))

    def take_blob(self, upload: Upload) -> Blob:
        """Have the blob of an upload that has arrived; its SHA-256 is computed some time later."""
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
        """Let a blob's late SHA-256 arrive; no timestamp moves.  ``sha256`` for a blob without content."""
        with self.lock:
            if blob.content is not None and sha256 is None:
                sha256 = self._sha256_of(blob)
            if sha256 is None:
                raise ValueError(f"blob {blob.blob_id} has no content: say its sha256")
            blob.digests = blob.digests | {SHA256: sha256}
            for dandiset in blob.holders:
                dandiset.forget()
        return sha256

    def create_dandiset(
        self,
        identifier: str | None = None,
        name: str = "",
        metadata: dict[str, Any] | None = None,
        created: datetime | str | None = None,
        embargo_status: str = OPEN,
        *,
        owners: tuple[str, ...] = (),
    ) -> Dandiset:
        """A Dandiset with an empty draft; the next free number unless ``identifier`` is given."""
        with self.lock:
            if identifier is None:
                identifier = f"{max(map(int, self.dandisets), default=0) + 1:06d}"
            if identifier in self.dandisets:
                raise Refused(400, f"Dandiset {identifier} already exists")
            when = moment(created) if created else self.now()
            dandiset = Dandiset(self, identifier, when, name or f"Dandiset {identifier}", metadata)
            dandiset.embargo_status = embargo_status
            dandiset.owners.extend(owners)
            self.dandisets[identifier] = dandiset
        return dandiset

    def expire_uploads(self, older: timedelta = timedelta(0)) -> None:
        """Forget the uploads that were begun at least ``older`` ago: 404 from now on, also for their parts."""
        with self.lock:
            for upload in list(self.uploads.values()):
                if self.now() - upload.created >= older:
                    forget(self, upload)

    def delete_dandiset(self, identifier: str) -> None:
        """Let a Dandiset vanish: 404 from now on, no tombstone; asset ids and blobs stay.

        The server refuses it for a Dandiset with published versions; a test may do it all the same.
        """
        with self.lock:
            del self.dandisets[identifier]


def _utc_now() -> datetime:
    return datetime.now(UTC)
