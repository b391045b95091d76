"""Read a version from the archive: its record, with its DOI if it is published, and its assets, admitted or refused.

A listing is believed only if it did not change while it was read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from itertools import chain, islice

from dandi_mirror import canonical
from dandi_mirror.archive.api.client import ArchiveClient
from dandi_mirror.archive.api.listing import Unstable, asset_pages, newest_entries, newest_pages
from dandi_mirror.errors import BadAnswerError, NotFoundError
from dandi_mirror.mirror.format.admission import ContentHosts, Refusal, admit_entry
from dandi_mirror.mirror.format.record_spool import Spool
from dandi_mirror.mirror.format.tree import Listing, dandiset_yaml
from dandi_mirror.mirror.state.known_draft import DraftAssets, KnownDraft, SpoiltMemory
from dandi_mirror.mirror.sync.found_assets import FoundAssets, NotRead
from dandi_mirror.mirror.sync.known_assets import KnownAssets
from dandi_mirror.mirror.sync.listed_assets import as_before, entry_hash, has_moved
from dandi_mirror.mirror.sync.newest import Doubt, NewestEntries
from dandi_mirror.model import Asset, ListedDandiset, ListedVersion, is_asset_id
from dandi_mirror.paths import conflicts, folders_of

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
        archive: ArchiveClient,
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

    def draft(self, entry: ListedDandiset, known: KnownAssets | None) -> tuple[ListedDandiset, Listing]:
        """The Dandiset as the archive lists it, and the draft at that time.

        ``known`` are assets that need not be read again while the archive lists them as before.

        Raises:
            Unstable: the draft changed each time.
        """
        for attempt in range(1, TRIES + 1):
            try:
                listing = None
                if known and attempt == 1:
                    listing = self._newest(entry.draft, known) or self._changed(entry.draft, known)
                listing = listing or self._version(entry.draft, repeats=attempt == TRIES)
            except (Unstable, NotFoundError):
                listing = None
            again = self._archive.dandiset(self._dandiset)
            if listing and self._held_still(listing, again.draft):
                return again, listing
            entry = again
        raise Unstable(f"{self._dandiset}: the draft changed whenever it was read; the next run tries again")

    def _held_still(self, listing: Listing, now: ListedVersion) -> bool:
        """Whether nothing has changed from the start of a listing until ``now``, after its end."""
        if listing.entry.asset_count != now.asset_count:
            return False
        if listing.entry.modified == now.modified:
            return True
        # validation moves the draft's time and no asset, for a long time: so compare the assets themselves
        try:
            fingerprint = sum(map(entry_hash, self._again(now.version, listing.newest)))
            return fingerprint == listing.fingerprint and self._yaml(now) == listing.yaml
        except (BadAnswerError, NotFoundError):
            return False

    def _again(self, version: str, newest: int) -> Iterator[object]:
        """The entries without metadata, of which a listing's fingerprint is: the ``newest``, or all if that is 0."""
        if not newest:
            return chain.from_iterable(asset_pages(self._archive, self._dandiset, version, metadata=False))
        pages = newest_pages(self._archive, self._dandiset, version, newest, metadata=False)
        return islice(chain.from_iterable(page.entries for page in pages), newest)

    def published(self, entry: ListedVersion, *, is_new: bool) -> Listing | None:
        """A published version; None if it ``is_new`` in the mirror and waits for its DOI.

        Raises:
            Unstable: the pages of the listing never fitted together.
        """
        for attempt in range(1, TRIES + 1):
            try:
                return self._version(entry, repeats=attempt == TRIES, with_doi=is_new)
            except _WithoutDoi:
                break
            except Unstable:
                if attempt == TRIES:
                    raise
        return None

    def _lacks_doi(self, entry: ListedVersion, metadata: Mapping[str, object]) -> bool:
        """Whether the archive will still give a version its DOI, which changes the version's record.

        The time is the archive's, so that no mirror's clock decides what a tag contains.
        """
        if metadata.get("doi") or not self._archive.mints_dois:
            return False
        return self._archive.session.now - entry.created < DOI_WITHIN

    def _newest(self, entry: ListedVersion, known: KnownAssets) -> Listing | None:
        """Read only the newest entries; None if these do not prove that the others are as before."""
        try:
            if not (table := known.table()):
                return None
            newest = NewestEntries(table, entry, self._archive.session.now)
            for page in newest_pages(self._archive, self._dandiset, entry.version, newest.first):
                counted = page.counted
                newest.add(page.entries, last=page.last)
                if newest.enough:
                    break
            replaced = newest.replaced(counted)
            before = table.by_id({item["asset_id"] for item in newest.unchanged})
            if any(has_moved(admit_entry(item, self._hosts), before) for item in newest.unchanged):
                return None
            found = FoundAssets(self._spool, self._seen)
            for item in newest.changed:
                found.add(admit_entry(item, self._hosts))
            assets, refusals = self._with_rest(found, newest, known, table, replaced, before)
        except (Doubt, SpoiltMemory, NotRead, BadAnswerError):
            return None
        metadata, yaml = self._metadata(entry)
        return Listing(entry, metadata, yaml, assets, refusals, newest.fingerprint, newest=newest.read)

    def _with_rest(
        self, found: FoundAssets, newest: NewestEntries, known: KnownAssets, table: KnownDraft,
        replaced: list[Asset], before: Mapping[str, Asset],
    ) -> tuple[Mapping[str, Asset], tuple[Refusal, ...]]:  # fmt: skip
        """What was found with the assets that were not read: these are loaded only if something is in their way."""
        gone = {asset.asset_id for asset in replaced}
        if not newest.complete and found.is_simple and not _in_the_way(found.assets, table, replaced):
            return DraftAssets(table, found.assets, replaced, known.loaded), ()
        rest = before if newest.complete else known.loaded()
        if not newest.complete and len(rest) != table.totals.files:
            raise SpoiltMemory("not all assets can be loaded")
        found.assets |= {asset.path: asset for asset in rest.values() if asset.asset_id not in gone}
        return found.assets, found.finish()

    def _changed(self, entry: ListedVersion, loading: KnownAssets) -> Listing | None:
        """Read what has changed of a version since the cache was stored; None if it is better to read everything."""
        loading.begin()
        metadata, yaml = self._metadata(entry)
        found = FoundAssets(self._spool, self._seen)
        unknown: set[str] = set()
        fingerprint = 0
        pages = asset_pages(self._archive, self._dandiset, entry.version, metadata=False)
        first = list(islice(pages, WHILE_LOADING))
        known = loading.loaded()
        for item in chain.from_iterable(chain(first, pages)):
            fingerprint += entry_hash(item)
            asset = as_before(item, known)
            if asset:
                found.assets[asset.path] = asset
            elif isinstance(item, dict) and is_asset_id(item.get("asset_id")):
                unknown.add(item["asset_id"])
            else:
                return None
        if len(unknown) > MOST_CHANGED or len(found.assets) + len(unknown) != entry.asset_count:
            return None
        for item in newest_entries(self._archive, self._dandiset, entry.version, 2 * len(unknown) + 1):
            admitted = admit_entry(item, self._hosts)
            if has_moved(admitted, known):
                return None
            asset_id = admitted.asset_id if isinstance(admitted, Refusal) else admitted[0].asset_id
            if asset_id in unknown:
                unknown.discard(asset_id)
                found.add(admitted)
        try:
            return None if unknown else Listing(entry, metadata, yaml, found.assets, found.finish(), fingerprint)
        except NotRead:
            return None

    def _metadata(self, entry: ListedVersion) -> tuple[Mapping[str, object], bytes]:
        metadata = self._archive.version_metadata(self._dandiset, entry.version)
        try:
            yaml = dandiset_yaml(metadata)
        except canonical.NotCanonical as error:
            raise BadAnswerError(f"{self._dandiset}@{entry.version}: the Dandiset's record: {error}") from None
        return metadata, yaml

    def _yaml(self, entry: ListedVersion) -> bytes:
        return self._metadata(entry)[1]

    def _version(self, entry: ListedVersion, *, repeats: bool, with_doi: bool = False) -> Listing:
        metadata, yaml = self._metadata(entry)
        if with_doi and self._lacks_doi(entry, metadata):
            raise _WithoutDoi
        found = FoundAssets(self._spool, self._seen)
        count = fingerprint = 0
        for page in asset_pages(self._archive, self._dandiset, entry.version, repeats=repeats):
            count += len(page)
            for item in page:
                fingerprint += entry_hash(item)
                found.add(admit_entry(item, self._hosts))
        if count != entry.asset_count:
            # an empty list from an archive in trouble, or a change since the list entry was read
            raise Unstable(f"{self._dandiset}@{entry.version}: {count} assets listed, {entry.asset_count} announced")
        return Listing(entry, metadata, yaml, found.assets, found.finish(), fingerprint)


def _in_the_way(found: Mapping[str, Asset], table: KnownDraft, replaced: list[Asset]) -> bool:
    """Whether one of the new paths is a folder of known or new assets, or below one."""
    new = found.keys() - {asset.path for asset in replaced}
    above = {folder for path in new for folder in folders_of(path)}
    return bool(conflicts(found) or table.by_path(above) or any(map(table.is_folder, new)))


class _WithoutDoi(Exception):
    """The version waits for its DOI."""
