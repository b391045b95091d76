"""The archive itself, without what it holds: names, addresses, time, ids, jobs."""

from __future__ import annotations

import random
import threading
import uuid
from collections.abc import Callable
from datetime import UTC, datetime

from dandi_mirror.embedded.bucket.objects import Objects, aws_version_id
from dandi_mirror.embedded.bucket.own import Bucket
from dandi_mirror.embedded.store.jobs import Jobs


class ArchiveCore:
    """What every record of the archive refers to; :class:`~dandi_mirror.embedded.store.archive.Archive` is one."""

    own_bucket: Bucket
    bucket: Objects
    """Where content is: ``own_bucket``, or a bucket on another S3 server."""

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
    ) -> None:
        self.instance_name = instance_name
        self.doi_prefix = doi_prefix
        self.web_url = web_url
        self.identifier = identifier
        self.schema_version = schema_version
        self.gzip = gzip
        self.lock = threading.RLock()
        self.api_url = ""
        self.upload_seconds = 7 * 24 * 3600
        """Seconds that the URLs of an upload's parts are valid."""
        self.link_seconds = 6 * 3600
        """Seconds that all other presigned URLs are valid."""
        self.jobs = Jobs()
        self.doi_seconds: float | None = 0.0
        """Seconds from publishing until DataCite registers the DOI; 0: at once; None: DataCite fails."""
        self.ingest_seconds = 0.0
        """Seconds that a Zarr is Ingesting."""
        self._clock = clock or _utc_now
        self._random = random.Random(seed)
        self._versions_random = random.Random(seed)
        self._count = 0

    @property
    def s3_url(self) -> str:
        """URL of the bucket."""
        return self.bucket.url

    def now(self) -> datetime:
        """The archive's time."""
        return self._clock()

    def new_id(self) -> str:
        """A fresh UUID, version 4."""
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))

    def new_version_id(self) -> str:
        """A fresh version id of an object in the bucket, in the letters of AWS."""
        return aws_version_id(self._versions_random.randbytes(24))

    def new_token(self) -> str:
        """A fresh API key."""
        return f"{self._random.getrandbits(160):040x}"

    def count_up(self) -> int:
        """The next database id."""
        self._count += 1
        return self._count


def _utc_now() -> datetime:
    return datetime.now(UTC)
