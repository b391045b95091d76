"""Content for previews: of files that are not here by ranges, and the entries of Zarrs; through the cache of blocks."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path

from dandi_mirror.archive.zarr_entry import ZarrEntry
from dandi_mirror.catalogue.parts import RemoteFile, RemoteZarr
from dandi_mirror.catalogue.previews import content_file
from dandi_mirror.errors import TemporaryError
from dandi_mirror.files.opening import open_regular
from dandi_mirror.mirror.locate.zarr_mirrors import all_sources
from dandi_mirror.mirror.state.layout import Mirror
from dandi_mirror.mirror.zarr.entries import entry_key
from dandi_mirror.mirror.zarr.repository import ZarrRepositories
from dandi_mirror.repo.annex.keys import annex_key
from dandi_mirror.repo.annex.repository import AnnexRepository
from dandi_mirror.serve.cache.cache import BlockCache, RemoteContent
from dandi_mirror.serve.content import entry_content

LONGEST = 60.0
"""Seconds for one range, however often it is asked for again."""


class Looking:
    """What previews of a mirror's files are made from.

    Without a cache, no request is sent; of a Dandiset under embargo only with ``closed``: then the owner's key goes
    along.
    """

    def __init__(
        self, mirror: Mirror, cache: BlockCache | None, hosts: frozenset[str], *, closed: bool = False
    ) -> None:
        """``hosts``: those besides the archive's own and S3 that may have content."""
        self._mirror, self._cache, self._hosts, self._closed = mirror, cache, hosts, closed

    def file(
        self, dandiset: str, path: str, size: int, sha256: str, *, embargoed: bool = False
    ) -> Path | RemoteFile | None:
        """The content of a file: in the mirror, else at the archive; None if it is not here and no request is sent."""
        key = annex_key(size, sha256, path)
        dataset = self._mirror.dataset(dandiset)
        if file := content_file(dataset.git_dir, key):
            return file
        if not self._cache or not size or (embargoed and not self._closed):
            return None

        def urls() -> tuple[str, ...]:
            clone = AnnexRepository(dataset.path)
            clone.read_config()
            known = dict(clone.facts([key])).get(key)
            # the API's own only redirects to the bucket
            return tuple(sorted(known.urls, key=lambda url: "/assets/" in url)) if known else ()

        return _CachedFile(self._cache, RemoteContent(f"SHA256-s{size}--{sha256}", size, sha256, urls))

    def zarr(self, dandiset: str, zarr_id: str, checksum: str, *, embargoed: bool = False) -> RemoteZarr | None:
        """The entries of a Zarr in a state; None if none is here and no request is sent.

        Raises:
            MirrorError: they are not known here.
        """
        repositories = ZarrRepositories(self._mirror.path)
        cache = None if embargoed and not self._closed else self._cache
        if not cache and not repositories.exists(zarr_id):
            return None
        entries = {entry.path: entry for entry in self._mirror.manifests.entries(zarr_id, checksum)}
        clone = AnnexRepository(self._mirror.dataset(dandiset).path)
        clone.read_config()
        sources = all_sources(clone, self._mirror, dandiset, self._hosts)(zarr_id)
        # the best one is the last
        return _Zarr(repositories, zarr_id, entries, cache, lambda one: sources.urls(zarr_id, one))


class _CachedFile(RemoteFile):
    def __init__(self, cache: BlockCache, content: RemoteContent) -> None:
        self._cache, self._content = cache, content
        self.size, self.block = content.size, content.block

    def holds(self, start: int, stop: int) -> bool:
        return self._cache.holds(self._content, start, stop)

    def read(self, start: int, stop: int) -> bytes:
        """In a thread of its own: a server that sends a byte a minute keeps every other time limit."""
        found: list[bytes] = []
        failed: list[BaseException] = []

        def fetch() -> None:
            try:
                found.append(b"".join(self._cache.read(self._content, start, stop)))
            except BaseException as error:
                failed.append(error)

        thread = threading.Thread(target=fetch, daemon=True)
        thread.start()
        thread.join(LONGEST)
        if failed:
            raise failed[0]
        if not found:
            raise TemporaryError(f"the archive did not send a part of the file within {LONGEST:.0f} seconds")
        return found[0]


class _Zarr(RemoteZarr):
    def __init__(
        self,
        repositories: ZarrRepositories,
        zarr_id: str,
        entries: dict[str, ZarrEntry],
        cache: BlockCache | None,
        urls: Callable[[ZarrEntry], list[str]],
    ) -> None:
        self._repositories, self._zarr_id, self._entries = repositories, zarr_id, entries
        self._cache, self._urls = cache, urls
        self.asks = cache is not None

    @cached_property
    def _git_dir(self) -> Path | None:
        exists = self._repositories.exists(self._zarr_id)
        return self._repositories.dataset(self._zarr_id).git_dir if exists else None

    @cached_property
    def paths(self) -> Mapping[str, int]:
        return {path: entry.size for path, entry in self._entries.items()}

    def here(self, path: str) -> bytes | None:
        entry = self._entries[path]
        if not self._git_dir:
            return None
        file = content_file(self._git_dir, entry_key(path, entry.size, entry.etag))
        if not file:
            return None
        try:
            with os.fdopen(open_regular(file), "rb") as opened:
                content = opened.read(entry.size + 1)
        except OSError:
            return None
        return content if len(content) == entry.size else None

    def remote(self, path: str) -> RemoteFile:
        entry = self._entries[path]
        content = entry_content(self._repositories, self._zarr_id, entry, lambda: self._urls(entry))
        if not self._cache or not content.remote:
            raise TemporaryError(f"{path} has gone meanwhile")
        return _CachedFile(self._cache, content.remote)
