"""The part of a Dandiset that its assets, Zarrs, uploads and versions refer to: id, owners, embargo."""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import date, datetime, timedelta
from typing import Any

from dandi_mirror.embedded.store.core import ArchiveCore

OPEN = "OPEN"
OPEN_ACCESS = [{"status": "dandi:OpenAccess", "schemaKey": "AccessRequirements"}]
EMBARGO = timedelta(days=2 * 365)
"""How long an embargo lasts if the owner gives no end."""


class DandisetIdentity(ABC):
    """A Dandiset as the records below it see it; the one subclass is ``Dandiset``."""

    archive: ArchiveCore

    def __init__(self, identifier: str, created: datetime) -> None:
        self.identifier = identifier
        self.created = created
        self.modified = created
        """Equal to ``created``: the archive does not move it when the draft changes."""
        self.embargo_status = OPEN
        self.embargo_end: date = (created + EMBARGO).date()
        self.owners: list[str] = []
        """User names."""
        self._unembargoed: date | None = None

    @property
    @abstractmethod
    def contact_person(self) -> str:
        """Name of the contact; empty if the metadata names none."""

    @abstractmethod
    def active_uploads(self) -> int:
        """Number of uploads to the Dandiset that clients have begun and not finished."""

    @abstractmethod
    def forget(self) -> None:
        """Drop what the versions computed from their assets."""

    @abstractmethod
    def changed(self) -> None:
        """Note a change of the draft that came over HTTP; the archive validates it some time later."""

    @abstractmethod
    def validate(self) -> None:
        """Validate changes that came over HTTP, unless an asset still waits for its SHA-256."""

    @property
    def is_open(self) -> bool:
        """Whether everybody may read the Dandiset."""
        return self.embargo_status == OPEN

    def access(self) -> list[dict[str, str]]:
        """``access`` in the metadata of versions; after an embargo it keeps the date."""
        if not self.is_open:
            until = {"status": "dandi:EmbargoedAccess", "embargoedUntil": self.embargo_end.isoformat()}
            return [OPEN_ACCESS[0] | until]
        if self._unembargoed:
            return [OPEN_ACCESS[0] | {"embargoedUntil": self._unembargoed.isoformat()}]
        return OPEN_ACCESS

    @property
    def asset_access(self) -> list[dict[str, str]]:
        """``access`` in the metadata of assets; without a date once the Dandiset is open."""
        return OPEN_ACCESS if self.is_open else self.access()

    def entry(self) -> dict[str, Any]:
        """The seven fields that every record of a Dandiset starts with."""
        return {
            "identifier": self.identifier,
            "created": self.created,
            "modified": self.modified,
            "contact_person": self.contact_person,
            "embargo_status": self.embargo_status,
            "star_count": 0,
            "is_starred": False,
        }
