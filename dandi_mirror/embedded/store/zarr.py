"""A Zarr of the archive: its files in the bucket, and its checksum once the archive has computed it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from dandi_mirror.embedded.bucket.contents import etag_of, size_of
from dandi_mirror.embedded.bucket.zarr_files import Files, FileVersion, FirstFiles
from dandi_mirror.embedded.rules.computed import zarr_checksum
from dandi_mirror.embedded.store.identity import DandisetIdentity

ZARR_CHECKSUM = "dandi:dandi-zarr-checksum"
PENDING, UPLOADED, INGESTING, COMPLETE = "Pending", "Uploaded", "Ingesting", "Complete"
Entry = tuple[str, int, str]
"""Path, size in bytes and ETag of a file."""


class Zarr:
    """A Zarr archive: its files, and the checksum over them, None while it is not Complete.

    A change of ``files`` alone is a change at S3 that the archive has not noticed.
    """

    __slots__ = ("_checksum", "_size", "created", "dandiset", "files", "name", "status", "zarr_id")

    def __init__(
        self,
        zarr_id: str,
        dandiset: DandisetIdentity,
        name: str,
        created: datetime,
        *,
        checksum: str | None = None,
        size: int | None = None,
        first: FirstFiles | None = None,
    ) -> None:
        self.zarr_id = zarr_id
        self.dandiset = dandiset
        self.name = name
        self.created = created
        self.status = COMPLETE if checksum else PENDING
        self.files = Files(dandiset.archive.now, dandiset.archive.new_version_id, first)
        self._checksum = checksum
        self._size = size

    def complete(self, entries: Iterable[Entry] | None = None, *, later: bool = False) -> None:
        """Be Complete from now on, with the checksum of the files as they are (of ``entries``, if these are elsewhere).

        With ``later`` the checksum is computed when somebody asks for it: the files must not change before.
        """
        self.status, self._size = COMPLETE, None
        self._checksum = None if later else zarr_checksum(self._entries() if entries is None else entries)

    def change(self, status: str = PENDING) -> None:
        """Be Pending, Uploaded or Ingesting from now on: without a checksum, size or count."""
        self.status, self._checksum, self._size = status, None, None

    @property
    def checksum(self) -> str | None:
        """``<md5>-<files>--<bytes>``; None while the Zarr is not Complete."""
        if self.status != COMPLETE:
            return None
        if self._checksum is None:
            self._checksum = zarr_checksum(self._entries())
        return self._checksum

    @checksum.setter
    def checksum(self, value: str) -> None:
        self._checksum, self._size = value, None

    @property
    def size(self) -> int:
        """Bytes of all files; 0 while the Zarr is not Complete."""
        if self.checksum is None:
            return 0
        return self._counted(2) if self._size is None else self._size

    @property
    def digests(self) -> dict[str, Any]:
        """As in an asset's ``digest``: the checksum is null while the Zarr is not Complete."""
        return {ZARR_CHECKSUM: self.checksum}

    @property
    def key(self) -> str:
        """The start of its files' keys in the bucket."""
        return f"zarr/{self.zarr_id}/"

    @property
    def pending(self) -> bool:
        """Whether a client is changing the Zarr: then its asset is Pending, and the draft does not change."""
        return self.status != COMPLETE

    def record(self) -> dict[str, Any]:
        """The answer of ``GET /zarr/{id}/``."""
        return {
            "name": self.name,
            "dandiset": self.dandiset.identifier,
            "zarr_id": self.zarr_id,
            "status": self.status,
            "checksum": self.checksum,
            "file_count": self._counted(1),
            "size": self.size,
        }

    def _counted(self, place: int) -> int:
        """Files (1) or bytes (2) as the checksum tells them; 0 without one."""
        parts = (self.checksum or "").replace("--", "-").split("-")
        return int(parts[place]) if len(parts) == 3 and parts[place].isdecimal() else 0

    def _entries(self) -> Iterable[Entry]:
        return ((path, size_of(content), etag_of(content)) for path, content in self.files.contents())

    def begin_with(self, files: Iterable[tuple[str, Any]]) -> None:
        """Hold these files from the start: they are as old as the Zarr."""
        for path, content in files:
            self.files.add(path, FileVersion(self.dandiset.archive.new_version_id(), self.created, content))
