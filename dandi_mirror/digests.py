"""Digests in the forms that the archive and git-annex use: SHA-256, MD5, and the archive's ETag."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Sequence
from typing import Protocol, TypeGuard

ETAG, SHA256, ZARR_CHECKSUM = "dandi:dandi-etag", "dandi:sha2-256", "dandi:dandi-zarr-checksum"
"""What these digests are called in the archive's records and requests."""
_SHA256 = re.compile(r"[0-9a-f]{64}")

_MD5_DIGITS = 32

ETAG_PART = 64 * 1024 * 1024
"""Bytes in one part of a multipart upload."""
ETAG_MOST_PARTS = 10_000
_PART_SIZES = [count << 20 for count in (5, 8, 10, 15, 16, 32, 64, 100, 128, 256, 512, 1024)]
"""Bytes: what S3 clients send in one part, besides the archive's own."""


def is_sha256(value: object) -> TypeGuard[str]:
    """Whether ``value`` is a SHA-256 digest: 64 lower-case hexadecimal digits."""
    return isinstance(value, str) and _SHA256.fullmatch(value) is not None


def digest_in(record: object, algorithm: str) -> object:
    """The digest of an algorithm in an asset's record, not checked; None if there is none."""
    digests = record.get("digest") if isinstance(record, dict) else None
    return digests.get(algorithm) if isinstance(digests, dict) else None


def is_zarr_record(record: object) -> bool:
    """Whether an asset's record is that of a Zarr; its checksum may still be missing."""
    digests = record.get("digest") if isinstance(record, dict) else None
    return isinstance(digests, dict) and ZARR_CHECKSUM in digests


class Hasher(Protocol):
    """What computes a digest of bytes that come piece by piece."""

    def update(self, piece: bytes | memoryview, /) -> None:
        """Take the next bytes."""

    def hexdigest(self) -> str:
        """The digest of all bytes so far."""


def hasher(digest: str, size: int = 0) -> Hasher:
    """What to compare with ``digest``: an MD5 if that has 32 hexadecimal digits, else a SHA-256.

    For an S3 ETag ``<md5>-<parts>`` of ``size`` bytes: see :class:`EtagHasher`.
    """
    if "-" in digest:
        return EtagHasher(digest, size)
    return hashlib.md5(usedforsecurity=False) if len(digest) == _MD5_DIGITS else hashlib.sha256()


def sizes_of_parts(digest: str, size: int) -> list[int]:
    """How large the parts of an object with this ETag may have been, of the sizes that clients use; often one."""
    parts = int(digest.rpartition("-")[2])
    known = [size] if parts == 1 else dict.fromkeys([etag_part_size(size), *_PART_SIZES])
    return [step for step in known if math.ceil(size / step) == parts] if size else [1] if parts == 1 else []


class EtagHasher:
    """Computes the ETag of an object that was sent in parts.

    The size of the parts is not known, so several are tried.  If no client sends so many parts for this size, the bytes
    cannot be verified: then the digest is what was wanted, and the caller says so (:func:`is_verifiable`).
    """

    def __init__(self, digest: str, size: int) -> None:
        self._digest = digest
        self._tried = [_Parts(step) for step in sizes_of_parts(digest, size)]

    def update(self, piece: bytes | memoryview, /) -> None:
        """Take the next bytes."""
        for parts in self._tried:
            parts.update(memoryview(piece))

    def hexdigest(self) -> str:
        """The ETag, if the bytes have it with any size of the parts; else another one."""
        found = [parts.etag() for parts in self._tried]
        return self._digest if self._digest in found or not found else found[0]


class _Parts:
    """The MD5s of parts of one size."""

    def __init__(self, step: int) -> None:
        self._step = self._left = step
        self._done: list[bytes] = []
        self._md5 = hashlib.md5(usedforsecurity=False)

    def update(self, piece: memoryview) -> None:
        while piece:
            head, piece = piece[: self._left], piece[self._left :]
            self._md5.update(head)
            self._left -= len(head)
            if not self._left:
                self._end()

    def etag(self) -> str:
        rest = [self._md5.digest()] if self._left < self._step or not self._done else []
        return etag_of_parts([*self._done, *rest])

    def _end(self) -> None:
        self._done.append(self._md5.digest())
        self._md5, self._left = hashlib.md5(usedforsecurity=False), self._step


def is_verifiable(digest: str, size: int) -> bool:
    """Whether bytes can be verified by a digest; not by an ETag of parts whose size is not known."""
    return "-" not in digest or bool(sizes_of_parts(digest, size))


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
