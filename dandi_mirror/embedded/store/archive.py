"""The archive: all of its records, in memory.  Fill it from Python, serve it with ``serve``."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from dandi_mirror.embedded.bucket.objects import Object, Objects
from dandi_mirror.embedded.bucket.own import Bucket
from dandi_mirror.embedded.rules.refusals import Refused
from dandi_mirror.embedded.rules.values import moment
from dandi_mirror.embedded.store import lookup
from dandi_mirror.embedded.store.catalog import Catalog
from dandi_mirror.embedded.store.dandiset import Dandiset
from dandi_mirror.embedded.store.identity import OPEN
from dandi_mirror.embedded.store.uploads import forget


class Archive(Catalog):
    """A DANDI archive in memory; :class:`.ArchiveCore` has the parameters besides ``s3``.

    ``clock`` tells the time (aware); with ``seed`` ids repeat from run to run; with ``gzip`` false the archive
    compresses no answer; with ``s3`` it keeps content on another server.  ``jobs`` has what the archive does some
    time after an answer.
    Every change and every request holds ``lock``, so a test's thread may change what a server is serving.
    """

    def __init__(self, *names: Any, s3: Objects | None = None, **options: Any) -> None:
        super().__init__(*names, **options)
        self.dandisets: dict[str, Dandiset] = {}
        self.own_bucket = Bucket(self, "http://127.0.0.1")
        self.bucket = s3 or self.own_bucket
        self.at("http://127.0.0.1")

    def at(self, origin: str) -> None:
        """Set the address of the server, for the URLs in records."""
        self.api_url = f"{origin}/api"
        self.own_bucket.at(origin)

    def object_at(self, key: str, version_id: str | None = None) -> Object | None:
        """The object that the records put at ``key`` of the bucket: a blob, a Zarr's file, a manifest."""
        return lookup.object_at(self, key, version_id)

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
        """Add a Dandiset with an empty draft; by default with the next free number."""
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
        """Forget uploads that began at least ``older`` ago: 404 from now on, also for their parts."""
        with self.lock:
            for upload in list(self.uploads.values()):
                if self.now() - upload.created >= older:
                    forget(self, upload)

    def delete_dandiset(self, identifier: str) -> None:
        """Delete a Dandiset: 404 from now on; asset ids and blobs stay.

        The server refuses it for a Dandiset with published versions; a test may do it all the same.
        """
        with self.lock:
            del self.dandisets[identifier]
