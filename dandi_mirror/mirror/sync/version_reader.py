"""Read a version from the archive: its record, with its DOI if it is published, and its assets, admitted or refused.

A listing is believed only if it did not change while it was read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from datetime import timedelta
from itertools import chain, islice
from typing import Any

from dandi_mirror import canonical
from dandi_mirror.archive.api.client import Archive
from dandi_mirror.archive.api.listing import Unstable, asset_pages, newest_rows
from dandi_mirror.errors import BadAnswerError, NotFoundError
from dandi_mirror.mirror.format.admission import ContentHosts, Refusal, admit_row
from dandi_mirror.mirror.format.record_spool import Spool
from dandi_mirror.mirror.format.tree import Listing, dandiset_yaml
from dandi_mirror.model import Asset, DandisetRow, Kind, VersionRow, is_asset_id
from dandi_mirror.paths import conflicts

WHILE_LOADING = 32
"""Pages that may come while the cache of the draft is loaded."""
MOST_CHANGED = 400
"""With more changed assets than this, a sync reads the whole draft."""
DOI_WITHIN = timedelta(days=30)
"""So long a sync waits for the DOI of a new version, if the archive makes DOIs."""
TRIES = 3
"""How often a sync reads a listing that changes meanwhile, before it gives up."""


def unseen(asset: Asset) -> None:
    """Do nothing with an asset before its listing is complete."""


class VersionReader:
    """Reads the versions of one Dandiset; the records go into the spool."""

    def __init__(
        self,
        archive: Archive,
        dandiset: str,
        hosts: ContentHosts,
        spool: Spool,
        seen: Callable[[Asset], None],
    ) -> None:
        """``seen`` is called with each asset as it comes, though the listing may still turn out to have changed."""
        self._archive = archive
        self._dandiset = dandiset
        self._hosts = hosts
        self._spool = spool
        self._seen = seen

    def draft(self, row: DandisetRow, known: Future[dict[str, Asset]] | None) -> tuple[DandisetRow, Listing]:
        """The Dandiset as the archive lists it, and the draft at that time.

        ``known`` are assets by id that need not be read again while the archive lists them as before.

        Raises:
            Unstable: the draft changed each time.
        """
        for attempt in range(1, TRIES + 1):
            try:
                listing = self._changed(row.draft, known) if known and attempt == 1 else None
                listing = listing or self._version(row.draft, repeats=attempt == TRIES)
            except (Unstable, NotFoundError):
                listing = None
            again = self._archive.dandiset(self._dandiset)
            if listing and self._held_still(listing, again.draft):
                return again, listing
            row = again
        raise Unstable(f"{self._dandiset}: the draft changed whenever it was read; the next run tries again")

    def _held_still(self, listing: Listing, now: VersionRow) -> bool:
        """Whether nothing has changed from the start of a listing until ``now``, after its end."""
        if listing.row.asset_count != now.asset_count:
            return False
        if listing.row.modified == now.modified:
            return True
        # validation moves the draft's time and no asset, for a long time: so compare the assets themselves
        try:
            pages = asset_pages(self._archive, self._dandiset, now.version, metadata=False)
            return sum(map(_hash, chain.from_iterable(pages))) == listing.rows and self._yaml(now) == listing.yaml
        except (Unstable, NotFoundError):
            return False

    def published(self, row: VersionRow, *, is_new: bool) -> Listing | None:
        """A published version; None if it ``is_new`` in the mirror and waits for its DOI.

        Raises:
            Unstable: the pages of the listing never fitted together.
        """
        for attempt in range(1, TRIES + 1):
            try:
                return self._version(row, repeats=attempt == TRIES, with_doi=is_new)
            except _WithoutDoi:
                break
            except Unstable:
                if attempt == TRIES:
                    raise
        return None

    def _lacks_doi(self, row: VersionRow, metadata: Mapping[str, object]) -> bool:
        """Whether the archive will still give a version its DOI, which changes the version's record.

        The time is the archive's, so that no mirror's clock decides what a tag contains.
        """
        if metadata.get("doi") or not self._archive.mints_dois:
            return False
        return self._archive.session.now - row.created < DOI_WITHIN

    def _changed(self, row: VersionRow, loading: Future[dict[str, Asset]]) -> Listing | None:
        """Read what has changed of a version since the cache was stored; None if it is better to read everything."""
        metadata, yaml = self._metadata(row)
        found = _Found(self._spool, self._seen)
        unknown: set[str] = set()
        rows = 0
        pages = asset_pages(self._archive, self._dandiset, row.version, metadata=False)
        first = list(islice(pages, WHILE_LOADING))
        known = loading.result()
        for item in chain.from_iterable(chain(first, pages)):
            rows += _hash(item)
            asset = _still(item, known)
            if asset:
                found.assets[asset.path] = asset
            elif isinstance(item, dict) and is_asset_id(item.get("asset_id")):
                unknown.add(item["asset_id"])
            else:
                return None
        if len(unknown) > MOST_CHANGED or len(found.assets) + len(unknown) != row.asset_count:
            return None
        for item in newest_rows(self._archive, self._dandiset, row.version, 2 * len(unknown) + 1):
            admitted = admit_row(item, self._hosts)
            if _has_moved(admitted, known):
                return None
            asset_id = admitted.asset_id if isinstance(admitted, Refusal) else admitted[0].asset_id
            if asset_id in unknown:
                unknown.discard(asset_id)
                found.add(admitted)
        try:
            return None if unknown else Listing(row, metadata, yaml, found.assets, found.finish(), rows)
        except _NotRead:
            return None

    def _metadata(self, row: VersionRow) -> tuple[Mapping[str, object], bytes]:
        metadata = self._archive.version_metadata(self._dandiset, row.version)
        try:
            yaml = dandiset_yaml(metadata)
        except canonical.NotCanonical as error:
            raise BadAnswerError(f"{self._dandiset}@{row.version}: the Dandiset's record: {error}") from None
        return metadata, yaml

    def _yaml(self, row: VersionRow) -> bytes:
        return self._metadata(row)[1]

    def _version(self, row: VersionRow, *, repeats: bool, with_doi: bool = False) -> Listing:
        metadata, yaml = self._metadata(row)
        if with_doi and self._lacks_doi(row, metadata):
            raise _WithoutDoi
        found = _Found(self._spool, self._seen)
        rows = hashes = 0
        for page in asset_pages(self._archive, self._dandiset, row.version, repeats=repeats):
            rows += len(page)
            for item in page:
                hashes += _hash(item)
                found.add(admit_row(item, self._hosts))
        if rows != row.asset_count:
            # an empty list from an archive in trouble, or a change since the row was read
            raise Unstable(f"{self._dandiset}@{row.version}: {rows} assets listed, {row.asset_count} announced")
        return Listing(row, metadata, yaml, found.assets, found.finish(), hashes)


class _NotRead(Exception):
    """A refusal needs a record that was not read again."""


class _WithoutDoi(Exception):
    """The version waits for its DOI."""


def _hash(row: Any) -> int:
    """A hash of an entry of a listing without its metadata; 0 if it cannot be an asset's."""
    try:
        return hash((row["asset_id"], row["path"], row["size"], row["modified"], row.get("blob"), row.get("zarr")))
    except (KeyError, TypeError, AttributeError):
        return 0


