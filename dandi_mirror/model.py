"""The words of the field as values: instance, Dandiset, version, asset, finding.

Nothing here reads or writes anything.  Unknown fields of the archive's records are kept where the record is
kept; these classes hold what the mirror decides by.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import TypeGuard
from uuid import NAMESPACE_URL, UUID, uuid5

DRAFT = "draft"

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
    """A time as every record and trailer of a mirror writes it."""
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")


@dataclass(frozen=True, slots=True)
class Instance:
    """An archive instance, as its ``/info/`` describes it."""

    name: str
    """``DANDI``, ``DANDI-SANDBOX``, …: the prefix of its identifiers."""
    api_url: str
    """Without a slash at its end: ``https://api.dandiarchive.org/api``."""

    def identifier(self, dandiset: str) -> str:
        """``DANDI:000004``."""
        return f"{self.name}:{dandiset}"

    def dataset_id(self, dandiset: str = "") -> UUID:
        """The DataLad id of a Dandiset's dataset (of the superdataset without one), equal in every mirror."""
        suffix = f":{dandiset}" if dandiset else ""
        return uuid5(NAMESPACE_URL, f"https://identifiers.org/{self.name}{suffix}")

    def asset_url(self, asset_id: str) -> str:
        """Where the API hands out an asset's bytes, by redirect."""
        return f"{self.api_url}/assets/{asset_id}/download/"


@dataclass(frozen=True, slots=True)
class VersionRow:
    """One version as the API's lists show it."""

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
        """Whether the archive is done with it; before that its records still change."""
        return self.status not in {"Pending", "Validating", "Publishing"}


@dataclass(frozen=True, slots=True)
class DandisetRow:
    """One Dandiset as the API's lists show it."""

    identifier: str
    embargo_status: str
    """``OPEN``, ``EMBARGOED`` or ``UNEMBARGOING``."""
    draft: VersionRow
    published: VersionRow | None
    """The newest published version."""

    @property
    def is_open(self) -> bool:
        """Whether everybody may read it."""
        return self.embargo_status == "OPEN"


@dataclass(slots=True)
class Asset:
    """One blob asset that may reach git; nothing but ``record`` is set after it was made."""

    path: str
    asset_id: str
    modified: str
    """The row's time as the archive spells it: compared with the next row's, and nothing else."""
    size: int
    """Bytes."""
    key: str
    """Its git-annex key; of a text file, too."""
    content_url: str | None
    """Its S3 URL; None when the record has none that is admitted."""
    record: int
    """The handle of its canonical record (see ``mirror.spool``); below zero, the length of one that was not
    read again."""
    fields: tuple[tuple[str, str], ...]
    """git-annex metadata: (field, value) pairs, each once."""
    published: bool
    """Whether its record says that a published version holds it: then its id lives for ever."""

    @property
    def sha256(self) -> str:
        """Its digest, which is what its key is made of."""
        return self.key.partition("--")[2][:64]


@dataclass(frozen=True, slots=True)
class There:
    """What a draft has at a path, as far as its bytes go."""

    asset_id: str
    size: int
    """Bytes."""
    sha256: str
    """Empty while the archive has not computed it, or where its record cannot be taken."""
    etag: str = ""
    """The archive's etag of the bytes; empty where nobody has looked."""
    blob: str = ""
    """The id of the bytes in the archive; empty where nobody has looked, and of a Zarr."""


class Kind(StrEnum):
    """Why something that the archive lists is not in the tree as it should be, or is there in part."""

    PENDING = "pending"
    """The archive has not computed its SHA-256 yet, or its record did not come; the next run completes it."""
    REFUSED = "refused"
    """Its path or record must not reach git."""
    ZARR = "zarr"
    """A Zarr: not mirrored by this release."""
    TEXT = "text"
    """A text file whose bytes did not come, or are not those of its digest."""
    URL = "url"
    """Its content URL is not one that git-annex may be given; the API's URL stands alone."""
    HELD = "held"
    """A published version that cannot be tagged yet."""
    VANISHED = "vanished"
    """A version that is tagged here and no longer in the archive; the tag stays."""
    ALARM = "alarm"
    """The archive answers differently for a version that is tagged here; the tag stays."""
    WORKTREE = "worktree"
    """Local edits stand where the new state would go; the branch moved, the work tree did not."""
    CONTENT = "content"
    """Content that the settings ask for did not come; the next run tries again."""
    GONE = "gone"
    """The archive lists the Dandiset no more and has none of its number (404); the mirror keeps it."""
    FORBIDDEN = "forbidden"
    """The archive lists the Dandiset no more and does not show it (401, 403); the mirror keeps it."""
    EMBARGOED = "embargoed"
    """The Dandiset is not open, and embargoed ones were not asked for; the mirror keeps it."""


ABSENT = frozenset({Kind.GONE, Kind.FORBIDDEN, Kind.EMBARGOED})
"""Kinds that are about a whole Dandiset which the archive does not give any more."""


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """Something to be named in the report, in ``status`` and in the exit code."""

    version: str
    path: str
    """The asset's path as the archive gives it (print it with ``ascii()``), or empty."""
    kind: Kind
    reason: str
    asset_id: str = ""


@dataclass(slots=True)
class Report:
    """What one sync did to one Dandiset."""

    dandiset: str
    status: str = "notneeded"
    """DataLad's words: ``ok``, ``notneeded``, ``impossible``, ``error``."""
    message: str = ""
    exit_code: int = 0
    commit: str = ""
    tags: list[str] = field(default_factory=list)
    """Versions tagged by this run."""
    added: int = 0
    changed: int = 0
    removed: int = 0
    size: int = 0
    """Bytes of all assets in the branch's tree."""
    files: int = 0
    findings: list[Finding] = field(default_factory=list)
    brought: int = 0
    """Files whose content this run brought."""
    brought_size: int = 0
    """Their bytes."""
    left: int = 0
    """Files that are asked for and that the budget has no room for."""
    news: bool = False
    """Whether there is a finding that the last complete sync did not have."""
    deferred: bool = False
    """Whether the time limit came before it was done."""
