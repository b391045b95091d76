"""What the catalogue shows of one Dandiset, as values."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple

from dandi_mirror.catalogue.about import About

SHOWN = 20
"""How many paths of one kind of change a page names; the others are counted."""


class Presence(IntEnum):
    """Where the content of a file is; the pages know these numbers."""

    AWAY = 0
    """At the archive only, as far as this mirror knows."""
    HERE = 1
    """In this mirror."""
    ZARR = 2
    """A Zarr, whose content is in many files."""
    REFUSED = 3
    """The mirror does not hold it: its path or its record is not safe in git."""


class FileRow(NamedTuple):
    """An asset in one or both of the versions whose files a page lists."""

    path: str
    asset_id: str
    size: int
    """Bytes."""
    digest: str
    """SHA-256 of a file, checksum of a Zarr; empty if unknown."""
    kind: str
    """Its media type."""
    facts: str
    """Its metadata fields, as the search index has them: a JSON list of pairs."""
    presence: Presence
    versions: int
    """Bit 0: it is in the first of the listed versions; bit 1: in the second."""
    zarr: str = ""
    """The id of a Zarr."""


@dataclass(frozen=True, slots=True)
class Change:
    """Files that changed in the same way from one version to the next."""

    kind: str
    """``added``, ``removed``, ``replaced``, ``renamed`` or ``edited``."""
    count: int
    paths: tuple[str, ...]
    """The first of them."""


@dataclass(frozen=True, slots=True)
class Version:
    """A version of a Dandiset."""

    name: str
    commit: str
    seconds: int
    """When the archive had it, since 1970."""
    files: int
    size: int
    """Bytes."""
    doi: str
    changes: tuple[Change, ...]
    """From the version before; empty for the first."""


@dataclass(frozen=True, slots=True)
class Totals:
    """Counts of the files that a page lists for its first version."""

    files: int = 0
    size: int = 0
    here: int = 0
    here_size: int = 0
    zarrs: int = 0


@dataclass(frozen=True, slots=True)
class DandisetFacts:
    """Everything that a page shows."""

    identifier: str
    embargoed: bool
    about: About
    record: dict[str, object]
    """The record of the first listed version."""
    versions: tuple[Version, ...]
    """Oldest first; the draft at the end."""
    listed: tuple[str, ...]
    """The versions whose files are listed: the newest published one, and the draft if it differs."""
    rows: list[FileRow]
    """Sorted by path."""
    totals: Totals
    citations: dict[str, str] = field(default_factory=dict)
    """By form; of the first listed version."""
