"""Where some bytes are: in which versions of which mirrored Dandisets, at which paths."""

from __future__ import annotations

import re
import sqlite3
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path
from uuid import UUID

from dandi_mirror.archive.names import parse
from dandi_mirror.errors import DiskError, UsageError
from dandi_mirror.mirror.state.layout import Mirror
from dandi_mirror.model import is_version_id
from dandi_mirror.repo.annex.content import keys_at
from dandi_mirror.repo.annex.keys import sha256_of
from dandi_mirror.repo.git.dataset import ANNEX

_SHA256 = re.compile(r"(?:sha256:)?([0-9a-f]{64})", re.IGNORECASE)
_POINTER = b"/annex/objects/"
_LONGEST_POINTER = 32 * 1024  # bytes; git-annex takes nothing longer for one


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is looked for; one of these."""

    sha256: str = ""
    asset_id: str = ""
    blob_id: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """A file that has the bytes, and the versions that hold it there."""

    dandiset: str
    path: str
    size: int
    """Bytes."""
    sha256: str
    asset_ids: tuple[str, ...]
    versions: tuple[str, ...]
    """Oldest first, the draft at the end."""

    @property
    def version(self) -> str:
        """The newest published one, else the draft."""
        return next((name for name in reversed(self.versions) if is_version_id(name)), self.versions[-1])


def wanted(text: str) -> Wanted:
    """What somebody means: a file on this machine, a SHA-256, a git-annex key, an asset's id or URL, a blob's URL.

    A link of git-annex stands for its content, which need not be here.

    Raises:
        UsageError: none of these.
        DiskError: the file cannot be read.
    """
    if found := _SHA256.fullmatch(text.strip()):
        return Wanted(sha256=found[1].lower())
    if digest := sha256_of(text):
        return Wanted(sha256=digest)
    path = Path(text)
    try:
        if path.is_symlink() or path.exists():
            return Wanted(sha256=_of_file(path))
    except OSError as error:
        raise DiskError.of(path, error) from error
    try:
        name = parse(text)
    except UsageError:
        name = None
    if name and name.asset:
        return Wanted(asset_id=name.asset)
    if name and name.blob:
        return Wanted(blob_id=name.blob)
    raise UsageError(
        f"{text!a} is no file here and names no content; write a file's path, a SHA-256, an asset's id or a blob's URL"
    )


def _of_file(path: Path) -> str:
    """The SHA-256 of a file; of one of git-annex, from its key."""
    if path.is_symlink() and (digest := sha256_of(path.readlink().name)):
        return digest
    if path.is_dir():
        raise UsageError(f"{path} is a folder; name a file")
    with path.open("rb") as file:
        if path.stat().st_size <= _LONGEST_POINTER and file.peek(len(_POINTER)).startswith(_POINTER):
            line = file.readline().decode(errors="replace").strip()
            if digest := sha256_of(line.rpartition("/")[2]):
                return digest
            file.seek(0)
        return file_digest(file, "sha256").hexdigest()


def places(database: sqlite3.Connection, mirror: Mirror, what: Wanted) -> list[Place]:
    """Every place of the bytes, by Dandiset and path."""
    digests = [what.sha256] if what.sha256 else []
    if what.asset_id:
        rows = database.execute("SELECT DISTINCT sha256 FROM asset WHERE id = ?", [UUID(what.asset_id).bytes])
        digests = [digest.hex() for (digest,) in rows if digest]
    if what.blob_id:
        digests = _digests_of_blob(mirror, what.blob_id)
    return [place for digest in digests for place in _places(database, digest)]


def _digests_of_blob(mirror: Mirror, blob_id: str) -> list[str]:
    """Of a blob, which no record names: by the URLs that git-annex knows, one dataset after the other."""
    for dandiset in mirror.dandisets():
        if mirror.is_strange(dandiset):
            continue
        dataset = mirror.dataset(dandiset)
        keys = keys_at(dataset.path, f"/{blob_id}") if dataset.ref(ANNEX) else []
        if digests := sorted({digest for key in keys if (digest := sha256_of(key))}):
            return digests
    return []


def _places(database: sqlite3.Connection, digest: str) -> list[Place]:
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
        Place(dandiset, path, size, digest, tuple(filter(None, ids)), tuple(versions))
        for (dandiset, path, size), (ids, versions) in found.items()
    ]
