"""What the archive sums up over the assets of a version: folders, and ``assetsSummary``."""

from __future__ import annotations

from typing import Any, NamedTuple

from dandi_mirror.embedded.rules.names import folders_of
from dandi_mirror.embedded.store.assets import StoredAsset


class Folder(NamedTuple):
    """One entry of ``assets/paths/``: a folder (``asset`` is None) or a file."""

    path: str
    files: int
    size: int
    asset: StoredAsset | None


def summary(assets: list[StoredAsset]) -> dict[str, Any]:
    """``assetsSummary``: files, bytes, and the subjects that first folders ``sub-…`` name."""
    size = sum(asset.size for asset in assets)
    numbers = {"schemaKey": "AssetsSummary", "numberOfBytes": size, "numberOfFiles": len(assets)}
    if not assets:
        return numbers
    tops = {asset.path.split("/", 1)[0] for asset in assets}
    lists: dict[str, Any] = {
        key: [] for key in ("species", "approach", "dataStandard", "variableMeasured", "measurementTechnique")
    }
    return lists | numbers | {"numberOfSubjects": sum(top.startswith("sub-") for top in tops)}


def tree(assets: list[StoredAsset]) -> dict[str, dict[str, Folder]]:
    """The children of every folder, with the sums of their files and bytes."""
    levels: dict[str, dict[str, Folder]] = {}
    for asset in assets:
        parent = ""
        for folder in folders_of(asset.path):
            level = levels.setdefault(parent, {})
            held = level.get(folder, Folder(folder, 0, 0, None))
            level[folder] = Folder(folder, held.files + 1, held.size + asset.size, held.asset)
            parent = folder
        levels.setdefault(parent, {})[asset.path] = Folder(asset.path, 1, asset.size, asset)
    return levels