def _still(row: Any, known: Mapping[str, Asset]) -> Asset | None:
    """The known asset that a listing has, if it lists the asset as before."""
    try:
        asset = known[row["asset_id"]]
        same = asset.path == row["path"] and asset.modified == row["modified"] and asset.size == row["size"]
        return asset if same and row.get("zarr") is None else None
    except (KeyError, TypeError):
        return None  # another one, or no row at all


def _has_moved(admitted: tuple[Asset, bytes] | Refusal, known: Mapping[str, Asset]) -> bool:
    """Whether the content of a known asset has another URL now: then the others may have, too."""
    if isinstance(admitted, Refusal) or admitted[0].asset_id not in known:
        return False
    return admitted[0].content_url != known[admitted[0].asset_id].content_url


class _Found:
    """Collects the assets and refusals of one listing, in whatever order they come."""

    def __init__(self, spool: Spool, seen: Callable[[Asset], None]) -> None:
        self.assets: dict[str, Asset] = {}
        self._refused: set[Refusal] = set()
        self._nameless: list[Refusal] = []
        self._clashing: dict[str, list[Asset]] = {}
        self._spool = spool
        self._seen = seen

    def add(self, admitted: tuple[Asset, bytes] | Refusal) -> None:
        if isinstance(admitted, Refusal):
            if admitted.asset_id:
                self._refused.add(admitted)
            else:
                self._nameless.append(admitted)
            return
        asset, record = admitted
        other = self.assets.get(asset.path)
        if other is not None and other.asset_id == asset.asset_id and self._record(other) == record:
            return  # the same row once more
        asset.record = self._spool.put(record)
        self.assets[asset.path] = asset
        self._seen(asset)
        if other is not None:
            self._clashing.setdefault(asset.path, [other]).append(asset)

    def finish(self) -> tuple[Refusal, ...]:
        """Take out assets that cannot be in one tree, all of each conflict; return the refusals, in a fixed order."""
        for path, assets in self._clashing.items():
            del self.assets[path]
            self._refused.update(self._clash(asset, "another asset has the same path") for asset in assets)
        ids = Counter([asset.asset_id for asset in self.assets.values()])
        for path in [path for path, asset in self.assets.items() if ids[asset.asset_id] > 1]:
            self._refused.add(self._clash(self.assets.pop(path), "another asset has the same id"))
        for path, reason in conflicts(self.assets).items():
            self._refused.add(self._clash(self.assets.pop(path), reason))
        return tuple(sorted([*self._refused, *self._nameless], key=_place))

    def _clash(self, asset: Asset, reason: str) -> Refusal:
        record = self._record(asset)
        if record is None:
            raise _NotRead
        return Refusal(
            Kind.REFUSED,
            asset.path,
            reason,
            asset.asset_id,
            asset.size,
            asset.sha256,
            record,
            asset.content_url,
        )

    def _record(self, asset: Asset) -> bytes | None:
        return None if asset.record is None else self._spool.get(asset.record)


def _place(refusal: Refusal) -> tuple[str, bytes, str, str]:
    return refusal.asset_id, refusal.record or b"", refusal.path, refusal.reason
