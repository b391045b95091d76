"""List the files of a Zarr in the archive's bucket: S3's ``ListObjectVersions``, without a key, parts in parallel.

A list has pages of 1,000 versions, and S3 gives one after the other.  A large Zarr is therefore listed in ranges of
keys, whose ends are names of its folders.  A wrong guess of these ends costs time and loses nothing: each key belongs
to one range.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, replace
from itertools import islice, pairwise
from math import ceil
from threading import BoundedSemaphore, Lock
from urllib.parse import urlencode, urlsplit

from dandi_mirror.archive.bucket.page import Marker, NotAListing, VersionsPage, read_page
from dandi_mirror.archive.http.session import Session
from dandi_mirror.archive.zarr_entry import ZarrEntry
from dandi_mirror.errors import BadAnswerError, CredentialsError, PartError

AT_ONCE = 16
"""Requests at a time, however many folders are listed: most Zarrs have one page, a large one has 1,300."""
IN_RANGES = 4
"""Folders at a time that are listed in ranges; each has pages that wait for their turn."""
PAGES_EACH = 4
"""Pages that a range should have."""
READ_AHEAD = 6
"""Pages of a range that are read before it is its turn: this limits the memory."""
LARGEST_PAGE = 16 * 1024 * 1024  # bytes
MOST_PAGES = 100_000
_ROUNDS = 8
"""So deep the folders are looked through for the ends of ranges."""
_OWN_HOST = re.compile(r"[a-z0-9.-]+\.s3(?:[.-][a-z0-9-]+)?\.amazonaws\.com")
"""The host of a bucket by itself; at other hosts, the first part of the path names the bucket."""


class CannotList(PartError):
    """The bucket does not let the program list it."""


@dataclass(frozen=True, slots=True)
class BucketFolder:
    """A folder in a bucket."""

    bucket: str
    """URL of the bucket, with a slash at its end."""
    prefix: str
    """Of the keys in the folder, with a slash at its end."""

    @classmethod
    def at(cls, url: str) -> BucketFolder | None:
        """The folder at the URL that a Zarr's record gives; None if that is no folder of a bucket."""
        parts = urlsplit(url)
        path = parts.path.strip("/") + "/"
        own = parts.hostname is not None and _OWN_HOST.fullmatch(parts.hostname) is not None
        name, _, key = ("", "", path) if own else path.partition("/")
        if not key.strip("/") or (not own and not name) or parts.query:
            return None
        bucket = f"{parts.scheme}://{parts.netloc}/"
        return cls(bucket if own else f"{bucket}{name}/", key)


