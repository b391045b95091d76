"""Whether a list entry of an asset is as the last sync admitted it: pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dandi_mirror.mirror.format.admission import Refusal
from dandi_mirror.model import Asset


def entry_hash(entry: Any) -> int:
    """A hash of an entry of a listing without its metadata; 0 if it cannot be an asset's."""
    try:
        zarr = entry.get("zarr")
        # that of a Zarr is 0 while a client changes it
        size = entry["size"] if zarr is None else 0
        return hash((entry["asset_id"], entry["path"], size, entry["modified"], entry.get("blob"), zarr))
    except (KeyError, TypeError, AttributeError):
        return 0


def as_before(entry: Any, known: Mapping[str, Asset]) -> Asset | None:
    """The known asset, by its id, if a listing has it as before."""
    try:
        asset = known[entry["asset_id"]]
        same = asset.path == entry["path"] and asset.modified == entry["modified"]
        if zarr := entry.get("zarr"):
            # whatever its size: the list of Zarrs tells its state
            return asset if same and asset.zarr == zarr else None
        return asset if same and not asset.zarr and asset.size == entry["size"] else None
    except (KeyError, TypeError):
        return None  # another one, or no list entry at all


def has_moved(admitted: tuple[Asset, bytes] | Refusal, known: Mapping[str, Asset]) -> bool:
    """Whether the content of a known asset has another URL now: then the others may have, too."""
    if isinstance(admitted, Refusal) or admitted[0].asset_id not in known:
        return False
    return admitted[0].content_url != known[admitted[0].asset_id].content_url
