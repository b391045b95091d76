"""Keep a journal of the parts of an upload that have arrived, so that a later run can continue it.

The archive does not tell (decision 0024), so each upload of several parts has a file.  Only its owner can read it,
because it holds the presigned URLs of the parts.  It is deleted when the upload ends or the URLs expire.
The first line describes the upload, each other line one part: ``[NUMBER, MD5]``.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

import orjson

from dandi_mirror.archive.api.uploads import OpenUpload, UploadPart
from dandi_mirror.errors import DiskError, LockedError
from dandi_mirror.file_lock import NoLocks, try_lock
from dandi_mirror.files.not_ours import NotOurs
from dandi_mirror.files.own import OwnPath, own_path

SPARE = 600
"""Seconds for which the URLs must still be valid, to continue an upload."""


class UploadJournal:
    """The journal of one upload, locked against other processes."""

    def __init__(self, path: Path | OwnPath, whose: list[object]) -> None:
        """``whose``: archive, Dandiset and size; an earlier upload continues only if these are the same.

        Raises:
            LockedError: another process is uploading the file.
            DiskError: the journal cannot be written.
        """
        self._path = path = own_path(path)
        self._whose = whose
        try:
            self._descriptor = path.open(os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        except OSError as error:
            raise DiskError.of(path, error) from error
        with suppress(NoLocks):
            if not try_lock(self._descriptor, path):
                os.close(self._descriptor)
                raise LockedError("another process is uploading it; try again when that is done")

    def read(self) -> tuple[OpenUpload, dict[int, str]] | None:
        """The upload that an earlier run began, with the MD5 of each part that arrived, by its number from 0."""
        with suppress(OSError, ValueError, KeyError, TypeError):
            lines = _read(self._descriptor).split(b"\n")[:-1]
            first = orjson.loads(lines[0]) if lines else {}
            if first and first["of"] == self._whose and first["until"] > time.time() + SPARE:
                begun = OpenUpload(
                    first["upload"], tuple(UploadPart(size, url) for size, url in first["parts"]), first["until"]
                )
                return begun, {int(number): str(md5) for number, md5 in map(orjson.loads, lines[1:])}
        return None

    def begin(self, begun: OpenUpload) -> None:
        """Replace the journal by that of a new upload."""
        first = {
            "of": self._whose, "upload": begun.upload_id, "until": begun.until,
            "parts": [[part.size, part.url] for part in begun.parts],
        }  # fmt: skip
        try:
            os.ftruncate(self._descriptor, 0)
        except OSError as error:
            raise DiskError.of(self._path, error) from error
        self._append(first)

    def add(self, number: int, md5: str) -> None:
        """Record a part that has arrived.  Thread-safe."""
        self._append([number, md5])

    def close(self, *, over: bool) -> None:
        """Close the journal; with ``over``, delete it: no run will continue this upload."""
        if over:
            self._path.unlink()
        os.close(self._descriptor)

    def _append(self, line: object) -> None:
        try:
            # one write, so that a killed run leaves complete lines
            os.write(self._descriptor, orjson.dumps(line) + b"\n")
        except OSError as error:
            raise DiskError.of(self._path, error) from error


def sweep(folder: Path | OwnPath) -> None:
    """Delete the journals whose URLs have expired."""
    folder = own_path(folder)
    for path in map(folder.__truediv__, folder.names(".upload")):
        with suppress(OSError, NotOurs):
            first = path.read().partition(b"\n")[0]
            try:
                until = float(orjson.loads(first)["until"])
            except (ValueError, KeyError, TypeError):
                until = 0.0
            if until < time.time() and _is_free(path):
                path.unlink()


def _is_free(path: OwnPath) -> bool:
    with os.fdopen(path.open(os.O_RDONLY), "rb") as file:
        try:
            return try_lock(file.fileno(), path)
        except DiskError:
            return False


def _read(descriptor: int) -> bytes:
    os.lseek(descriptor, 0, os.SEEK_SET)
    pieces = []
    while piece := os.read(descriptor, 1 << 20):
        pieces.append(piece)
    return b"".join(pieces)
