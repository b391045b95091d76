"""What the archive computes from records alone: a citation, and the checksum of a Zarr."""

from __future__ import annotations

import hashlib
import json
from typing import Any


def citation(record: dict[str, Any], year: int) -> str:
    """As the server cites: with the contributors that ask for it, and the DOI where there is one."""
    name = str(record["name"]).rstrip(".")
    where = f"https://doi.org/{record['doi']}" if record.get("doi") else record["url"]
    people = [p for p in record.get("contributor") or [] if isinstance(p, dict)]
    cited = "; ".join(str(p.get("name")) for p in people if p.get("includeInCitation"))
    rest = f"(Version {record['version']}) [Data set]. DANDI Archive. {where}"
    return f"{cited} ({year}) {name} {rest}" if cited else f"{name} ({year}). {rest}"


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