class BucketLister:
    """Lists folders of buckets; several threads may use it."""

    def __init__(self, session: Session, at_once: int = AT_ONCE) -> None:
        self._session = session
        self._pool = ThreadPoolExecutor(at_once, thread_name_prefix="bucket")
        self._at_once = at_once
        self._refusals: dict[str, str] = {}
        """Bucket → why it does not let the program list it; empty if it does."""
        self._asking = Lock()
        self._in_ranges = BoundedSemaphore(IN_RANGES)

    def close(self) -> None:
        """Make no further requests."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def entries(self, folder: BucketFolder, expected: int) -> Iterator[ZarrEntry]:
        """The files in a folder, in the order of their keys; ``expected`` is about how many there are.

        Raises:
            CannotList: the bucket refuses, or is no bucket of S3.
            BadAnswerError: its pages contradict each other.
            TemporaryError: it does not answer.
        """
        first = self._first(folder)
        start = len(folder.prefix)
        for entry in self._all(folder, first, expected):
            if len(entry.path) > start:  # the folder itself can be an object, too
                yield entry._replace(path=entry.path[start:])

    def _first(self, folder: BucketFolder) -> VersionsPage:
        if folder.bucket not in self._refusals:
            with self._asking:  # a bucket that refuses is asked once, however many threads want to list it
                if folder.bucket not in self._refusals:
                    return self._judged(folder)
        if why := self._refusals[folder.bucket]:
            raise CannotList(why)
        return self._judged(folder)

    def _judged(self, folder: BucketFolder) -> VersionsPage:
        """The first page; and it is noted whether the bucket lets the program list it."""
        try:
            page = self._first_page(folder)
        except (CredentialsError, PartError, NotAListing) as error:
            self._refusals[folder.bucket] = str(error)
            raise CannotList(str(error)) from None
        self._refusals[folder.bucket] = ""
        return page

    def _first_page(self, folder: BucketFolder) -> VersionsPage:
        try:
            return self._page(folder, Marker())
        except NotAListing:
            return self._page(folder, Marker())  # half a response, perhaps

    def _all(self, folder: BucketFolder, first: VersionsPage, expected: int) -> Iterator[ZarrEntry]:
        if not first.following:
            yield from first.entries
            return
        with self._in_ranges if expected > 1000 * PAGES_EACH else nullcontext():
            yield from self._in_parts(folder, first, self._ends(folder, expected))

    def _in_parts(self, folder: BucketFolder, first: VersionsPage, ends: list[str]) -> Iterator[ZarrEntry]:
        starts = pairwise(["", *ends, ""])
        ranges = [self._range(folder, start, end, None if start else first) for start, end in starts]
        waiting: list[tuple[Future[list[list[ZarrEntry]]], Iterator[list[ZarrEntry]]]] = []
        following = iter(ranges)
        try:
            waiting += [self._begun(pages) for pages in islice(following, self._at_once)]
            while waiting:
                ahead, rest = waiting.pop(0)
                for page in ahead.result():
                    yield from page
                for page in rest:
                    yield from page
                waiting += [self._begun(pages) for pages in islice(following, 1)]
        finally:
            for ahead, _ in waiting:
                ahead.cancel()

    def _begun(
        self, pages: Iterator[list[ZarrEntry]]
    ) -> tuple[Future[list[list[ZarrEntry]]], Iterator[list[ZarrEntry]]]:
        return self._pool.submit(lambda: list(islice(pages, READ_AHEAD))), pages

    def _range(
        self, folder: BucketFolder, start: str, end: str, first: VersionsPage | None
    ) -> Iterator[list[ZarrEntry]]:
        """The files with keys after ``start`` up to ``end`` (empty: no limit), page by page."""
        after: Marker | None = Marker(start)
        last = ""
        for _ in range(MOST_PAGES):
            assert after is not None
            page = first or self._page(folder, after)
            first = None
            if page.entries and page.entries[0].path <= last:
                raise BadAnswerError(f"{folder.prefix}: the bucket lists {last!a:.200} twice")
            last = page.entries[-1].path if page.entries else last
            after = page.following
            if end and last > end:
                yield [entry for entry in page.entries if entry.path <= end]
                return
            yield page.entries
            if after is None or (end and after.key >= end):
                return
        raise BadAnswerError(f"{folder.prefix}: the bucket's list does not end")

    def _ends(self, folder: BucketFolder, expected: int) -> list[str]:
        """Keys that divide the folder into ranges: names of folders in it, from the top down until there are enough."""
        wanted = min(ceil(expected / (1000 * PAGES_EACH)), 1000)
        if wanted < 2:
            return []
        found: list[str] = []
        level = [folder.prefix]
        for _ in range(_ROUNDS):
            if len(found) >= wanted or not level:
                break
            pages = self._pool.map(lambda inner: self._folders(replace(folder, prefix=inner)), level[: self._at_once])
            level = [inner for page in pages for inner in page]
            found += level
        # without the slash at its end, a name is no key of the folder
        ends = sorted({inner.rstrip("/") for inner in found})
        return ends[:: ceil(len(ends) / wanted)][1:] if ends else []

    def _folders(self, folder: BucketFolder) -> list[str]:
        return self._page(folder, Marker(), delimiter="/").folders

    def _page(self, folder: BucketFolder, after: Marker, delimiter: str = "") -> VersionsPage:
        query = {"prefix": folder.prefix, "encoding-type": "url", "max-keys": "1000"}
        query |= {"delimiter": delimiter} if delimiter else {}
        query |= {"key-marker": after.key} if after.key else {}
        query |= {"version-id-marker": after.version_id} if after.version_id else {}
        url = f"{folder.bucket}?versions&{urlencode(query)}"
        return read_page(self._session.content(url, LARGEST_PAGE), folder.prefix, after, folder.prefix)
