"""What keeps a draft from being published, in words, before the archive is asked; and publishing it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dandi_mirror.archive.client import Archive
from dandi_mirror.archive.drafts import publish
from dandi_mirror.archive.rows import json_object
from dandi_mirror.errors import PartError, TemporaryError
from dandi_mirror.model import DRAFT, DandisetRow
from dandi_mirror.upload.waiting import until

SHOWN = 10
"""So many errors are named; the others are counted."""


def obstacles(archive: Archive, row: DandisetRow, web: str) -> Iterator[str]:
    """Each reason why the archive would not publish the draft, with what to do about it.

    ``web`` is where its owners edit it.
    """
    if not row.is_open:
        yield f"it is under embargo ({row.embargo_status}); open it first, on {web}"
    if row.draft.asset_count == 0:
        yield "it holds no files; bring some: dandi-mirror upload"
    if _has_zarr(archive, row.identifier):
        yield "it holds Zarrs, and the archive does not publish those yet"
    info = _info(archive, row.identifier)
    status = info.get("status")
    if status == "Published":
        yield "nothing has changed since it was last published"
    elif status == "Publishing":
        yield "it is being published just now; run dandi-mirror sync when that is done"
    elif status == "Pending":
        yield "the archive has not validated it yet; run this again later, or wait longer: --wait 30m"
    elif status != "Valid" and row.draft.asset_count:
        yield from _errors(info, web)


def _errors(info: dict[str, object], web: str) -> Iterator[str]:
    mine = [_words(error) for error in _list(info.get("version_validation_errors"))]
    files = [_words(error) for error in _list(info.get("asset_validation_errors"))]
    yield from (f"its record: {words}; edit it on {web}" for words in mine[:SHOWN])
    yield from (f"{words}; correct the file and upload it, see dandi-mirror validate" for words in files[:SHOWN])
    if (more := len(mine[SHOWN:]) + len(files[SHOWN:])) > 0:
        yield f"{more:,} more errors, see {web}"
    if not mine and not files:
        yield f"the archive calls it invalid and does not say why; see {web}"


def _words(error: Any) -> str:
    field, message, path = (str(error.get(key) or "") for key in ("field", "message", "path"))
    return ": ".join(part for part in (path, field, message) if part)


def _list(value: object) -> list[Any]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _info(archive: Archive, dandiset: str) -> dict[str, object]:
    path = f"/dandisets/{dandiset}/versions/{DRAFT}/info/"
    return json_object(archive.session.get(path), path)


def _has_zarr(archive: Archive, dandiset: str) -> bool:
    path = f"/dandisets/{dandiset}/versions/{DRAFT}/assets/"
    return bool(json_object(archive.session.get(path, zarr="true", page_size=1), path).get("results"))


def until_validated(archive: Archive, dandiset: str, seconds: float) -> DandisetRow:
    """The Dandiset's row when the archive has validated its draft, or so many seconds later."""
    until(lambda: archive.dandiset(dandiset).draft.settled, seconds)
    return archive.dandiset(dandiset)


def publish_draft(archive: Archive, row: DandisetRow, seconds: float) -> str:
    """Publish a draft and wait until the archive is done with it; the version.

    Raises:
        PartError: the archive does not.
        TemporaryError: it was not done in time; it may be later.
    """
    before = {version.version for version in archive.versions(row.identifier)[0]}
    publish(archive.session, row.identifier)
    until(lambda: archive.dandiset(row.identifier).draft.settled, seconds)
    now = archive.dandiset(row.identifier)
    new = [version for version in archive.versions(row.identifier)[0] if version.version not in before]
    if not now.draft.settled or (new and not new[-1].settled):
        raise TemporaryError(
            f"{row.identifier}: the archive is still at it; look later: dandi-mirror sync {row.identifier}"
        )
    if not new:
        raise PartError(f"{row.identifier}: the archive did not publish it (its draft is {now.draft.status})")
    return new[-1].version
