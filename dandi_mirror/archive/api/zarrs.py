"""The API's calls about Zarrs: their states, and the files of one; the shape of each response is checked."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from dandi_mirror.archive.api import client
from dandi_mirror.archive.api.client import ArchiveClient
from dandi_mirror.archive.api.entries import json_object
from dandi_mirror.archive.zarr_entry import MOST_ENTRIES, ZarrEntry, check_etag, check_key, check_size, checked_time
from dandi_mirror.errors import BadAnswerError
from dandi_mirror.model import is_asset_id
from dandi_mirror.zarr_checksum import counts_of, is_checksum

COMPLETE, PENDING = "Complete", "Pending"
"""Statuses of a Zarr that is at rest, and of one whose entries may change; in between the archive reads it."""


@dataclass(frozen=True, slots=True)
class ListedZarr:
    """A Zarr as the archive lists it."""

    zarr_id: str
    status: str
    """``Pending``, ``Uploaded``, ``Ingesting`` or ``Complete``."""
    checksum: str
    """``<md5>-<files>--<bytes>``; empty while the archive has none: then a client is changing the Zarr."""
    file_count: int
    size: int
    """Bytes of all files; like ``file_count``, 0 while there is no checksum."""


class ZarrListing:
    """The Zarrs that the archive lists, by id; an entry is checked when it is read."""

    def __init__(self, answers: Iterable[object], path: str) -> None:
        """``answers`` as the API gives them at ``path``.

        Raises:
            BadAnswerError: an entry does not even have the id of a Zarr, or has that of another one.
        """
        self._path = path
        self._answers: dict[str, dict[str, object]] = {}
        for answer in answers:
            zarr_id = answer.get("zarr_id") if isinstance(answer, dict) else None
            if not isinstance(answer, dict) or not isinstance(zarr_id, str) or zarr_id in self._answers:
                raise BadAnswerError(f"{path}: an entry without an id of its own; run the command again")
            self._answers[zarr_id] = answer

    def get(self, zarr_id: str) -> ListedZarr | None:
        """One Zarr; None if the archive does not list it, or lists it malformed."""
        try:
            return listed_zarr(self._answers[zarr_id], self._path)
        except (KeyError, BadAnswerError):
            return None

    def ids(self) -> list[str]:
        """The ids of all Zarrs, sorted."""
        return sorted(filter(is_asset_id, self._answers))

    def keys(self) -> dict[str, str]:
        """Dandiset → one string that changes when the archive changes the state of any of its Zarrs."""
        lines: dict[str, list[str]] = {}
        for zarr_id, answer in self._answers.items():
            lines.setdefault(str(answer.get("dandiset")), []).append(f"{zarr_id} {answer.get('checksum')}\n")
        return {dandiset: _key(states) for dandiset, states in lines.items()}

    def key(self) -> str:
        """The same string for all Zarrs of the listing together; empty if there are none."""
        return _key([f"{zarr_id} {answer.get('checksum')}\n" for zarr_id, answer in self._answers.items()])


def _key(states: list[str]) -> str:
    """Their number and a digest; the number tells how many pages it takes to list them again."""
    text = "".join(sorted(states)).encode(errors="backslashreplace")
    return f"{len(states)} {hashlib.sha256(text).hexdigest()}" if states else ""


def listed_zarr(answer: object, path: str) -> ListedZarr:
    """A Zarr's entry from the API's JSON.

    Raises:
        BadAnswerError: it is malformed.
    """
    row = json_object(answer, path)
    zarr_id, status, checksum = row.get("zarr_id"), row.get("status"), row.get("checksum")
    count, size = row.get("file_count"), row.get("size")
    if not is_asset_id(zarr_id) or not isinstance(status, str) or type(count) is not int or type(size) is not int:
        raise BadAnswerError(f"{path}: not a Zarr's entry")
    if checksum is None:
        return ListedZarr(zarr_id, status, "", 0, 0)
    if not isinstance(checksum, str) or not is_checksum(checksum) or (count, size) != counts_of(checksum):
        raise BadAnswerError(f"{path}: a Zarr whose checksum, number of files and size contradict each other")
    return ListedZarr(zarr_id, status, checksum, count, size)


def list_zarrs(archive: ArchiveClient, dandiset: str = "") -> ZarrListing:
    """The Zarrs of a Dandiset, or all of the archive, those also that no version holds.

    Raises:
        BadAnswerError: the list is not what the API promises, or changed while it was read.
    """
    path = "/zarr/"
    return ZarrListing(archive.counted(path, **({"dandiset": dandiset} if dandiset else {})), path)


def zarr_state(archive: ArchiveClient, zarr_id: str) -> ListedZarr:
    """The state of one Zarr.

    Raises:
        NotFoundError: there is none, or the user may not see it.
        BadAnswerError: the response is not what the API promises.
    """
    path = f"/zarr/{zarr_id}/"
    row = listed_zarr(archive.session.get(path), path)
    if row.zarr_id != zarr_id:
        raise BadAnswerError(f"{path} answers for another Zarr")
    return row


def api_entries(archive: ArchiveClient, zarr_id: str, prefix: str = "") -> Iterator[ZarrEntry]:
    """The files of a Zarr whose paths begin with ``prefix``, as the API lists them, in the order of their paths.

    They come without versions of the bucket.

    Raises:
        BadAnswerError: the list is not what the API promises.
    """
    path, last = f"/zarr/{zarr_id}/files/", ""
    where = {"prefix": prefix} if prefix else {}
    for _ in range(MOST_ENTRIES // client.PAGE):
        answer = json_object(archive.session.get(path, **where, after=last, limit=client.PAGE), path)
        rows = answer.get("results")
        if not isinstance(rows, list):
            raise BadAnswerError(f"{path}: a page without results")
        before = last
        for row in rows:
            entry = _entry(row, path)
            if not entry.path:
                continue  # the folder itself can be an object, too
            if entry.path <= last:
                raise BadAnswerError(f"{path}: {entry.path!a:.200} is not in its order")
            last = entry.path
            yield entry
        if not answer.get("next"):
            return
        if last == before:
            break
    raise BadAnswerError(f"{path}: its list of pages does not end")


def _entry(row: object, path: str) -> ZarrEntry:
    facts = json_object(row, path)
    try:
        key, size, etag = check_key(facts.get("Key")), check_size(facts.get("Size")), check_etag(facts.get("ETag"))
        return ZarrEntry(key, size, etag, None, checked_time(facts.get("LastModified")))
    except ValueError as error:
        raise BadAnswerError(f"{path}: {error}") from None
