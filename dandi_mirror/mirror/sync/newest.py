"""What the newest list entries of a draft show, so that the other entries need not be read.

The archive lists the assets of a draft newest first.  A change gives an asset a new ``modified``, so what has changed
since the last sync comes first.  A path is unique within a draft.  So if the archive counts as many assets as the last
sync knew and new paths have come, no other asset can be gone, and those that were not read are as they were.

Wherever this might be wrong, :class:`Doubt` sends the caller back to the whole listing.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from dandi_mirror.mirror.state.known_draft import TIME, KnownDraft
from dandi_mirror.mirror.sync.listed_assets import as_before, entry_hash
from dandi_mirror.model import Asset, ListedVersion, is_asset_id, parse_time

MARGIN = timedelta(hours=1)
"""An asset may become visible so long after its ``modified``: servers' clocks differ, and transactions take time."""
FEWEST = 100
"""So many entries are read besides those within the margin."""
BEHIND = 20
"""So many known entries must come after the last one that is not known."""
MOST = 1600
"""Of more entries than this, and than a tenth of the draft, the whole listing is read instead."""
_SECOND = 19
"""Characters of a time up to its seconds; by these, times of the API are in order as texts."""


class Doubt(Exception):
    """The newest entries do not prove that all others are as the last sync left them."""


class NewestEntries:
    """Compares the entries of a draft, as they come newest first, with the assets that the last sync knew."""

    def __init__(self, known: KnownDraft, entry: ListedVersion, now: datetime) -> None:
        """``known`` is what the last sync knew, ``entry`` the draft as listed before, ``now`` the archive's time.

        Raises:
            Doubt: the archive's clock was wrong once, or too many entries would have to be read.
        """
        self._known = known
        self._entry = entry
        if not known.totals.files or known.totals.strange_times:
            raise Doubt("nothing is known, or a time is not written as the API does")
        if known.totals.files != known.totals.listed:
            raise Doubt("an asset that was refused or waits is not known, and could make up for one that is gone")
        newest = _time(known.newest())
        if newest > entry.modified or newest > now + MARGIN:
            raise Doubt("a time has stepped back, so what is newer may be listed behind what is older")
        self._until = _second((newest - MARGIN).isoformat())
        self._most = max(MOST, entry.asset_count // 10)
        within = len(known.since(self._until))
        self.first = within + FEWEST
        """So many entries are to be read first."""
        if self.first > self._most:
            raise Doubt("as much to read as the whole listing")
        self.changed: list[Any] = []
        """The entries that are not as the last sync knew them."""
        self.unchanged: list[Any] = []
        """The other entries that were read."""
        self.read = 0
        """Entries so far."""
        self.fingerprint = 0
        """A sum over them."""
        self._oldest = "9"
        self._behind = 0
        self._ids: set[str] = set()
        self._paths: set[str] = set()
        self.complete = False
        """Whether these are all entries of the draft."""

    def add(self, entries: list[object], *, last: bool) -> None:
        """Compare some more entries; ``last`` if no others follow.

        Raises:
            Doubt: the entries are not those of one listing in its order, or too many.
        """
        facts = [_facts(entry) for entry in entries]
        known = self._known.by_id({asset_id for asset_id, _, _ in facts})
        for entry, of in zip(entries, facts, strict=True):
            self._add(entry, of, known)
        self.complete = last
        if self.read > self._most and not self.enough:
            raise Doubt("as much to read as the whole listing")

    @property
    def enough(self) -> bool:
        """Whether no entry that has changed can follow."""
        return self.complete or (self._behind >= BEHIND and self._oldest < self._until)

    def replaced(self, count: int) -> list[Asset]:
        """The known assets that gave way to what has changed; the draft has all others as they were.

        ``count`` are all assets that the archive counts.

        Raises:
            Doubt: an asset that was not read may have changed.
        """
        if count != self._entry.asset_count or (self.complete and self.read != count):
            raise Doubt("the draft has changed since it was listed")
        replaced = self._known.by_path({entry["path"] for entry in self.changed})
        if self.complete:
            return []
        if self._known.totals.files - len(replaced) + len(self.changed) != count:
            raise Doubt("an asset is gone")
        for asset_id, path in self._known.since(self._behind_oldest()):
            if asset_id not in self._ids and path not in replaced:
                raise Doubt(f"{path} should be among what was read")
        self._check_sizes(list(replaced.values()))
        return list(replaced.values())

    def _behind_oldest(self) -> str:
        """A text behind all times of the second of the oldest entry, as far as these are written as the API does."""
        return f"{self._oldest}~"

    def _add(self, entry: Any, facts: tuple[str, str, str], known: dict[str, Asset]) -> None:
        asset_id, path, modified = facts
        if asset_id in self._ids or path in self._paths or _second(modified) > self._oldest:
            raise Doubt("an asset is listed twice, or out of order")
        self._ids.add(asset_id)
        self._paths.add(path)
        self._oldest = _second(modified)
        self.read += 1
        self.fingerprint += entry_hash(entry)
        if as_before(entry, known):
            self.unchanged.append(entry)
            self._behind += 1
            return
        if asset_id in known and known[asset_id].path != path:
            raise Doubt("an asset has moved under its id")
        self.changed.append(entry)
        self._behind = 0

    def _check_sizes(self, replaced: list[Asset]) -> None:
        """Compare the bytes of all assets; those of a Zarr lag behind, so a draft with Zarrs is not compared."""
        if self._known.totals.zarrs or any(entry.get("zarr") for entry in self.changed):
            return
        size = self._known.totals.size - sum(asset.size for asset in replaced)
        if size + sum(_size(entry) for entry in self.changed) != self._entry.size:
            raise Doubt("an asset of another size is among those that were not read")


def _facts(entry: Any) -> tuple[str, str, str]:
    """Id, path and time of an entry."""
    if not isinstance(entry, dict):
        raise Doubt("no asset")
    asset_id, path, modified = entry.get("asset_id"), entry.get("path"), entry.get("modified")
    if not is_asset_id(asset_id) or not isinstance(path, str) or not isinstance(modified, str):
        raise Doubt("no asset")
    if not TIME.fullmatch(modified):
        raise Doubt("a time that is not written as the API does")
    return asset_id, path, modified


def _size(entry: dict[str, object]) -> int:
    size = entry.get("size")
    if type(size) is not int:
        raise Doubt("no size")
    return size


def _second(modified: str) -> str:
    return modified[:_SECOND]


def _time(modified: str) -> datetime:
    try:
        return parse_time(modified)
    except ValueError:
        raise Doubt("a time that cannot be read") from None
