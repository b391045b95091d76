"""The archive's etag and SHA-256 of a file, in one pass over it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Digests:
    """What a file's bytes are."""

    size: int
    """Bytes."""
    sha256: str
    etag: str
    parts: tuple[str, ...]
    """The MD5 of each part of an upload, in hexadecimal digits."""

    @property
    def record(self) -> dict[str, str]:
        """As the archive's records have them."""
        return {"dandi:dandi-etag": self.etag, "dandi:sha2-256": self.sha256}


def digest(file: Path) -> Digests:
    """Read a file once.

    Raises:
        OSError: it cannot be read.
    """
    raise NotImplementedError
