"""Pages of S3's lists: ``ListObjectVersions`` and ``ListObjectsV2``.  Pure.

Source: the S3 API reference, and a recorded answer of the archive's server.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from dandi_mirror.embedded.bucket.zarr_files import FileVersion

MOST_KEYS = 1000
Keys = Callable[[str, str], Iterator[str]]
"""``keys(prefix, start)``: the sorted keys from ``start`` on that begin with ``prefix``."""
Versions = Callable[[str], list[FileVersion]]
"""All versions of a key, newest first."""


class BadListError(Exception):
    """A parameter of a list that S3 refuses; its message."""


class BucketEntry(NamedTuple):
    """One version in a list."""

    key: str
    version: FileVersion
    latest: bool


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a list shows: keys with ``prefix``, rolled up at ``delimiter``, from behind the two markers on."""

    prefix: str = ""
    delimiter: str = ""
    key_marker: str = ""
    version_marker: str = ""
    most: int = MOST_KEYS

    @classmethod
    def versions(cls, query: Mapping[str, str], most: int = MOST_KEYS) -> Wanted:
        """The parameters of ``ListObjectVersions``; a page has ``most`` entries at most.

        Raises:
            BadListError: S3 refuses one.
        """
        marker, version = query.get("key-marker", ""), query.get("version-id-marker", "")
        if version and not marker:
            raise BadListError("A version-id marker cannot be specified without a key marker.")
        return cls(query.get("prefix", ""), query.get("delimiter", ""), marker, version, _most(query, most))

    @classmethod
    def objects(cls, query: Mapping[str, str], most: int = MOST_KEYS) -> Wanted:
        """The parameters of ``ListObjectsV2``.

        Raises:
            BadListError: S3 refuses one.
        """
        token = query.get("continuation-token", "")
        start = _key_of(token) if token else query.get("start-after", "")
        return cls(query.get("prefix", ""), query.get("delimiter", ""), start, "", _most(query, most))


@dataclass(slots=True)
class BucketPage:
    """One page: versions, and the folders that ``delimiter`` makes of the rest."""

    entries: list[BucketEntry]
    folders: list[str]
    truncated: bool = False

    def next_markers(self) -> tuple[str, str]:
        """Key and version id behind which the next page begins; a folder has no version."""
        last = self.entries[-1] if self.entries else None
        if self.folders and (last is None or self.folders[-1] > last.key):
            return self.folders[-1], ""
        return (last.key, last.version.version_id) if last else ("", "")


def token_of(key: str) -> str:
    """The token of the page that begins behind ``key``."""
    return base64.urlsafe_b64encode(key.encode(errors="surrogatepass")).decode()


def _key_of(token: str) -> str:
    try:
        return base64.urlsafe_b64decode(token).decode(errors="surrogatepass")
    except ValueError:
        raise BadListError("The continuation token provided is incorrect") from None


def versions_page(wanted: Wanted, keys: Keys, versions: Versions) -> BucketPage:
    """A page of ``ListObjectVersions``: old versions and delete markers too.

    Raises:
        BadListError: the version id marker names no version of its key.
    """
    return _page(wanted, _all_versions(wanted, keys, versions))


def objects_page(wanted: Wanted, keys: Keys, newest: Callable[[str], FileVersion | None]) -> BucketPage:
    """A page of ``ListObjectsV2``: the current version of each key that is not deleted."""

    def current(key: str) -> list[FileVersion]:
        return [found] if (found := newest(key)) is not None and found.content is not None else []

    def existing(prefix: str, start: str) -> Iterator[str]:
        return (key for key in keys(prefix, start) if current(key))

    return _page(wanted, _all_versions(wanted, existing, current))


def _page(wanted: Wanted, found: Iterator[BucketEntry | str]) -> BucketPage:
    page = BucketPage([], [])
    if not wanted.most:
        return page
    for count, one in enumerate(found):
        if count == wanted.most:
            page.truncated = True
            break
        if isinstance(one, str):
            page.folders.append(one)
        else:
            page.entries.append(one)
    return page


def _all_versions(wanted: Wanted, keys: Keys, versions: Versions) -> Iterator[BucketEntry | str]:
    """Each version behind the markers, and each folder as a text."""
    for key, is_folder in _rolled_up(wanted, keys):
        if is_folder:
            yield key
            continue
        rest, newest = versions(key), True
        if wanted.version_marker and key == wanted.key_marker:
            rest, newest = _behind(rest, wanted.version_marker), False
        for version in rest:
            yield BucketEntry(key, version, newest)
            newest = False


def _rolled_up(wanted: Wanted, keys: Keys) -> Iterator[tuple[str, bool]]:
    """The keys, or the folders in their place (True)."""
    start = wanted.key_marker if wanted.version_marker or not wanted.key_marker else wanted.key_marker + "\0"
    while True:
        for key in keys(wanted.prefix, start):
            end = key.find(wanted.delimiter, len(wanted.prefix)) if wanted.delimiter else -1
            if end < 0:
                yield key, False
                continue
            folder = key[: end + len(wanted.delimiter)]
            if folder > wanted.key_marker:
                yield folder, True
            start = folder[:-1] + chr(ord(folder[-1]) + 1)
            break
        else:
            return


def _behind(versions: list[FileVersion], marker: str) -> list[FileVersion]:
    ids = [version.version_id for version in versions]
    if marker not in ids:
        raise BadListError("Invalid version id specified")
    return versions[ids.index(marker) + 1 :]


def _most(query: Mapping[str, str], most: int) -> int:
    text = query.get("max-keys", "") or str(MOST_KEYS)
    if not text.isdecimal():
        raise BadListError("Provided max-keys not an integer or within integer range")
    return min(int(text), most)
