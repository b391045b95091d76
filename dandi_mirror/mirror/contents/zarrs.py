"""What a Zarr holds, as the archive lists it.

A Zarr is a folder of very many small files at S3, of which the archive knows a checksum over all of them.  It changes
in place: what is listed is believed only when its checksum is the one that the archive has of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

from dandi_mirror.archive.api.client import PAGE, Archive
from dandi_mirror.archive.api.rows import json_object
from dandi_mirror.errors import BadAnswerError, NotFoundError, PartError
from dandi_mirror.mirror.contents.local import File
from dandi_mirror.paths import conflicts, refuse_path

MOST_FILES = 10_000_000
"""In one Zarr; a listing that goes on behind it is no listing."""
_MD5 = re.compile(r"[0-9a-f]{32}")


def entries(archive: Archive, zarr: File, inside: str = "") -> list[File]:
    """The files of a Zarr, or of a file or folder ``inside`` it, sorted by path.

    Raises:
        NotFoundError: there is no such Zarr, or nothing at that place in it.
        PartError: it is being changed, or holds what cannot be brought.
        BadAnswerError: an answer that is not what the API promises.
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
    """The rows of its list, page by page."""
    path, after = f"/zarr/{zarr}/files/", ""
    for _ in range(MOST_FILES // PAGE):
        answer = json_object(archive.session.get(path, prefix=prefix, after=after, limit=PAGE), path)
        rows = answer.get("results")
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise BadAnswerError(f"{path}: a page without results")
        yield from rows
        last = str(rows[-1].get("Key", "")) if rows else ""
        if not answer.get("next"):
            return
        if last <= after:
            break
        after = last
    raise BadAnswerError(f"{path}: its pages have no end")


def _entry(zarr: File, row: Mapping[str, object]) -> File:
    key, size, etag = row.get("Key"), row.get("Size"), row.get("ETag")
    path = f"{zarr.path}/{key}"
    if reason := refuse_path(path):
        raise PartError(f"{zarr.path}: {key!a:.200} in it cannot be brought: {reason}")
    if type(size) is not int or size < 0 or not isinstance(etag, str) or not _MD5.fullmatch(etag):
        raise PartError(f"{path}: the archive has no size and MD5 by which it could be verified")
    url = f"{zarr.url.rstrip('/')}/{quote(str(key))}" if zarr.url else None
    time = str(row.get("LastModified", ""))
    return File(path, size, "", time=time, url=url, zarr=zarr.zarr, entry=str(key), md5=etag)


def _check(archive: Archive, zarr: File, found: list[File]) -> None:
    """See that these are all of its files, and no mixture of two states of it."""
    from zarr_checksum.tree import ZarrChecksumTree

    facts = json_object(archive.session.get(path := f"/zarr/{zarr.zarr}/"), path)
    if facts.get("status") != "Complete":
        raise PartError(f"{zarr.path}: the archive is still taking it in; run this again later")
    tree = ZarrChecksumTree()
    for file in found:
        tree.add_leaf(Path(file.entry), file.size or 0, file.md5)
    if str(tree.process()) != facts.get("checksum"):
        raise PartError(f"{zarr.path}: what is listed of it lacks its checksum; it may be changing, run this again")
