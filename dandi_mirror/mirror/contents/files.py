"""The files of a version, as values: what a record, a refusal or a finding says about a file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from dandi_mirror.mirror.format.admission import Refusal
from dandi_mirror.mirror.format.annex_metadata import annex_fields
from dandi_mirror.mirror.format.record_reader import Record
from dandi_mirror.model import Finding, Kind, is_asset_id
from dandi_mirror.repo.annex.keys import annex_key
from dandi_mirror.repo.git.dataset import Dataset


@dataclass(frozen=True, slots=True)
class VersionFile:
    """One asset of a version, or one file of a Zarr."""

    path: str
    """As the archive gives it; escape it before you print it."""
    size: int | None
    """Bytes; None if unknown."""
    asset_id: str
    sha256: str = ""
    subjects: tuple[str, ...] = ()
    session: str = ""
    time: str = ""
    """When the content was last changed before the upload, as the archive writes it."""
    state: Kind | None = None
    """Why mirrors do not hold the file; None if they do."""
    reason: str = ""
    """The same in words."""
    content: Path | None = None
    """The file on this machine that has its content; None if there is none."""
    oid: str = ""
    """The git object that holds its content; empty if git does not."""
    url: str | None = None
    """The URL of its content at S3, as the archive gives it."""
    zarr: str = ""
    """The id of the Zarr that this is, or is part of."""
    entry: str = ""
    """Its path inside that Zarr."""
    md5: str = ""
    """Only for a file of a Zarr: the archive has no SHA-256 of it."""

    @property
    def digest(self) -> str:
        """The checksum that its bytes are verified with; empty if unknown."""
        return self.sha256 or self.md5

    @property
    def key(self) -> str:
        """Its git-annex key; empty if it has none."""
        known = self.size is not None and self.sha256 and not self.state
        return annex_key(self.size or 0, self.sha256, self.path) if known else ""

    @property
    def here(self) -> bool:
        """Whether its content is on this machine."""
        return bool(self.content or self.oid)


@dataclass(frozen=True, slots=True)
class Contents:
    """The files of a version that a name identifies."""

    dandiset: str
    """Empty if the name is an asset id alone."""
    version: str
    title: str
    files: list[VersionFile]
    """Sorted by path."""
    dataset: Dataset | None = None
    """The repository that it was read from; None if the archive was asked."""
    record: bytes = b""
    """``dandiset.yaml`` of the version; empty if the archive was asked."""


def file_of(record: Record | Refusal) -> VersionFile:
    """Return the file that a record or a refusal describes."""
    if isinstance(record, Refusal):
        return replace(file_of_finding(record.finding("")), size=record.size)
    fields = annex_fields(record.metadata, record.path)
    time = record.metadata.get("blobDateModified")
    return VersionFile(
        record.path,
        record.size,
        record.asset_id,
        record.sha256,
        tuple(value for field, value in fields if field == "subject"),
        next((value for field, value in fields if field == "session"), ""),
        time if isinstance(time, str) else "",
    )


def file_of_finding(finding: Finding) -> VersionFile:
    """Return the file of a finding, which has only its path, its asset id and the reason."""
    asset_id = finding.asset_id if is_asset_id(finding.asset_id) else ""
    return VersionFile(finding.path, None, asset_id, state=finding.kind, reason=finding.reason)
