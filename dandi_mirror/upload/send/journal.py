"""Which parts of an upload have arrived, over the end of any run.

The archive does not say it (decision 0024), so it is noted here: a file for each upload of several parts, readable by
its owner only, because the presigned URLs of the parts are in it.  It goes when the upload ends, and when the URLs do.
Its first line is the upload, each other one a part: ``[NUMBER, MD5]``.
"""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import suppress
from pathlib import Path

import orjson

from dandi_mirror.archive.api.uploads import OpenUpload, UploadPart
from dandi_mirror.errors import DiskError, LockedError
from dandi_mirror.files.own import NotOurs, OwnPath, own_path

SPARE = 600
"""Seconds that the URLs must be good for, if an upload is to go on."""


class Arrived:
    """An upload's note, locked against other processes."""

    def __init__(self, path: Path | OwnPath, whose: list[object]) -> None:
        """``whose``: what the upload must be of to go on (archive, Dandiset, size).

        Raises:
            LockedError: another process is at it.
            DiskError: it cannot be written.
        """
        self._path = path = own_path(path)
        self._whose = whose
        try:
            self._descriptor = path.open(os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        except OSError as error:
            raise DiskError.of(path, error) from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._descriptor)
            raise LockedError("another process is uploading it; try again when that is done") from None
        except OSError:
            pass  # a file system without locks

    def read(self) -> tuple[OpenUpload, dict[int, str]] | None:
        """The upload that an earlier run began, and the MD5 of each part that arrived, by its number from 0."""
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
        """Forget what there was, and note a new upload."""
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
        """Note a part that has arrived; by any thread."""
        self._append([number, md5])

    def close(self, *, over: bool) -> None:
        """Let go of it; ``over``: nothing is to go on."""
        if over:
            self._path.unlink()
        os.close(self._descriptor)

    def _append(self, line: object) -> None:
        try:
            # in one write: a kill leaves whole lines
            os.write(self._descriptor, orjson.dumps(line) + b"\n")
        except OSError as error:
            raise DiskError.of(self._path, error) from error


def sweep(folder: Path | OwnPath) -> None:
    """Delete the notes whose URLs have ended."""
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
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True


def _read(descriptor: int) -> bytes:
    os.lseek(descriptor, 0, os.SEEK_SET)
    pieces = []
    while piece := os.read(descriptor, 1 << 20):
        pieces.append(piece)
    return b"".join(pieces)
