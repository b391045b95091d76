"""Bring a Zarr of the archive to the state of a folder: delete and send entries, and have the checksum computed.

Whatever ends a run, the next one lists what the archive has, and sends the rest.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Collection, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from dandi_mirror.archive.api import zarr_uploads as api
from dandi_mirror.archive.api.client import ArchiveClient
from dandi_mirror.archive.api.uploads import UploadClosed, put_bytes
from dandi_mirror.archive.api.zarr_uploads import DELETED_AT_ONCE
from dandi_mirror.archive.api.zarrs import COMPLETE, PENDING, ListedZarr, api_entries, zarr_state
from dandi_mirror.archive.content.putting import ObjectPutter
from dandi_mirror.archive.http.retry import LATER
from dandi_mirror.archive.http.retrying_client import RequestRefused
from dandi_mirror.errors import IntegrityError, PartError, TemporaryError
from dandi_mirror.upload.send.types import Bytes, SendContext, SendingStopped
from dandi_mirror.upload.zarrs.local import CHANGED, LocalEntry, LocalZarr
from dandi_mirror.upload.zarrs.plan import EntryChanges, batches, plan_entries

ROUNDS = 3
"""How often a Zarr is compared and changed, if its checksum is not the one that was computed here."""
ANEW = 3
"""How often new URLs are asked for, because the first have expired."""
SMALL = 1 << 20
"""Bytes of an entry that is read at once."""
JSON_NAMES = frozenset({".zarray", ".zattrs", ".zgroup", ".zmetadata", "zarr.json"})
_FIRST, _LONGEST = 0.1, 10.0
"""Seconds between two looks at the checksum: at first, and at most."""


@dataclass(frozen=True, slots=True)
class ZarrTask:
    """A Zarr to be sent."""

    path: str
    """Of the asset."""
    local: LocalZarr
    zarr_id: str = ""
    """The Zarr that the asset has; empty if there is to be a new one."""
    changes: EntryChanges | None = None
    """What was found when the upload was planned; None if nobody has looked."""
    taken: Collection[str] = ()
    """Zarrs that assets have; a new one must be none of them."""


@dataclass(frozen=True, slots=True)
class SentZarr:
    """A Zarr that the archive has in the state of the folder."""

    zarr_id: str
    bytes_sent: int
    """By this run."""


class ZarrSender:
    """Sends the Zarrs of one upload; several threads may call :meth:`send`."""

    def __init__(self, archive: ArchiveClient, means: SendContext, dandiset: str, jobs: int, wait: float) -> None:
        """``jobs``: requests at a time; ``wait``: seconds that the archive has to compute a checksum."""
        self._archive = archive
        self._means = means
        self._dandiset = dandiset
        self._jobs = jobs
        self._wait = wait
        self._putter = ObjectPutter(means.session)
        self._pool = ThreadPoolExecutor(jobs, thread_name_prefix="entries")

    def close(self) -> None:
        """End all threads; what has arrived stays in the archive."""
        self._means.stopped.set()
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._putter.close()

    def opened(self, task: ZarrTask) -> tuple[ListedZarr, bool]:
        """The archive's Zarr, made if necessary; whether it may have entries."""
        archive, path = self._archive, task.path
        if task.zarr_id:
            return zarr_state(archive, task.zarr_id), True
        made, used = api.create_zarr(archive, self._dandiset, path)
        if made.zarr_id in task.taken:
            # an asset that was renamed keeps its Zarr, and that keeps its name
            return api.create_zarr(archive, self._dandiset, api.free_name(archive, self._dandiset, path))
        return made, used

    def send(self, task: ZarrTask, there: ListedZarr, used: bool) -> SentZarr:
        """Make the Zarr ``there`` what the folder is.

        Raises:
            MirrorError: it could not be done; the Zarr may be Pending.
        """
        local, sent = task.local, 0
        changes = task.changes if used else plan_entries(local.entries, {})
        for _ in range(ROUNDS):
            there = self._computed(there)
            if there.status == COMPLETE and there.checksum == local.checksum:
                self._means.meter.add(passed=local.size - sent)
                return SentZarr(there.zarr_id, sent)
            changes = changes or self.compared(local, there.zarr_id)
            if changes.is_empty and there.status == COMPLETE:
                break
            sent += self._change(there.zarr_id, local, changes)
            local.check_unchanged()
            api.finalize(self._archive, there.zarr_id)
            there, changes = zarr_state(self._archive, there.zarr_id), None
        raise IntegrityError(
            f"the archive's checksum {there.checksum} is not that of the folder, {local.checksum}; {LATER}"
        )

    def compared(self, local: LocalZarr, zarr_id: str) -> EntryChanges:
        """The changes that are left, as the archive lists its entries."""
        return compare_with(self._archive, local, zarr_id)

    def _computed(self, there: ListedZarr) -> ListedZarr:
        """The Zarr when the archive does not compute its checksum any more."""
        waited, pause = 0.0, _FIRST
        while there.status not in {PENDING, COMPLETE}:
            if waited >= self._wait:
                raise TemporaryError(f"the archive has not computed the checksum in {self._wait:.0f} seconds; {LATER}")
            if self._means.stopped.wait(pause):
                raise SendingStopped
            waited, pause = waited + pause, min(2 * pause, _LONGEST)
            there = zarr_state(self._archive, there.zarr_id)
        return there

    def _change(self, zarr_id: str, local: LocalZarr, changes: EntryChanges) -> int:
        self._delete(zarr_id, changes.first)
        sent = self._put(zarr_id, local, changes.put)
        self._delete(zarr_id, changes.last)
        return sent

    def _delete(self, zarr_id: str, paths: tuple[str, ...]) -> None:
        rest = iter(paths)
        while some := list(islice(rest, DELETED_AT_ONCE)):
            if self._means.stopped.is_set():
                raise SendingStopped
            api.delete_entries(self._means.session, zarr_id, some)

    def _put(self, zarr_id: str, local: LocalZarr, numbers: tuple[int, ...]) -> int:
        """Send entries, several batches at a time; the bytes."""
        failed = threading.Event()
        sizes = ((number, local.entries[number].size) for number in numbers)
        most = -(-len(numbers) // self._jobs)
        batch = _Batches(self._means, self._putter, zarr_id, local, failed)
        sending: list[Future[None]] = [self._pool.submit(batch.send, some) for some in batches(sizes, most)]
        try:
            for done in as_completed(sending):
                done.result()
        except BaseException:
            failed.set()
            for future in sending:
                future.cancel()
            raise
        return sum(local.entries[number].size for number in numbers)


def compare_with(archive: ArchiveClient, local: LocalZarr, zarr_id: str) -> EntryChanges:
    """The changes that make a Zarr what the folder is; an empty id is that of a new one."""
    listed = api_entries(archive, zarr_id) if zarr_id else ()
    return plan_entries(local.entries, {entry.path: (entry.size, entry.etag) for entry in listed})


@dataclass(frozen=True, slots=True)
class _Batches:
    """Sends batches of the entries of one Zarr."""

    means: SendContext
    putter: ObjectPutter
    zarr_id: str
    local: LocalZarr
    failed: threading.Event

    def send(self, numbers: list[int]) -> None:
        """Send some entries; asks for other URLs if these expire."""
        for _ in range(ANEW):
            entries = [self.local.entries[number] for number in numbers]
            urls = api.sign(self.means.session, self.zarr_id, [(entry.path, entry.md5) for entry in entries])
            numbers = [
                number for number, entry, url in zip(numbers, entries, urls, strict=True) if not self._one(entry, url)
            ]
            if not numbers:
                return
        raise TemporaryError(f"the archive's URLs expire before {entries[0].path} is sent; {LATER}")

    def _one(self, entry: LocalEntry, url: str) -> bool:
        """Send an entry; false if the URL has expired."""
        if self.means.stopped.is_set() or self.failed.is_set():
            raise SendingStopped
        try:
            with _opened(self.local.file(entry)) as descriptor:
                return self._send(entry, url, descriptor)
        except OSError as error:
            raise PartError(f"{entry.path} in it cannot be read any more ({error.strerror})") from error

    def _send(self, entry: LocalEntry, url: str, descriptor: int) -> bool:
        headers = api.headers_for(url, entry.md5)
        body: bytes | Bytes = Bytes(descriptor, 0, entry.size, self.means)
        if entry.size <= SMALL:
            body = os.pread(descriptor, SMALL + 1, 0)
            if len(body) != entry.size:
                raise PartError(f"{entry.path} {CHANGED}")
            if entry.path.rpartition("/")[2] in JSON_NAMES and _is_json(body):
                headers["Content-Type"] = "application/json"
        try:
            arrived = put_bytes(self.means.session, url, body, headers, self.putter.put)
        except UploadClosed:
            return self._forgotten(body)
        except RequestRefused:
            self._forgotten(body)
            self.local.check_unchanged()
            raise
        if arrived != entry.md5:
            raise PartError(f"S3 received other bytes of {entry.path} than we sent; {LATER}")
        if isinstance(body, bytes):
            self.means.meter.add(sent=entry.size, passed=entry.size)
        return True

    @staticmethod
    def _forgotten(body: bytes | Bytes) -> bool:
        if isinstance(body, Bytes):
            body.forget()
        return False


@contextmanager
def _opened(file: Path) -> Iterator[int]:
    descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _is_json(content: bytes) -> bool:
    try:
        json.loads(content)
    except ValueError:
        return False
    return True
