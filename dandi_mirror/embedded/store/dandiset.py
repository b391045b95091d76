"""A Dandiset of the embedded archive, and every change that a test may make to it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from dandi_mirror.embedded.bucket.contents import Content, pieces
from dandi_mirror.embedded.bucket.zarr_files import FirstFiles
from dandi_mirror.embedded.rules.names import check_path
from dandi_mirror.embedded.rules.refusals import Refused
from dandi_mirror.embedded.rules.values import moment
from dandi_mirror.embedded.store import publishing
from dandi_mirror.embedded.store.assets import StoredAsset
from dandi_mirror.embedded.store.blobs import Blob
from dandi_mirror.embedded.store.catalog import Catalog
from dandi_mirror.embedded.store.identity import OPEN, DandisetIdentity
from dandi_mirror.embedded.store.making import made, own, recorded_source, replayed
from dandi_mirror.embedded.store.versions import DRAFT, Version
from dandi_mirror.embedded.store.zarr import Zarr


class Dandiset(DandisetIdentity):
    """One Dandiset: its draft and its published versions."""

    archive: Catalog

    def __init__(
        self, archive: Catalog, identifier: str, created: datetime, name: str, metadata: dict[str, Any] | None
    ) -> None:
        super().__init__(identifier, created)
        self.archive = archive
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

    def active_uploads(self) -> int:
        """As in :class:`DandisetIdentity`."""
        return sum(upload.dandiset is self for upload in self.archive.uploads.values())

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
        entry: Mapping[str, Any] | None = None,
        verbatim: bool = False,
        unchecked: bool = False,
    ) -> StoredAsset:
        """Put an asset into the draft.

        ``entry`` is a recorded entry of a listing, with its metadata: id, times and record are kept; only
        ``contentUrl`` and ``digest`` follow this server, or, with ``verbatim``, nothing at all.
        ``unchecked`` lets any path in, and adds nothing to the metadata.

        Raises:
            Refused: as the server refuses a path (400, 409).
        """
        with self.archive.lock:
            if entry is not None:
                source = blob or recorded_source(self.archive, self, entry)
                asset = replayed(self, entry, source, verbatim=verbatim)
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
    ) -> StoredAsset:
        """Put a new asset, at the end of the default order, in the place of the one at ``path``."""
        with self.archive.lock:
            old = self._at(path)
            given = own(old) if metadata is None else metadata
            new = made(self, path, blob or old.source, given, asset_id)
            new.created = new.modified = moment(created) if created else new.created
            self.draft.take_out(old, new.created)
            self.enter(new)
        return new

    def rename_asset(self, old: str, new: str, *, unchecked: bool = False) -> StoredAsset:
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
        """Take the asset at ``path`` out of the draft; the asset's own URL stays valid."""
        with self.archive.lock:
            self.draft.take_out(self._at(path), self.archive.now())

    def add_zarr(
        self,
        name: str,
        *,
        size: int = 0,
        checksum: str | None = None,
        files: Mapping[str, Content] | None = None,
        first: FirstFiles | None = None,
        zarr_id: str | None = None,
    ) -> Zarr:
        """A Zarr archive of this Dandiset; without ``checksum`` it is Pending.  An asset gives it a path.

        It holds ``files``, or what ``first`` computes when somebody asks.
        """
        with self.archive.lock:
            zarr = self.archive.add_zarr(self, name, size=size or None, checksum=checksum, first=first, zarr_id=zarr_id)
            zarr.begin_with((files or {}).items())
            for path, content in (files or {}).items():
                self.archive.bucket.put(zarr.key + path, b"".join(pieces(content)))
        return zarr

    def _at(self, path: str) -> StoredAsset:
        asset = self.draft.asset_at(path)
        if asset is None:
            raise Refused(404, {"detail": f"no asset at {path!r} in the draft of {self.identifier}"})
        return asset

    def enter(self, asset: StoredAsset) -> None:
        """Put an asset into the draft without checking its path."""
        self.archive.assets[asset.asset_id] = asset
        if asset.blob and self not in asset.blob.holders:
            asset.blob.holders += (self,)
        self.draft.put(asset, self.archive.now())

    # --- the Dandiset itself

    def changed(self) -> None:
        """Note a change of the draft that came over HTTP; the archive validates it some time later."""
        self.draft.wait(self.archive.now())
        self.archive.jobs.later(self.validate)

    def validate(self) -> None:
        """Validate changes that came over HTTP, unless an asset still waits for its SHA-256."""
        with self.archive.lock:
            self.draft.validate(self.archive.now())

    def set_metadata(self, metadata: dict[str, Any], *, verbatim: bool = False) -> None:
        """Replace the metadata of the draft; equal metadata change nothing.

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

    def forget(self) -> None:
        """Drop what the versions computed from their assets."""
        for version in self.versions.values():
            version.forget()

    def record(self, *, detail: bool) -> dict[str, Any]:
        """With both versions, as in the list of Dandisets or, with ``detail``, alone."""
        published = self.published
        newest = published[-1].entry(detail=detail) if published else None
        draft = self.draft.entry(detail=detail)
        return self.entry() | {"most_recent_published_version": newest, "draft_version": draft}

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
                self.check_publishable()
            when = moment(created) if created else self.archive.now()
            made = publishing.publish(self.draft, version, self.versions, when, metadata, release_notes)
            self.versions[made.version] = made
            return made

    def check_publishable(self) -> None:
        """Refuse to publish what the server would not.

        Raises:
            Refused: 400, 409 or 423 with the server's words.
        """
        zarrs = self.archive.zarrs.values()
        publishing.check(self.draft, has_zarrs=any(zarr.dandiset is self for zarr in zarrs))

    def delete_version(self, name: str) -> None:
        """Delete a published version, as an admin can."""
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
