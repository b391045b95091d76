"""Digests in the forms that the archive and git-annex use: SHA-256, MD5, and the archive's ETag."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Sequence
from typing import TypeGuard

ETAG, SHA256 = "dandi:dandi-etag", "dandi:sha2-256"
"""What these digests are called in the archive's records and requests."""
_SHA256 = re.compile(r"[0-9a-f]{64}")

_MD5_DIGITS = 32

ETAG_PART = 64 * 1024 * 1024
"""Bytes in one part of a multipart upload."""
ETAG_MOST_PARTS = 10_000


def is_sha256(value: object) -> TypeGuard[str]:
    """Whether ``value`` is a SHA-256 digest: 64 lower-case hexadecimal digits."""
    return isinstance(value, str) and _SHA256.fullmatch(value) is not None


def digest_in(record: object, algorithm: str) -> object:
    """The digest of an algorithm in an asset's record, not checked; None if there is none."""
    digests = record.get("digest") if isinstance(record, dict) else None
    return digests.get(algorithm) if isinstance(digests, dict) else None


def hasher(digest: str) -> hashlib._Hash:
    """A hash object for comparing with ``digest``: MD5 if that has 32 hexadecimal digits, else SHA-256."""
    return hashlib.md5(usedforsecurity=False) if len(digest) == _MD5_DIGITS else hashlib.sha256()


def sha256(content: bytes) -> str:
    """The SHA-256 digest of ``content``, in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def etag_part_size(size: int) -> int:
    """Bytes in each part of the upload of a file of ``size`` bytes.

    64 MiB, or more for a file that would need 10,000 parts or more.
    Source: dandischema's ``dandietag``; agrees with the recorded etags of the archive.
    """
    if math.ceil(size / ETAG_PART) >= ETAG_MOST_PARTS:
        return math.ceil(size / ETAG_MOST_PARTS)
    return ETAG_PART


def dandi_etag(content: bytes) -> str:
    """The S3 multipart ETag of ``content``: the MD5 of the parts' MD5s, a dash, and their number."""
    step = etag_part_size(len(content))
    return etag_of_parts(
        [
            hashlib.md5(content[start : start + step], usedforsecurity=False).digest()
            for start in range(0, len(content), step)
        ]
    )


def etag_of_parts(parts: Sequence[bytes]) -> str:
    """The S3 multipart ETag of an object whose parts have these MD5s."""
    return f"{hashlib.md5(b''.join(parts), usedforsecurity=False).hexdigest()}-{len(parts)}"
