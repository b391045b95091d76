"""The cache of a mirror: content of the archive, block by block, for ``serve`` and for previews."""

from __future__ import annotations

from dataclasses import replace

from dandi_mirror.addresses import Allowed
from dandi_mirror.archive.content.sources import TransferSettings
from dandi_mirror.archive.http.retry import RetryPolicy
from dandi_mirror.archive.instances import api_url
from dandi_mirror.config import Settings
from dandi_mirror.mirror.state.layout import Mirror
from dandi_mirror.repo.annex import settings as annex_settings
from dandi_mirror.serve.cache.blocks import BlockStore
from dandi_mirror.serve.cache.cache import BlockCache
from dandi_mirror.serve.cache.upstream import Upstream
from dandi_mirror.workflows.access.tokens import content_access

CACHE = "cache"
"""The folder of the cache in a mirror's ``.dandi-mirror``."""
CACHE_SIZE = 20_000_000_000
"""Bytes that it has at most, if the settings do not say another size."""
POLICY = RetryPolicy(attempts=4, backoff=0.5, max_retry_after=10.0, read_timeout=30.0)
"""Somebody waits for each answer; programs that read by ranges try again by themselves."""


def cache_of(mirror: Mirror, settings: Settings, *, offline: bool, closed: bool) -> BlockCache:
    """The cache of a mirror: what is not in it comes from the archive, unless ``offline``.

    Only for a server of ``closed`` content the archive is asked with the owner's API key, and only by its own URLs.
    """
    limit = CACHE_SIZE if settings.cache_size is None else settings.cache_size
    store = BlockStore(mirror.own / CACHE, limit)
    if offline:
        return BlockCache(store, None)
    mirror.make_own()
    addresses = annex_settings.allowed_addresses(annex_settings.read(mirror.path))
    api = api_url(settings.instance)
    allowed = Allowed.named(api, frozenset(settings.content_hosts), addresses)
    access = content_access(settings.instance, allowed) if closed else TransferSettings(api, None, allowed)
    return BlockCache(store, Upstream(replace(access, policy=POLICY)))
