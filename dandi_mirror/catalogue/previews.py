"""Previews of NWB files and Zarrs: made once for each content, in the worker that reads hostile files, kept by digest.

What the worker tells comes from the file, so it is read here against a strict form; pages get numbers and text alone.
"""

from __future__ import annotations

import stat
from contextlib import ExitStack, suppress
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import NamedTuple, Protocol, Self

import msgspec
import orjson

from dandi_mirror.catalogue.parts import REQUESTS, Budget, RemoteFile, RemoteZarr, blocks_of, entries_of, listed
from dandi_mirror.catalogue.preview_form import VERSION, Preview, checked, page_value
from dandi_mirror.catalogue.scripts import data_script
from dandi_mirror.errors import CredentialsError, DiskError, IntegrityError, PartError, TemporaryError
from dandi_mirror.files.own import OwnPath
from dandi_mirror.repo.annex.repository import copies
from dandi_mirror.upload.read.worker import FileError, Limits, Worker

FOLDER = "previews"
"""The folder in a mirror's ``.dandi-mirror``."""
LIMITS = Limits(seconds=60.0, memory=2 << 30)
"""What one file may take."""
NOT_NOW = (TemporaryError, PartError, CredentialsError, IntegrityError)
"""Why a part of one file did not come from the archive; other errors are not about one file."""
REMEMBERED = 1000
"""Failures by parts."""
UNREADABLE = "There is no preview of this file"


def script_name(digest: str) -> str:
    """The file name of the script with the preview of a content."""
    return f"preview-{VERSION}-{digest[:32]}.js"


def is_previewed(path: str) -> bool:
    """Whether files of this name have previews."""
    return path.endswith(".nwb")


class Wanted(NamedTuple):
    """A file or a Zarr that a page shows."""

    path: str
    size: int
    digest: str
    """The SHA-256 of a file, the checksum of a Zarr."""
    zarr: str
    """The id of a Zarr."""


class Source(Protocol):
    """Finds content that previews are made from; of a Dandiset under embargo only as its owner."""

    def file(
        self, dandiset: str, path: str, size: int, sha256: str, *, embargoed: bool = False
    ) -> Path | RemoteFile | None:
        """The content of a file; None if it is not here and no request is sent."""

    def zarr(self, dandiset: str, zarr_id: str, checksum: str, *, embargoed: bool = False) -> RemoteZarr | None:
        """The entries of a Zarr; None if none is here and no request is sent."""


