"""What the last sync knew of a draft, opened or loaded when it is needed."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Executor, Future

from dandi_mirror.mirror.format.admission import ContentHosts
from dandi_mirror.mirror.state.asset_cache import AssetCache
from dandi_mirror.mirror.state.known_draft import KnownDraft
from dandi_mirror.model import Asset


class KnownAssets:
    """The assets of one draft: as a table that is asked by key, or all of them."""

    def __init__(self, cache: AssetCache, hosts: ContentHosts, beside: Executor, *, by_key: bool) -> None:
        """``by_key``: whether the table may be used; ``beside`` loads all while something else is done."""
        self._cache = cache
        self._hosts = hosts
        self._beside = beside
        self._by_key = by_key
        self._table: KnownDraft | None = None
        self._loading: Future[dict[str, Asset]] | None = None
        self._all: dict[str, Asset] | None = None

    def table(self) -> KnownDraft | None:
        """The table; None if it cannot be used."""
        if self._by_key and not self._table:
            self._table = self._cache.known(self._hosts)
        return self._table

    def begin(self) -> None:
        """Begin to load all assets, which are needed soon."""
        if not self._loading and self._all is None:
            self._loading = self._beside.submit(self._cache.load, self._hosts)

    def loaded(self) -> Mapping[str, Asset]:
        """All assets by id; none if the file cannot be used."""
        if self._loading:
            return self._loading.result()
        if self._all is None:
            self._all = self._cache.load(self._hosts)
        return self._all

    def close(self) -> None:
        """Close the table."""
        if self._table:
            self._table.close()
