"""The assets and refusals of one listing, as they come; what cannot be in one tree together is refused at the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from dandi_mirror.mirror.format.admission import Refusal
from dandi_mirror.mirror.format.record_spool import Spool
from dandi_mirror.model import Asset, FindingKind
from dandi_mirror.paths import conflicts


class NotRead(Exception):
    """A refusal needs a record that was not read again."""


class FoundAssets:
    """Collects the assets and refusals of one listing, in whatever order they come."""

    def __init__(self, spool: Spool, seen: Callable[[Asset], None], assets: dict[str, Asset] | None = None) -> None:
        """``assets`` by path are those that need not come."""
        self.assets = {} if assets is None else assets
        self._refused: set[Refusal] = set()
        self._nameless: list[Refusal] = []
        self._clashing: dict[str, list[Asset]] = {}
        self._spool = spool
        self._seen = seen

    def add(self, admitted: tuple[Asset, bytes] | Refusal) -> None:
        """Take in an entry of the listing."""
        if isinstance(admitted, Refusal):
            if admitted.asset_id:
                self._refused.add(admitted)
            else:
                self._nameless.append(admitted)
            return
        asset, record = admitted
        other = self.assets.get(asset.path)
        if other is not None and other.asset_id == asset.asset_id and self._record(other) == record:
            return  # the same list entry once more
        asset.record = self._spool.put(record)
        self.assets[asset.path] = asset
        self._seen(asset)
        if other is not None:
            self._clashing.setdefault(asset.path, [other]).append(asset)

    @property
    def is_simple(self) -> bool:
        """Whether nothing was refused, and no two assets have the same path."""
        return not (self._refused or self._nameless or self._clashing)

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
            raise NotRead
        return Refusal(
            FindingKind.REFUSED,
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
