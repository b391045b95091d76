"""Files of Zarrs that are computed from a seed when somebody asks for them."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cached_property
from hashlib import blake2b

from dandi_mirror.embedded.bucket.contents import Generated
from dandi_mirror.embedded.bucket.generated_paths import Paths
from dandi_mirror.embedded.bucket.objects import aws_version_id
from dandi_mirror.embedded.bucket.zarr_files import FileVersion

THEN = datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)
METADATA_SIZE = 300
"""Bytes of a metadata file."""


class GeneratedFiles:
    """The files at ``paths``, computed from ``seed``; chunks have up to ``chunk_size`` bytes.

    Size and ETag follow from ``seed``; the version ids follow from ``versions`` too, so that two archives can hold
    one state under other ids.  With ``readable`` the bytes can be downloaded, and each ETag is their MD5; else S3
    answers NoSuchKey.
    """

    def __init__(
        self,
        paths: Paths,
        seed: str,
        *,
        chunk_size: int = 3000,
        readable: bool = False,
        versions: str = "",
        modified: datetime = THEN,
    ) -> None:
        self.paths = paths
        self._seed = seed
        self._chunk_size = chunk_size
        self._readable = readable
        self._versions = versions
        self._modified = modified

    def version(self, path: str) -> FileVersion:
        """As in :class:`FirstFiles`."""
        ids = blake2b(self._version_key + path.encode(), digest_size=24).digest()
        return FileVersion(aws_version_id(ids), self._modified, self.content(path))

    def content(self, path: str) -> Generated:
        """As in :class:`FirstFiles`."""
        digest = blake2b(self._content_key + path.encode(), digest_size=20).digest()
        size = METADATA_SIZE
        if path[-1].isdigit():  # a chunk: compressed, so the sizes differ
            size = self._chunk_size - int.from_bytes(digest[16:]) % (self._chunk_size // 4 + 1)
        return Generated.of(digest, size) if self._readable else Generated(size, digest[:16].hex())

    @cached_property
    def _content_key(self) -> bytes:
        return blake2b(self._seed.encode(), digest_size=16).digest()

    @cached_property
    def _version_key(self) -> bytes:
        return blake2b(f"{self._seed}\0{self._versions}".encode(), digest_size=16).digest()
