"""Wait for work that the archive does in the background."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection

from dandi_mirror.archive.api.client import PAGE, ArchiveClient
from dandi_mirror.archive.api.listing import newest_entries
from dandi_mirror.digests import SHA256, digest_in
from dandi_mirror.model import DRAFT

_FIRST, _LONGEST = 0.2, 10.0
"""Seconds between two looks: at first, and at most."""
SETTLING = 5.0
"""Seconds that a draft is given to be validated once all its checksums are there; a sync need not wait for it."""


def until(done: Callable[[], bool], seconds: float) -> bool:
    """Poll, less and less often, until ``done`` returns true; returns whether that happened in time."""
    end, pause = time.monotonic() + seconds, _FIRST
    while not done():
        left = end - time.monotonic()
        if left <= 0:
            return False
        time.sleep(min(pause, left))
        pause = min(2 * pause, _LONGEST)
    return True


def until_known(archive: ArchiveClient, dandiset: str, assets: Collection[str], seconds: float) -> bool:
    """Wait until the archive has computed the SHA-256 of new assets, so many seconds at most; whether it has."""

    def settled() -> bool:
        return archive.dandiset(dandiset).draft.settled

    def known() -> bool:
        entries = newest_entries(archive, dandiset, DRAFT, len(assets) + PAGE // 10)
        waiting = {_id(entry) for entry in entries if not _has_sha256(entry)}
        return waiting.isdisjoint(assets)

    if not until(known if len(assets) < PAGE // 2 else settled, seconds):
        return False
    until(settled, min(seconds, SETTLING))
    return True


def _id(entry: object) -> str:
    return str(entry.get("asset_id")) if isinstance(entry, dict) else ""


def _has_sha256(entry: object) -> bool:
    return isinstance(entry, dict) and bool(digest_in(entry.get("metadata"), SHA256))