class Previews:
    """The previews of a mirror's files; the worker is started for the first that has none yet."""

    def __init__(self, folder: OwnPath, jobs: int = 1, source: Source | None = None) -> None:
        """``folder``: where previews are kept; ``source``: where content is found."""
        self._folder, self._jobs = folder / str(VERSION), jobs
        self._source = source
        self._open = ExitStack()
        self._worker: Worker | None = None
        self._starting = Lock()
        self._stopped = False
        self._failed: dict[str, Preview] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the worker."""
        self._open.close()
        self._worker = None

    @property
    def is_stopped(self) -> bool:
        """Whether nothing is read any more."""
        return self._stopped

    def stop(self) -> None:
        """End what is being read now, and refuse to read more; from any thread."""
        self._stopped = True
        if self._worker:
            self._worker.stop()

    def script(self, digest: str, file: Path | RemoteFile | RemoteZarr) -> bytes:
        """The script with the preview of content with this SHA-256, or of a Zarr with this checksum.

        A ``file`` that is not a path is read by parts: of a file a few ranges, of a Zarr a few entries.

        Raises:
            DiskError: it cannot be kept.
            FileError: reading was stopped.
            MirrorError: what should come from the archive did not; nothing is kept.
        """
        preview = self._kept(digest)
        if not preview or preview.grade == 0 or preview.grade < _grade(file):
            preview = self._made(digest, file)
        return data_script(script_name(digest).removesuffix(".js"), page_value(preview))

    def look(self, dandiset: str, wanted: Wanted, *, embargoed: bool = False) -> bytes:
        """The script with the preview of a file or a Zarr, from wherever its content may be read.

        Raises:
            MirrorError: as :meth:`script`.
        """
        found: Path | RemoteFile | RemoteZarr | None = None
        if self._source and wanted.zarr:
            found = self._source.zarr(dandiset, wanted.zarr, wanted.digest, embargoed=embargoed)
        elif self._source:
            found = self._source.file(dandiset, wanted.path, wanted.size, wanted.digest, embargoed=embargoed)
        if found is None:
            return self.error_script(wanted.digest, "its content is not in this mirror")
        return self.script(wanted.digest, found)

    def error_script(self, digest: str, why: str) -> bytes:
        """A script that says why there is no preview now."""
        return data_script(script_name(digest).removesuffix(".js"), {"error": f"There is no preview now: {why}"[:1000]})

    def _kept(self, digest: str) -> Preview | None:
        with suppress(OSError, msgspec.DecodeError):
            return checked(self._place(digest).read())
        return self._failed.get(digest)

    def _made(self, digest: str, file: Path | RemoteFile | RemoteZarr) -> Preview:
        budget, failed = Budget(), False
        try:
            preview = checked(orjson.dumps(self._asked(file, budget)))
        except FileError as error:
            if self._stopped:
                raise  # it says nothing about the file
            why = "its content is not in this mirror" if budget.lacking else str(error)
            preview, failed = Preview(error=f"{UNREADABLE}: {why}"[:1000]), True
        except (msgspec.DecodeError, TypeError, orjson.JSONEncodeError):
            preview = Preview(error=f"{UNREADABLE}: what it says about itself is not in the form of a preview")
            failed = True
        if budget.error:
            raise budget.error
        grade = _grade(file)
        if isinstance(file, RemoteZarr):
            grade = 0 if budget.lacking else 1 if budget.spent else 2
        asked = budget.requests < REQUESTS
        preview = msgspec.structs.replace(preview, ranges=asked, spent=budget.spent, grade=grade)
        if failed and not isinstance(file, Path):
            # other bytes than the file's may have come; the file itself is looked into when it is here
            self._remember(digest, preview)
            return preview
        place = self._place(digest)
        try:
            place.replace(msgspec.json.encode(preview), to_disk=False)
        except OSError as error:
            raise DiskError.of(place, error) from error
        return preview

    def _asked(self, file: Path | RemoteFile | RemoteZarr, budget: Budget) -> dict[str, object]:
        worker = self._started()
        if isinstance(file, Path):
            return worker.preview(file)
        if isinstance(file, RemoteZarr):
            return worker.preview_of_zarr(listed(file), entries_of(file, budget))
        return worker.preview_of_blocks(file.size, file.block, blocks_of(file, budget))

    def _remember(self, digest: str, preview: Preview) -> None:
        """Keep a failure until the process ends, so that who asks again does not make the same requests."""
        if len(self._failed) >= REMEMBERED:
            self._failed.clear()
        self._failed[digest] = preview

    def _started(self) -> Worker:
        with self._starting:
            if self._stopped:
                raise FileError("the run was ended")
            self._worker = self._worker or self._open.enter_context(Worker(self._jobs, LIMITS))
            return self._worker

    def _place(self, digest: str) -> OwnPath:
        return self._folder / digest[:2] / f"{digest}.json"


def _grade(file: Path | RemoteFile | RemoteZarr) -> int:
    """How good a preview of it can be at least."""
    return 2 if isinstance(file, Path) else 1 if isinstance(file, RemoteFile) or file.asks else 0


def content_file(git_dir: Path, key: str) -> Path | None:
    """The file with the content of a key in git-annex's store, which is no link; None if there is none."""
    for place in copies(git_dir / "annex" / "objects", key):
        with suppress(OSError):
            if stat.S_ISREG(place.lstat().st_mode):
                return place
    return None
