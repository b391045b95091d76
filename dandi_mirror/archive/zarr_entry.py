"""An entry of a Zarr as a bucket or the API lists it, and the checks of its fields.  Pure."""

from __future__ import annotations

import re
from typing import NamedTuple

MOST_ENTRIES = 10_000_000
"""Entries of one Zarr; more is an error of the archive, or of a manifest."""
LARGEST_OBJECT = 5 * 2**40
"""Bytes: S3's limit for one object."""
LONGEST_KEY = 1024
"""Bytes of UTF-8: S3's limit for a key."""
_ETAG = re.compile(r"[0-9a-f]{32}(?:-[0-9]{1,5})?")
_TIME = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})[T ]([0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.[0-9]{1,9})?(?:Z|\+00:00)")


class ZarrEntry(NamedTuple):
    """A file of a Zarr; a tuple, because a Zarr can have a million."""

    path: str
    """Relative to the Zarr, whatever letters it has: it has not passed the rules for paths."""
    size: int
    """Bytes."""
    etag: str
    """Without quotes: an MD5, or ``<md5>-<parts>`` of a file that was sent in parts."""
    version_id: str | None = None
    """Of the version in the bucket; None if the list does not say."""
    modified: str | None = None
    """When the bucket got it, in whole seconds: ``2026-11-22T07:35:09Z``."""


def check_key(key: object) -> str:
    """A key as a bucket may have it.

    Raises:
        ValueError: it is none.
    """
    if not isinstance(key, str) or len(key if key.isascii() else key.encode()) > LONGEST_KEY:
        raise ValueError(f"a key that no bucket has: {key!a:.80}")
    return key


def check_size(size: object) -> int:
    """A number of bytes of one object.

    Raises:
        ValueError: it is none.
    """
    if type(size) is not int or not 0 <= size <= LARGEST_OBJECT:
        raise ValueError(f"a size that no file has: {size!a:.80}")
    return size


def check_etag(etag: object) -> str:
    """An ETag, without the quotes that S3 writes around it.

    Raises:
        ValueError: it is none.
    """
    bare = etag.strip('"') if isinstance(etag, str) else ""
    if not _ETAG.fullmatch(bare):
        raise ValueError(f"an ETag that no file has: {etag!a:.80}")
    return bare


def checked_time(time: object) -> str:
    """A time in whole seconds, in the form that both lists get here.

    Raises:
        ValueError: it is no time.
    """
    found = _TIME.fullmatch(time) if isinstance(time, str) else None
    if not found:
        raise ValueError(f"not a time: {time!a:.80}")
    return f"{found[1]}T{found[2]}Z"
