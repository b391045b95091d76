"""List the entries of Zarrs whose states are new, and keep each state's manifest as soon as it is complete.

A run that is killed goes on where it was: a state that has a manifest is never listed again.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing
from threading import Lock

from dandi_mirror.archive.api.zarrs import ListedZarr, api_entries, zarr_state
from dandi_mirror.archive.bucket.listing import AT_ONCE, BucketFolder, BucketLister, CannotList
from dandi_mirror.archive.zarr_entry import ZarrEntry
from dandi_mirror.errors import BadAnswerError, DiskError, MirrorError
from dandi_mirror.mirror.state.options import Progress
from dandi_mirror.mirror.sync.context import SyncContext, check_time_limit
from dandi_mirror.mirror.zarr.entries import BadEntry, Disorder
from dandi_mirror.mirror.zarr.manifests import ChecksumMismatch

TRIES = 3
"""How often a Zarr is listed that changes meanwhile, before it waits for the next run."""
EVERY = 1000
"""Entries after which the progress and the time limit are looked at."""
_OFTEN = 0.2  # seconds between two words of progress


class ZarrProgress:
    """Counts Zarrs and entries for whoever watches: ``Zarrs 120 of 4,244, 3.1 million entries``."""

    def __init__(self, dandiset: str, total: int, progress: Progress) -> None:
        self._dandiset, self._total, self._progress = dandiset, total, progress
        self._zarrs = self._entries = 0
        self._next = 0.0
        self._lock = Lock()

    def add(self, *, zarrs: int = 0, entries: int = 0) -> None:
        """So many more are done."""
        with self._lock:
            self._zarrs += zarrs
            self._entries += entries
            if (now := time.monotonic()) < self._next:
                return
            self._next = now + _OFTEN
            words = f"Zarrs {self._zarrs:,} of {self._total:,}, {spoken(self._entries)} entries"
        self._progress(self._dandiset, words)


def spoken(count: int) -> str:
    """A number as one says it: ``12,345`` or ``3.1 million``."""
    return f"{count / 1e6:.1f} million" if count >= 1_000_000 else f"{count:,}"


class ZarrLister:
    """Lists the Zarrs of one Dandiset in one sync."""

    def __init__(self, sync: SyncContext, progress: ZarrProgress) -> None:
        self._sync = sync
        self._manifests = sync.mirror.manifests
        self._progress = progress
        self._bucket = BucketLister(sync.archive.session)

    def close(self) -> None:
        """Make no further requests."""
        self._bucket.close()

    def list(self, zarr: ListedZarr, url: str | None) -> tuple[str, str]:
        """Write the manifest of a Zarr's state as the archive has it now; its checksum, and why there is none.

        ``url`` is that of its folder in the bucket, if there is one.

        Raises:
            DiskError: the manifest cannot be written.
            OutOfTime: the time limit has come.
        """
        reason = ""
        try:
            for attempt in range(TRIES):
                try:
                    self._add(zarr, url)
                    return zarr.checksum, ""
                except (ChecksumMismatch, BadAnswerError, BadEntry, Disorder) as error:
                    reason = f"its entries were not listed: {error}"
                    # what does not fit will not fit the next time either, unless the Zarr has changed
                    final = attempt > 0 or isinstance(error, ChecksumMismatch)
                before, zarr = zarr, zarr_state(self._sync.archive, zarr.zarr_id)
                if not zarr.checksum:
                    return "", changing(zarr)
                if final and zarr.checksum == before.checksum:
                    break
        except DiskError:
            raise
        except MirrorError as error:
            reason = reason or f"its entries were not listed: {error}"
        return "", reason

    def _add(self, zarr: ListedZarr, url: str | None) -> None:
        folder = None if self._sync.closed or url is None else BucketFolder.at(url)
        if folder and folder.prefix.endswith(f"/{zarr.zarr_id}/"):
            try:
                entries = self._watched(self._bucket.entries(folder, zarr.file_count))
                self._manifests.add(zarr.zarr_id, zarr.checksum, entries, "s3")
                return
            except CannotList:
                pass
        entries = self._watched(api_entries(self._sync.archive, zarr.zarr_id))
        self._manifests.add(zarr.zarr_id, zarr.checksum, entries, "api")

    def _watched(self, entries: Iterable[ZarrEntry]) -> Iterator[ZarrEntry]:
        """The entries; counts them, and stops when the time is over."""
        count = 0
        for entry in entries:
            yield entry
            count += 1
            if count == EVERY:
                self._progress.add(entries=count)
                count = 0
                check_time_limit(self._sync)
        self._progress.add(entries=count)


def changing(zarr: ListedZarr) -> str:
    """Why a Zarr without a checksum has to wait."""
    return f"the archive has no checksum for it yet (it is {zarr.status or 'changing'})"


def list_new(
    sync: SyncContext, zarrs: Mapping[str, ListedZarr], urls: Mapping[str, str | None]
) -> dict[str, tuple[str, str]]:
    """List the entries of these Zarrs; zarr_id → checksum of the state that was listed, and why there is none.

    Raises as :meth:`ZarrLister.list`.
    """
    progress = ZarrProgress(sync.dandiset, len(zarrs), sync.options.progress)
    found: dict[str, tuple[str, str]] = {}
    with closing(ZarrLister(sync, progress)) as lister, ThreadPoolExecutor(AT_ONCE, thread_name_prefix="zarrs") as pool:
        begun = {pool.submit(lister.list, zarr, urls[zarr_id]): zarr_id for zarr_id, zarr in zarrs.items()}
        try:
            for done in as_completed(begun):
                found[begun[done]] = done.result()
                progress.add(zarrs=1)
                check_time_limit(sync)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return found
