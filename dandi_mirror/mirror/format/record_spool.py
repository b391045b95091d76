"""Records on disk while a sync runs: at three kilobytes each, those of a large Dandiset do not fit into memory."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from threading import Lock

from dandi_mirror.errors import DiskError
from dandi_mirror.files.own import OwnPath
from dandi_mirror.model import SpoolHandle

_LENGTH_BITS = 24  # a record is at most 8 MiB
_BUFFER = 1 << 20


def length_of(handle: SpoolHandle) -> int:
    """The number of bytes that are kept under a handle."""
    return handle & (1 << _LENGTH_BITS) - 1


class Spool:
    """A temporary file without a name that keeps byte strings; ``put`` returns the handle by which ``get`` finds one.

    One thread puts; any thread may get.
    """

    def __init__(self, folder: Path | OwnPath) -> None:
        try:
            if isinstance(folder, OwnPath):
                folder.make_folder()
            # the system removes it when it is closed, also if the process is killed
            self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115
        except OSError as error:
            raise DiskError.of(folder, error) from error
        self._folder = folder
        self._waiting = bytearray()
        self._writing = Lock()
        self._written = 0

    def put(self, content: bytes) -> SpoolHandle:
        """Keep ``content``; return its handle."""
        offset = self._written + len(self._waiting)
        self._waiting += content
        if len(self._waiting) >= _BUFFER:
            self._flush()
        return SpoolHandle(offset << _LENGTH_BITS | len(content))

    def get(self, handle: SpoolHandle) -> bytes:
        """The bytes that were put under this handle."""
        with self._writing:
            self._flush()
        return os.pread(self._file.fileno(), length_of(handle), handle >> _LENGTH_BITS)

    def close(self) -> None:
        """Close the file, which frees its space."""
        self._file.close()

    def _flush(self) -> None:
        try:
            while self._waiting:
                written = os.pwrite(self._file.fileno(), self._waiting, self._written)
                self._written += written
                del self._waiting[:written]
        except OSError as error:
            raise DiskError.of(self._folder, error) from error
