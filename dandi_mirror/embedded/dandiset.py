"""A Dandiset of the embedded archive, and everything a test may do to it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from dandi_mirror.embedded import publishing
from dandi_mirror.embedded.assets import Asset, Blob, Zarr
from dandi_mirror.embedded.rules import Refused, check_path, moment
from dandi_mirror.embedded.seeding import made, own, replayed
from dandi_mirror.embedded.versions import DRAFT, Version

if TYPE_CHECKING:
    from dandi_mirror.embedded.store import Archive

OPEN = "OPEN"
OPEN_ACCESS = [{"status": "dandi:OpenAccess", "schemaKey": "AccessRequirements"}]
EMBARGO = timedelta(days=2 * 365)
"""How long an embargo lasts unless an end was given."""


class Dandiset:
    """One Dandiset: its draft, its published versions, its owners (user names)."""

    def __init__(
        self, archive: Archive, identifier: str, created: datetime, name: str, metadata: dict[str, Any] | None
    ) -> None:
        self.archive = archive
        self.identifier = identifier
        self.created = created
        self.modified = created
        """Stays at creation: the archive never moves it with the draft."""
        self.embargo_status = OPEN
        self.embargo_end: date = (created + EMBARGO).date()
        self.owners: list[str] = []
        self._unembargoed: date | None = None
        given = {"schemaKey": "Dandiset", "schemaVersion": archive.schema_version, "name": name}
        given |= _default_metadata() if metadata is None else metadata
        self.versions: dict[str, Version] = {DRAFT: Version(self, DRAFT, created, given)}
        """By name, the draft too, in order of creation."""

    @property
    def draft(self) -> Version:
        """The draft; there is always exactly one."""
        return self.versions[DRAFT]

    @property
    def published(self) -> list[Version]:
        """The published versions, oldest first by ``created``."""
        return sorted((v for v in self.versions.values() if v is not self.draft), key=_created)

    @property
    def contact_person(self) -> str:
        """The first contributor with the role of contact, else empty."""
        people = [p for p in self.draft.given.get("contributor") or [] if isinstance(p, dict)]
        contacts = [p for p in people if "dcite:ContactPerson" in (p.get("roleName") or [])]
        return str(contacts[0].get("name", "")) if contacts else ""

    @property
    def is_open(self) -> bool:
        """Whether everybody may read it."""
        return self.embargo_status == OPEN

    # --- assets

    def add_asset(
        self,
        path: str | None = None,
        blob: Blob | None = None,
        metadata: Any = None,
        asset_id: str | None = None,
        created: datetime | str | None = None,
        modified: datetime | str | None = None,
        *,
        zarr: Zarr | None = None,
        row: Mapping[str, Any] | None = None,
        verbatim: bool = False,
        unchecked: bool = False,
    ) -> Asset:
        """Put an asset into the draft.

        ``row`` is a recorded row of a listing with its metadata: id, times and record are kept; only
        ``contentUrl`` and ``digest`` follow this server, or, with ``verbatim``, nothing at all.
        ``unchecked`` lets any path in, and adds nothing to the metadata.

        Raises:
            Refused: as the server refuses a path (400, 409).
        """
        with self.archive.lock:
            if row is not None:
                asset = replayed(self, row, blob, verbatim=verbatim)
            else:
                asset = made(self, path or "", blob or zarr, metadata, asset_id, bare=unchecked)
            asset.set_times(created, modified)
            if not unchecked:
                check_path(asset.path)
                self.draft.check_free(asset.path)
            self.enter(asset)
        return asset

    def replace_asset(
        self,
        path: str,
        blob: Blob | None = None,
        metadata: Any = None,
        asset_id: str | None = None,
        *,
        created: datetime | str | None = None,
    ) -> Asset:
        """Put a new asset, at the end of the default order, in the place of the one at ``path``."""
        with self.archive.lock:
            old = self._at(path)
            given = own(old) if metadata is None else metadata
            new = made(self, path, blob or old.source, given, asset_id)
            new.created = new.modified = moment(created) if created else new.created
            self.draft.take_out(old, new.created)
            self.enter(new)
        return new

    def rename_asset(self, old: str, new: str, *, unchecked: bool = False) -> Asset:
        """Give the asset at ``old`` another path: a new asset with the same content, as the server does."""
        with self.archive.lock:
            asset = self._at(old)
            if not unchecked:
                check_path(new)
                self.draft.check_free(new, asset)
            renamed = made(self, new, asset.source, own(asset), None)
            self.draft.take_out(asset, renamed.created)
            self.enter(renamed)
        return renamed

    def delete_asset(self, path: str) -> None:
        """Take the asset at ``path`` out of the draft; its id goes on answering."""
        with self.archive.lock:
            self.draft.take_out(self._at(path), self.archive.now())

    def add_zarr(
        self,
        name: str,
        *,
        size: int = 0,
        checksum: str | None = None,
        files: Mapping[str, bytes] | None = None,
        zarr_id: str | None = None,
    ) -> Zarr:
        """A Zarr archive of this Dandiset; without ``checksum`` it is Pending.  An asset gives it a path."""
        with self.archive.lock:
            key = zarr_id or self.archive.new_id()
            size = size or sum(map(len, (files or {}).values()))
            zarr = Zarr(key, self, name, size, checksum, self.archive.now())
            zarr.files = dict(sorted((files or {}).items()))
            for path, content in (files or {}).items():
                self.archive.bucket.put(zarr.key + path, content)
            self.archive.zarrs[key] = zarr
        return zarr

    def _at(self, path: str) -> Asset:
        asset = self.draft.asset_at(path)
        if asset is None:
            raise Refused(404, {"detail": f"no asset at {path!r} in the draft of {self.identifier}"})
        return asset

    def enter(self, asset: Asset) -> None:
        """Take a made asset into the draft, unchecked."""
        self.archive.assets[asset.asset_id] = asset
        if asset.blob and self not in asset.blob.holders:
            asset.blob.holders += (self,)
        self.draft.put(asset, self.archive.now())

    # --- the Dandiset itself

    def changed(self) -> None:
        """Note a change of the draft that came over HTTP; it is validated some time later."""
        self.draft.wait(self.archive.now())
        self.archive.jobs.later(self.validate)

    def validate(self) -> None:
        """Validate what came over HTTP, as far as nothing keeps it waiting."""
        with self.archive.lock:
            self.draft.validate(self.archive.now())

    def set_metadata(self, metadata: dict[str, Any], *, verbatim: bool = False) -> None:
        """Give the draft other metadata; the same again changes nothing.

        With ``verbatim`` it is the whole record, answered as it is.
        """
        with self.archive.lock:
            draft = self.draft
            least = {"schemaVersion": self.archive.schema_version, "name": draft.name}
            given = metadata if verbatim else least | metadata
            if given != draft.given or verbatim != draft.verbatim:
                draft.given, draft.verbatim = given, verbatim
                draft.touch(self.archive.now())

    def set_embargo(self, status: str) -> None:
        """``OPEN``, ``EMBARGOED`` or ``UNEMBARGOING``; asset ids, blobs and their times stay."""
        with self.archive.lock:
            if status == OPEN and self.embargo_status != OPEN:
                self._unembargoed = self.archive.now().date()
            self.embargo_status = status
            self.draft.touch(self.archive.now())

    def access(self) -> list[dict[str, str]]:
        """``access`` of the versions; the date stays in the open record after an embargo."""
        if not self.is_open:
            until = {"status": "dandi:EmbargoedAccess", "embargoedUntil": self.embargo_end.isoformat()}
            return [OPEN_ACCESS[0] | until]
        if self._unembargoed:
            return [OPEN_ACCESS[0] | {"embargoedUntil": self._unembargoed.isoformat()}]
        return OPEN_ACCESS

    @property
    def asset_access(self) -> list[dict[str, str]]:
        """``access`` of the assets; it has no date once it is open."""
        return OPEN_ACCESS if self.is_open else self.access()

    def forget(self) -> None:
        """Drop what the versions computed from their assets."""
        for version in self.versions.values():
            version.forget()

    def row(self) -> dict[str, Any]:
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

    def record(self, *, detail: bool) -> dict[str, Any]:
        """With both versions, as in the list of Dandisets or, with ``detail``, alone."""
        published = self.published
        newest = published[-1].row(detail=detail) if published else None
        draft = self.draft.row(detail=detail)
        return self.row() | {"most_recent_published_version": newest, "draft_version": draft}

    # --- publishing

    def publish(
        self,
        version: str | None = None,
        created: datetime | str | None = None,
        metadata: dict[str, Any] | None = None,
        *,
        release_notes: str = "",
        unchecked: bool = False,
    ) -> Version:
        """Publish the draft.  A given ``version`` replays history: then nothing is refused.

        ``metadata`` is the whole record, answered as it is.

        Raises:
            Refused: as the server does (nothing changed, pending, invalid, a Zarr, embargoed).
        """
        with self.archive.lock:
            if version is None and not unchecked:
                publishing.check(self)
            when = moment(created) if created else self.archive.now()
            return publishing.publish(self, version, when, metadata, release_notes)

    def delete_version(self, name: str) -> None:
        """Let a published version vanish, as an admin can."""
        with self.archive.lock:
            if name == DRAFT:
                raise Refused(403, "Cannot delete draft versions")
            del self.versions[name]


def _default_metadata() -> dict[str, Any]:
    return {
        "description": "An informative description",
        "license": ["spdx:CC0-1.0"],
        "contributor": [
            {
                "name": "Owner, Olive",
                "email": "owner@nil.nil",
                "roleName": ["dcite:Author", "dcite:ContactPerson"],
                "schemaKey": "Person",
                "includeInCitation": True,
            }
        ],
    }


def _created(version: Version) -> datetime:
    return version.created
