"""What the archive expects of an S3 bucket, and an object in one."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol

from dandi_mirror.embedded.bucket.contents import Content, etag_of

BUCKET = "dandi-dandisets"
PLAIN = "application/octet-stream"


class ListedObject(NamedTuple):
    """One object in a listing."""

    key: str
    size: int
    etag: str
    modified: datetime


@dataclass(frozen=True, slots=True)
class Object:
    """The object at a key; ``content`` is None for a blob that the archive knows only by name."""

    key: str
    content: Content | None
    etag: str
    created: datetime
    hidden: bool
    """Whether only Dandisets under embargo have it: then anonymous readers get 403."""
    kind: str
    """Its Content-Type."""
    version_id: str
    deleted: bool = False
    """Whether it is a delete marker."""


def only_version(key: str) -> str:
    """The version id of an object that has one version in this bucket: all but the files of Zarrs."""
    return etag_of(key.encode(errors="surrogatepass"))


def aws_version_id(number: bytes) -> str:
    """24 bytes as a version id of 32 letters, as on AWS."""
    return base64.b64encode(number, b"._").decode()


class Objects(Protocol):
    """An S3 bucket: the archive's own (``own``), or one on another server (``outside``)."""

    url: str
    """URL of the bucket, without a slash at the end."""

    def presigned(
        self, method: str, key: str, query: Mapping[str, str], seconds: int, headers: Mapping[str, str] | None = None
    ) -> str:
        """A URL that lets its holder use ``key`` with one method; the request must send ``headers``."""

    def begin(self, key: str) -> str:
        """Begin an upload in parts and return its id."""

    def abort(self, key: str, upload_id: str) -> None:
        """Forget an upload in parts with its parts, if there is one."""

    def stat(self, key: str) -> tuple[int, str] | None:
        """Size in bytes and ETag of an object; None if there is none."""

    def read(self, key: str) -> Iterator[bytes]:
        """The bytes of an object, a piece at a time."""

    def put(self, key: str, content: bytes) -> None:
        """Store an object."""

    def listing(self, prefix: str, after: str = "", most: int | None = None) -> list[ListedObject]:
        """The first ``most`` objects behind the key ``after`` whose keys begin with ``prefix``, by key."""

    def delete(self, keys: Iterable[str]) -> None:
        """Delete objects; keys without an object do no harm."""
