"""Find which mirrored Dandisets and versions hold a content, and at which paths."""

from __future__ import annotations

import re
import sqlite3
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from dandi_mirror.archive.names import parse
from dandi_mirror.errors import DiskError, UsageError
from dandi_mirror.mirror.search.blobs import digests_of_blob
from dandi_mirror.mirror.state.layout import Mirror
from dandi_mirror.model import DRAFT, is_version_id
from dandi_mirror.repo.annex.keys import sha256_of
from dandi_mirror.repo.annex.pointers import key_of_link, key_of_pointer
from dandi_mirror.repo.git.git_folder import way_out
from dandi_mirror.zarr_checksum import counts_of, is_checksum

if TYPE_CHECKING:
    from dandi_mirror.mirror.zarr.manifests import Manifests

_SHA256 = re.compile(r"(?:sha256:)?([0-9a-f]{64})", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ContentIdentifier:
    """What identifies a content: one of these."""

    sha256: str = ""
    asset_id: str = ""
    blob_id: str = ""
    checksum: str = ""
    """Of a Zarr."""


@dataclass(frozen=True, slots=True)
class Occurrence:
    """A path that holds the content, and the versions that have it there."""

    dandiset: str
    path: str
    size: int
    """Bytes."""
    sha256: str
    asset_ids: tuple[str, ...]
    versions: tuple[str, ...]
    """Oldest first, the draft at the end; none if only a draft of the past had this state of a Zarr."""
    checksum: str = ""
    """Of a Zarr's state."""
    zarr: str = ""
    """The id of a Zarr."""

    @property
    def version(self) -> str:
        """The newest published one, else the draft."""
        return next((name for name in reversed(self.versions) if is_version_id(name)), DRAFT)


def identify(text: str) -> ContentIdentifier:
    """Identify a content: by a file on this machine, a SHA-256, a git-annex key, an asset's id or URL, a blob's URL,
    or the checksum of a Zarr.

    For a link of git-annex, its key counts; the content need not be present.

    Raises:
        UsageError: the text is none of these.
        DiskError: the file cannot be read.
    """
    if found := _SHA256.fullmatch(text.strip()):
        return ContentIdentifier(sha256=found[1].lower())
    if is_checksum(text.strip()):
        return ContentIdentifier(checksum=text.strip())
    if digest := sha256_of(text):
        return ContentIdentifier(sha256=digest)
    path = Path(text)
    try:
        if path.is_symlink() or path.exists():
            return ContentIdentifier(sha256=_of_file(path))
    except OSError as error:
        raise DiskError.of(path, error) from error
    try:
        name = parse(text)
    except UsageError:
        name = None
    if name and name.asset:
        return ContentIdentifier(asset_id=name.asset)
    if name and name.blob:
        return ContentIdentifier(blob_id=name.blob)
    raise UsageError(
        f"{text!a} is not a file here and identifies no content; write a file's path, a SHA-256, an asset's id, "
        "a blob's URL or the checksum of a Zarr"
    )


def _of_file(path: Path) -> str:
    """Return the SHA-256 of a file; for a link or pointer of git-annex, from its key."""
    if digest := sha256_of(key_of_link(path)):
        return digest
    if path.is_dir():
        raise UsageError(f"{path} is a folder and no Zarr; name a file in it")
    if out := way_out(path):
        raise UsageError(out)
    if path.exists() and not path.is_file():
        raise UsageError(f"{path} is a device or a pipe, or a link to one; name a regular file")
    with path.open("rb") as file:
        if digest := sha256_of(key_of_pointer(file)):
            return digest
        return file_digest(file, "sha256").hexdigest()


def occurrences(database: sqlite3.Connection, mirror: Mirror, content: ContentIdentifier) -> list[Occurrence]:
    """Return all occurrences of a content, by Dandiset and path."""
    digests = [content.sha256] if content.sha256 else []
    if content.asset_id:
        rows = database.execute("SELECT DISTINCT sha256 FROM asset WHERE id = ?", [UUID(content.asset_id).bytes])
        digests = [digest.hex() for (digest,) in rows if digest]
    if content.blob_id:
        digests = digests_of_blob(database, mirror, content.blob_id)
    if content.checksum:
        return _states(database, mirror.manifests, content.checksum)
    return [place for digest in digests for place in _occurrences(database, digest)]


def _occurrences(database: sqlite3.Connection, digest: str) -> list[Occurrence]:
    rows = database.execute(
        "SELECT dandiset.id, asset.path, asset.size, asset.id, version.name FROM asset"
        " JOIN dandiset ON dandiset.number = asset.dandiset JOIN member ON member.asset = asset.number"
        " JOIN holds USING (part) JOIN version ON version.number = holds.version WHERE asset.sha256 = ?"
        " ORDER BY dandiset.id, asset.path, version.name IN ('draft', 'published'), version.seconds",
        [bytes.fromhex(digest)],
    ).fetchall()
    found: dict[tuple[str, str, int], tuple[dict[str, None], dict[str, None]]] = {}
    for dandiset, path, size, asset_id, version in rows:
        ids, versions = found.setdefault((dandiset, path, size), ({}, {}))
        ids[str(UUID(bytes=asset_id)) if asset_id else ""] = None
        versions[version] = None
    return [
        Occurrence(dandiset, path, size, digest, tuple(filter(None, ids)), tuple(versions))
        for (dandiset, path, size), (ids, versions) in found.items()
    ]


def _states(database: sqlite3.Connection, manifests: Manifests, checksum: str) -> list[Occurrence]:
    """Return the Zarrs that have a state in a version, or had it in a draft of the past: then a manifest is left."""
    rows = database.execute(
        "SELECT dandiset.id, zarr.path, zarr.id, zarr.checksum, version.name FROM zarr JOIN version ON"
        " version.number = zarr.version JOIN dandiset ON dandiset.number = version.dandiset"
        " ORDER BY dandiset.id, zarr.path, version.name IN ('draft', 'published'), version.seconds"
    )
    found: dict[tuple[str, str, str], list[str]] = {}
    for dandiset, path, zarr_id, state, version in rows:
        place = (dandiset, path, zarr_id)
        if state == checksum:
            found.setdefault(place, []).append(version)
        elif place not in found and manifests.has(zarr_id, checksum):
            found[place] = []
    size = counts_of(checksum)[1]
    return [
        Occurrence(dandiset, path, size, "", (), tuple(versions), checksum, zarr_id)
        for (dandiset, path, zarr_id), versions in found.items()
    ]
