"""What the archive computes over a version's assets and metadata: summary, citation, folders.  Pure."""

from __future__ import annotations

import hashlib
import json
from typing import Any, NamedTuple

from dandi_mirror.embedded.assets import Asset
from dandi_mirror.embedded.rules import folders_of


class Folder(NamedTuple):
    """One row of ``assets/paths/``: a folder (``asset`` is None) or a file."""

    path: str
    files: int
    size: int
    asset: Asset | None


def summary(assets: list[Asset]) -> dict[str, Any]:
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


def citation(record: dict[str, Any], year: int) -> str:
    """As the server cites: with the contributors that ask for it, and the DOI where there is one."""
    name = str(record["name"]).rstrip(".")
    where = f"https://doi.org/{record['doi']}" if record.get("doi") else record["url"]
    people = [p for p in record.get("contributor") or [] if isinstance(p, dict)]
    cited = "; ".join(str(p.get("name")) for p in people if p.get("includeInCitation"))
    rest = f"(Version {record['version']}) [Data set]. DANDI Archive. {where}"
    return f"{cited} ({year}) {name} {rest}" if cited else f"{name} ({year}). {rest}"


def tree(assets: list[Asset]) -> dict[str, dict[str, Folder]]:
    """Every folder's children, files and folders summed up."""
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


def zarr_checksum(entries: list[tuple[str, int, str]]) -> str:
    """The checksum over a Zarr's files (path, size in bytes, MD5): ``<md5>-<files>--<bytes>``.

    Each folder is the JSON of what it holds, folders first, and its checksum the MD5 of that.
    """
    files: list[dict[str, Any]] = []
    folders: dict[str, list[tuple[str, int, str]]] = {}
    for path, size, md5 in entries:
        top, slash, rest = path.partition("/")
        if slash:
            folders.setdefault(top, []).append((rest, size, md5))
        else:
            files.append({"digest": md5, "name": path, "size": size})
    inner = [
        {"digest": zarr_checksum(below), "name": name, "size": sum(size for _, size, _ in below)}
        for name, below in sorted(folders.items())
    ]
    held = {"directories": inner, "files": sorted(files, key=lambda file: str(file["name"]))}
    md5 = hashlib.md5(json.dumps(held, separators=(",", ":")).encode(), usedforsecurity=False).hexdigest()
    return f"{md5}-{len(entries)}--{sum(size for _, size, _ in entries)}"
