"""The things that the program is about, as values: archive, Dandiset, version, asset, finding, report.

Nothing here reads or writes anything.  These classes have the facts on which the program decides; an asset's record
keeps all its fields, also those that are unknown here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import NewType, TypeGuard
from uuid import NAMESPACE_URL, UUID, uuid5

DRAFT = "draft"

SpoolHandle = NewType("SpoolHandle", int)
"""The number under which the spool of a run keeps some bytes; 0 is one, too."""

_DANDISET = re.compile(r"[0-9]{6}")
_VERSION = re.compile(r"0\.[0-9]{6}\.[0-9]{4}")
_UUID4 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_INSTANCE = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")


def is_dandiset_id(value: object) -> TypeGuard[str]:
    """Whether ``value`` names a Dandiset: six ASCII digits."""
    return isinstance(value, str) and _DANDISET.fullmatch(value) is not None


def is_version_id(value: object) -> TypeGuard[str]:
    """Whether ``value`` names a published version: ``0.YYMMDD.HHMM`` in ASCII digits."""
    return isinstance(value, str) and _VERSION.fullmatch(value) is not None


def is_asset_id(value: object) -> TypeGuard[str]:
    """Whether ``value`` is an asset id: a UUID of version 4 in lower case."""
    return isinstance(value, str) and _UUID4.fullmatch(value) is not None


def is_instance_name(value: object) -> TypeGuard[str]:
    """Whether ``value`` may name an archive instance: letters, digits and dashes."""
    return isinstance(value, str) and _INSTANCE.fullmatch(value) is not None


def parse_time(text: object) -> datetime:
    """A time as the API writes it (``Z`` or ``+00:00``, with or without a fraction), in UTC.

    Raises:
        ValueError: not such a time, or without an offset.
    """
    try:
        time = datetime.fromisoformat(text) if isinstance(text, str) else None
        if time is not None and time.tzinfo is not None and time.year >= 1970:
            return time.astimezone(UTC)
    except (ValueError, OverflowError):
        pass  # not a time, or one after the year 9999
    raise ValueError(f"not a time with its zone, after 1970: {text!a:.80}")


def spell_time(time: datetime) -> str:
    """A time as a mirror writes it in records and in the trailers of commits."""
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")


@dataclass(frozen=True, slots=True)
class Instance:
    """An archive, as its ``/info/`` describes it."""

    name: str
    """``DANDI``, ``DANDI-SANDBOX``, …: the prefix of its identifiers."""
    api_url: str
    """Without a slash at the end: ``https://api.dandiarchive.org/api``."""

    def identifier(self, dandiset: str) -> str:
        """``DANDI:000004``."""
        return f"{self.name}:{dandiset}"

    def dataset_id(self, dandiset: str = "") -> UUID:
        """The DataLad id of a Dandiset's dataset (of the superdataset without one), equal in every mirror."""
        suffix = f":{dandiset}" if dandiset else ""
        return uuid5(NAMESPACE_URL, f"https://identifiers.org/{self.name}{suffix}")

    def asset_url(self, asset_id: str) -> str:
        """The URL at which the API redirects to an asset's content."""
        return f"{self.api_url}/assets/{asset_id}/download/"


@dataclass(frozen=True, slots=True)
class ListedVersion:
    """A version as the archive lists it."""

    version: str
    """``draft`` or ``0.YYMMDD.HHMM``."""
    name: str
    asset_count: int
    size: int
    """Bytes of all assets, as the archive counts them."""
    status: str
    created: datetime
    modified: datetime

    @property
    def settled(self) -> bool:
        """Whether the archive has finished it; until then its records still change."""
        return self.status not in {"Pending", "Validating", "Publishing"}


@dataclass(frozen=True, slots=True)
class ListedDandiset:
    """A Dandiset as the archive lists it."""

    identifier: str
    embargo_status: str
    """``OPEN``, ``EMBARGOED`` or ``UNEMBARGOING``."""
    draft: ListedVersion
    published: ListedVersion | None
    """The newest published version."""

    @property
    def is_open(self) -> bool:
        """Whether everybody may read it."""
        return self.embargo_status == "OPEN"


