"""What the archive computes from records alone: a citation, and the checksum of a Zarr."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from json.encoder import encode_basestring_ascii
from typing import Any


def citation(record: dict[str, Any], year: int) -> str:
    """As the server cites: with the contributors that ask for it, and the DOI where there is one."""
    name = str(record["name"]).rstrip(".")
    where = f"https://doi.org/{record['doi']}" if record.get("doi") else record["url"]
    people = [p for p in record.get("contributor") or [] if isinstance(p, dict)]
    cited = "; ".join(str(p.get("name")) for p in people if p.get("includeInCitation"))
    rest = f"(Version {record['version']}) [Data set]. DANDI Archive. {where}"
    return f"{cited} ({year}) {name} {rest}" if cited else f"{name} ({year}). {rest}"


def zarr_checksum(entries: Iterable[tuple[str, int, str]]) -> str:
    """The checksum over a Zarr's files (path, size in bytes, ETag), sorted by path: ``<md5>-<files>--<bytes>``.

    Each folder is the JSON of what it holds, folders first, and its checksum the MD5 of that.
    """
    open_folders = [_Folder("")]
    for path, size, etag in entries:
        while not path.startswith(open_folders[-1].prefix):
            _close(open_folders)
        folder = open_folders[-1]
        *between, name = path[len(folder.prefix) :].split("/")
        for part in between:
            folder = _Folder(f"{folder.prefix}{part}/", part)
            open_folders.append(folder)
        folder.files.append((name, _held(etag, name, size)))
        folder.count += 1
        folder.size += size
    while len(open_folders) > 1:
        _close(open_folders)
    return open_folders[0].checksum()


@dataclass(slots=True)
class _Folder:
    """A folder of which more entries may come: what it holds, as names with JSON."""

    prefix: str
    name: str = ""
    folders: list[tuple[str, str]] = field(default_factory=list)
    files: list[tuple[str, str]] = field(default_factory=list)
    count: int = 0
    size: int = 0

    def checksum(self) -> str:
        """``<md5>-<files>--<bytes>`` of all that it holds."""
        folders, files = (",".join(text for _, text in sorted(held)) for held in (self.folders, self.files))
        text = f'{{"directories":[{folders}],"files":[{files}]}}'
        md5 = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
        return f"{md5}-{self.count}--{self.size}"


def _close(open_folders: list[_Folder]) -> None:
    """End the innermost folder and note it in the one above."""
    done = open_folders.pop()
    above = open_folders[-1]
    above.folders.append((done.name, _held(done.checksum(), done.name, done.size)))
    above.count += done.count
    above.size += done.size


def _held(digest: str, name: str, size: int) -> str:
    return f'{{"digest":"{digest}","name":{encode_basestring_ascii(name)},"size":{size}}}'
