"""Records on disk while a sync runs: three kilobytes an asset would not fit into memory for a large Dandiset."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from threading import Lock

from dandi_mirror.errors import DiskError
from dandi_mirror.own import OwnPath

_LENGTH_BITS = 24  # a record is at most 8 MiB
_BUFFER = 1 << 20


class Spool:
    """A file without a name that holds byte strings; each is got back by the handle that ``put`` gave.

    One thread puts; any may get.
    """

    def __init__(self, folder: Path | OwnPath) -> None:
        try:
            if isinstance(folder, OwnPath):
                folder.make_folder()
            # gone when it is closed, also when the process is killed
            self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115
        except OSError as error:
            raise DiskError(f"{folder}: {error.strerror}") from error
        self._folder = folder
        self._waiting = bytearray()
        self._writing = Lock()
        self._written = 0

    def put(self, content: bytes) -> int:
        """Keep ``content``; its handle."""
        offset = self._written + len(self._waiting)
        self._waiting += content
        if len(self._waiting) >= _BUFFER:
            self._flush()
        return offset << _LENGTH_BITS | len(content)

    def get(self, handle: int) -> bytes:
        """What was put under this handle."""
        with self._writing:
            self._flush()
        return os.pread(self._file.fileno(), handle & (1 << _LENGTH_BITS) - 1, handle >> _LENGTH_BITS)

    def close(self) -> None:
        """Give the room back."""
        self._file.close()

    def _flush(self) -> None:
        try:
            while self._waiting:
                written = os.pwrite(self._file.fileno(), self._waiting, self._written)
                self._written += written
                del self._waiting[:written]
        except OSError as error:
            raise DiskError(f"{self._folder}: {error.strerror}") from error
