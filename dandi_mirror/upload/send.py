"""Sending the bytes of many files: what the archive has is not sent, what an earlier run sent is not sent again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from dandi_mirror.archive.http import Session
from dandi_mirror.errors import MirrorError

JOBS = 6
"""Connections at most."""


@dataclass(frozen=True, slots=True)
class Source:
    """A file to send."""

    file: Path
    """Where its bytes are; links are followed."""
    path: str
    """Of the asset; only named in messages and handed back."""
    dandiset: str
    """Whose upload it is."""
    sha256: str = ""
    """If it is known, as from an annex key: then it is asked for before the file is read, and the bytes must have it."""
    size: int = 0
    """Bytes, if the SHA-256 is known."""


@dataclass(frozen=True, slots=True)
class Sent:
    """The archive has its bytes."""

    source: Source
    blob: str
    """The blob's id."""
    size: int
    """Bytes."""
    sha256: str
    etag: str
    bytes_sent: int
    """By this run; 0 if the archive had it."""


@dataclass(frozen=True, slots=True)
class Unsent:
    """It could not be sent."""

    source: Source
    error: MirrorError


class Meter:
    """How far it has come; read it from any thread."""

    sent: int
    """Bytes that were sent."""
    passed: int
    """Bytes that were sent or need not be."""


def send_blobs(
    session: Session, sources: Iterable[Source], state: Path, *, jobs: int = JOBS, meter: Meter | None = None
) -> Iterator[Sent | Unsent]:
    """Send files, and tell of each what became of it, in the order in which they end.

    ``state`` is a folder (made if need be) for what has arrived of each file, over the end of any run.

    Raises:
        CredentialsError: the archive does not take the token (any more); nothing else is asked.
        DiskError: the state cannot be written.
    """
    raise NotImplementedError
