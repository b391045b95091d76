"""List the files of a Zarr from the archive, and verify the list by the Zarr's checksum.

A Zarr is a folder of many small files at S3.  The archive has one checksum over all of them.  A Zarr can change in
place, so a list counts only if the checksum that is computed from it equals that of the archive.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

from dandi_mirror.archive.api.client import PAGE, Archive
from dandi_mirror.archive.api.rows import json_object
from dandi_mirror.errors import BadAnswerError, NotFoundError, PartError
from dandi_mirror.mirror.contents.files import VersionFile
from dandi_mirror.paths import conflicts, refuse_path

MOST_FILES = 10_000_000
"""Most files in one Zarr; a longer list is an error of the archive."""
_MD5 = re.compile(r"[0-9a-f]{32}")


def zarr_files(archive: Archive, zarr: VersionFile, inside: str = "") -> list[VersionFile]:
    """Return the files of a Zarr, or only a file or folder ``inside`` it, sorted by path.

    Raises:
        NotFoundError: there is no such Zarr, or no such file or folder in it.
        PartError: it is changing, or has a file that cannot be downloaded.
        BadAnswerError: the archive's answer is not what its API promises.
    """
    inside = inside.rstrip("/")
    found = [_entry(zarr, row) for row in _rows(archive, zarr.zarr, inside)]
    if inside:
        found = [file for file in found if file.entry == inside or file.entry.startswith(f"{inside}/")]
        if not found:
            raise NotFoundError(f"{zarr.path} has no {inside}")
    else:
        _check(archive, zarr, found)
    if clash := conflicts(file.path for file in found):
        raise PartError(f"{zarr.path}: {next(iter(clash))} is a file and a folder at once")
    return sorted(found, key=lambda file: file.path)


def _rows(archive: Archive, zarr: str, prefix: str) -> Iterator[dict[str, object]]:
    """Yield the entries of the archive's list, page by page."""
    path, after = f"/zarr/{zarr}/files/", ""
    for _ in range(MOST_FILES // PAGE):
        answer = json_object(archive.session.get(path, prefix=prefix, after=after, limit=PAGE), path)
        rows = answer.get("results")
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise BadAnswerError(f"{path}: a page has no results")
        yield from rows
        last = str(rows[-1].get("Key", "")) if rows else ""
        if not answer.get("next"):
            return
        if last <= after:
            break
        after = last
    raise BadAnswerError(f"{path}: its list of pages does not end")


def _entry(zarr: VersionFile, row: Mapping[str, object]) -> VersionFile:
    """Return the file of one entry of the list."""
    key, size, etag = row.get("Key"), row.get("Size"), row.get("ETag")
    path = f"{zarr.path}/{key}"
    if reason := refuse_path(path):
        raise PartError(f"{zarr.path}: its file {key!a:.200} cannot be downloaded: {reason}")
    if type(size) is not int or size < 0 or not isinstance(etag, str) or not _MD5.fullmatch(etag):
        raise PartError(f"{path}: the archive gives no size and MD5 to verify it with")
    url = f"{zarr.url.rstrip('/')}/{quote(str(key))}" if zarr.url else None
    time = str(row.get("LastModified", ""))
    return VersionFile(path, size, "", time=time, url=url, zarr=zarr.zarr, entry=str(key), md5=etag)


def _check(archive: Archive, zarr: VersionFile, found: list[VersionFile]) -> None:
    """Check that these are all files of a Zarr, and of one state of it."""
    from zarr_checksum.tree import ZarrChecksumTree

    facts = json_object(archive.session.get(path := f"/zarr/{zarr.zarr}/"), path)
    if facts.get("status") != "Complete":
        raise PartError(f"{zarr.path}: the archive is still processing it; run the command again later")
    tree = ZarrChecksumTree()
    for file in found:
        tree.add_leaf(Path(file.entry), file.size or 0, file.md5)
    if str(tree.process()) != facts.get("checksum"):
        raise PartError(
            f"{zarr.path}: the listed files do not have its checksum; it may be changing, run the command again"
        )
