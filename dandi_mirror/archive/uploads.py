"""The calls to the API that bring blobs: is it there already, begin, a part, all parts are there."""

from __future__ import annotations

from dataclasses import dataclass

from dandi_mirror.archive.http import Session


@dataclass(frozen=True, slots=True)
class Blob:
    """Some bytes that the archive has."""

    blob_id: str
    size: int
    """Bytes."""
    etag: str
    sha256: str
    """Empty until the archive has computed it."""


def blob_of(session: Session, *, sha256: str = "", etag: str = "") -> Blob | None:
    """The blob with a digest, if the archive has it; whoever asks, and without holding its bytes."""
    raise NotImplementedError