@dataclass(slots=True)
class Asset:
    """One asset that may reach git; only ``record`` is set later, when the record is stored."""

    path: str
    asset_id: str
    modified: str
    """The listing's time as the archive writes it; only for comparison with the next listing's."""
    size: int
    """Bytes; of a Zarr what the listing said, which is 0 while a client changes it."""
    key: str
    """Its git-annex key; a text file has one, too; empty for a Zarr."""
    content_url: str | None
    """Its S3 URL; None when the record has none that is admitted.  A Zarr's is that of a folder."""
    unknown_host: str
    """The host of its content, where only that keeps the URL from being admitted; else empty."""
    record: SpoolHandle | None
    """Where the spool has its canonical record; None while it is not there (of an asset that was not read again,
    the branch's tree has it)."""
    record_length: int
    """Bytes of that record."""
    fields: tuple[tuple[str, str], ...]
    """git-annex metadata: (field, value) pairs, each once."""
    published: bool
    """Whether its record says that a published version holds it: then its id lives for ever."""
    zarr: str = ""
    """The id of the Zarr that it is; empty for a blob."""
    zarr_checksum: str = ""
    """The state that its record names; the archive's list of Zarrs may know a newer one."""

    @property
    def sha256(self) -> str:
        """The digest in its key."""
        return self.key.partition("--")[2][:64]


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file or a Zarr of a draft in the archive."""

    asset_id: str
    size: int
    """Bytes."""
    sha256: str
    """Empty while the archive has not computed it, or if a sync would refuse its record."""
    etag: str = ""
    """The archive's ETag of the content; empty if it was not read."""
    blob: str = ""
    """The id of its blob; empty if it was not read, and for a Zarr."""
    zarr: str = ""
    """The id of its Zarr; empty for a blob."""
    checksum: str = ""
    """Of a Zarr; empty while the archive has not computed it."""

    @property
    def digest(self) -> str:
        """By which two states of it are compared: a Zarr's checksum, or a file's SHA-256; empty if unknown."""
        return self.checksum if self.zarr else self.sha256


class FindingKind(StrEnum):
    """Why something is not in the mirror as the archive lists it."""

    PENDING = "pending"
    """The archive has not computed its SHA-256 yet, or its record did not come; the next run completes it."""
    REFUSED = "refused"
    """Its path or record is not safe in git."""
    ZARR = "zarr"
    """A Zarr: an earlier release did not mirror it, and the next run does; also among the files of a version."""
    TEXT = "text"
    """A text file whose content did not come, or does not have the archive's digest."""
    URL = "url"
    """It has no content URL that git-annex may use; git-annex has only the API's URL."""
    HELD = "held"
    """A published version that cannot be tagged yet."""
    VANISHED = "vanished"
    """A version that the mirror has tagged and that is no longer in the archive; the tag stays."""
    ALARM = "alarm"
    """The archive now says other things of a version than its tag; the tag stays."""
    WORKTREE = "worktree"
    """Local edits are in the way of the new state; the branch moved, the work tree did not."""
    CONTENT = "content"
    """Content that the settings ask for did not come; the next run tries again."""
    GONE = "gone"
    """The archive does not list the Dandiset any more, and answers 404 for it; the mirror keeps it."""
    FORBIDDEN = "forbidden"
    """The archive does not list the Dandiset any more, and answers 401 or 403 for it; the mirror keeps it."""
    EMBARGOED = "embargoed"
    """The Dandiset is embargoed, and the run was started without ``--embargoed``; the mirror keeps it."""


ABSENT = frozenset({FindingKind.GONE, FindingKind.FORBIDDEN, FindingKind.EMBARGOED})
"""Kinds of findings about a whole Dandiset that the archive does not give any more."""


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """Something that the report and ``status`` name, and that decides the exit code."""

    version: str
    path: str
    """The asset's path as the archive gives it (print it with ``ascii()``), or empty."""
    kind: FindingKind
    reason: str
    asset_id: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """What one sync did to one Dandiset."""

    dandiset: str
    status: str = "notneeded"
    """DataLad's words: ``ok``, ``notneeded``, ``impossible``, ``error``."""
    message: str = ""
    exit_code: int = 0
    commit: str = ""
    tags: Sequence[str] = field(default_factory=list)
    """Versions that this run tagged."""
    added: int = 0
    changed: int = 0
    removed: int = 0
    size: int = 0
    """Bytes of all assets in the branch's tree."""
    files: int = 0
    findings: Sequence[Finding] = field(default_factory=list)
    brought: int = 0
    """Files whose content this run downloaded."""
    brought_size: int = 0
    """Their bytes."""
    rescued: int = 0
    """Bytes of content that was leaving the archive, and came."""
    not_rescued: int = 0
    """Bytes of content that is leaving the archive, and did not come: beyond the budget, or it failed."""
    left: int = 0
    """Files that the settings ask for and that the budget has no room for."""
    news: bool = False
    """Whether there is a finding that the last complete sync did not have."""
    deferred: bool = False
    """Whether the time limit came before it was done."""
