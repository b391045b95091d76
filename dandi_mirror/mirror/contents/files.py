"""The files of a version, as values: what a record, a refusal or a finding says about a file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from dandi_mirror.mirror.format.admission import Refusal
from dandi_mirror.mirror.format.annex_metadata import annex_fields
from dandi_mirror.mirror.format.record_reader import Record
from dandi_mirror.model import Finding, FindingKind, is_asset_id
from dandi_mirror.repo.annex.keys import annex_key
from dandi_mirror.repo.git.dataset import Dataset
from dandi_mirror.zarr_checksum import counts_of


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
    state: FindingKind | None = None
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
    """Only for a file of a Zarr, as the archive has no SHA-256 of it; ``<md5>-<parts>`` if it was sent in parts."""
    checksum: str = ""
    """Only for a Zarr: the checksum of its state; empty if it is not known."""
    present: int | None = None
    """Only for a Zarr: how many of its entries are on this machine; None if it is not installed."""
    media_type: str = ""
    """As its record has it; any text."""
    by_sync: bool = True
    """Whether a sync may have made its record; a repository can hold others."""

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
        """Whether its content is on this machine, of a Zarr all of it."""
        return bool(self.content or self.oid) or (self.present is not None and self.present == self.entries)

    @property
    def is_zarr(self) -> bool:
        """Whether it is a Zarr, not a file of one."""
        return self.state is FindingKind.ZARR

    @property
    def entries(self) -> int | None:
        """How many files a Zarr has; None if that is not known, or if it is none."""
        return counts_of(self.checksum)[0] if self.checksum else None

    def in_state(self, checksum: str) -> VersionFile:
        """Return the same Zarr in another state."""
        return replace(self, checksum=checksum, size=counts_of(checksum)[1], present=None)


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
        return _refused(record)
    fields = annex_fields(record.metadata, record.path)
    time, kind = record.metadata.get("blobDateModified"), record.metadata.get("encodingFormat")
    return VersionFile(
        record.path,
        record.size,
        record.asset_id,
        record.sha256,
        tuple(value for field, value in fields if field == "subject"),
        next((value for field, value in fields if field == "session"), ""),
        time if isinstance(time, str) else "",
        FindingKind.ZARR if record.zarr else None,
        "a Zarr" if record.zarr else "",
        media_type=kind if isinstance(kind, str) else "",
    )


def file_of_record(record: Record | Refusal) -> VersionFile:
    """Return the file of a record in a repository's list of records, in which no sync puts one that it refuses."""
    return replace(_refused(record), by_sync=False) if isinstance(record, Refusal) else file_of(record)


def _refused(refusal: Refusal) -> VersionFile:
    return replace(file_of_finding(refusal.finding("")), size=refusal.size)


def file_of_finding(finding: Finding) -> VersionFile:
    """Return the file of a finding, which has only its path, its asset id and the reason."""
    asset_id = finding.asset_id if is_asset_id(finding.asset_id) else ""
    return VersionFile(finding.path, None, asset_id, state=finding.kind, reason=finding.reason)
