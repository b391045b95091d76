"""Find the reasons why a draft cannot be published, before the archive is asked to; and publish it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from dandi_mirror.archive.api.client import Archive
from dandi_mirror.archive.api.drafts import publish
from dandi_mirror.archive.api.rows import json_object
from dandi_mirror.errors import PartError, TemporaryError
from dandi_mirror.model import DRAFT, DandisetRow
from dandi_mirror.upload.change.waiting import until

SHOWN = 10
"""The number of errors that are named; the others are counted."""
LONGEST_NOTES = 5000
"""Letters of release notes that the archive takes."""
MOST_WAITING = 50
"""So many files the archive names that it still validates."""
_AT_WORK = "asset is currently being validated"
"""What the archive says about an asset, instead of an error, as long as it validates it."""


def obstacles(archive: Archive, row: DandisetRow, web: str) -> Iterator[str]:
    """Each reason why the archive would not publish the draft, with what to do about it.

    ``web`` is where its owners edit it.
    """
    if not row.is_open:
        yield f"it is under embargo ({row.embargo_status}); open it first, on {web}"
    if row.draft.asset_count == 0:
        yield "it has no files; send some: dandi-mirror upload"
    if zarr := _zarr(archive, row.identifier):
        yield f"it has a Zarr ({zarr}), and the archive publishes no Dandiset that has one or ever had one"
    info = _info(archive, row.identifier)
    status = info.get("status")
    if status == "Published":
        yield "nothing has changed since it was last published"
    elif status == "Publishing":
        yield "it is being published just now; run dandi-mirror sync when that is done"
    elif status in {"Pending", "Validating"}:
        yield "the archive has not validated it yet; run this again later, or wait longer: --wait 30m"
    elif row.draft.asset_count:
        # a draft is Valid by its own record, also while its files are still looked at
        yield from _errors(info, web, valid=status == "Valid")


def _errors(info: dict[str, object], web: str, *, valid: bool) -> Iterator[str]:
    mine = [_words(error) for error in _list(info.get("version_validation_errors"))]
    files = [_words(error) for error in _list(info.get("asset_validation_errors")) if not _is_at_work(error)]
    if waiting := _at_work(info):
        count = f"{len(waiting)}{' and more' if len(waiting) >= MOST_WAITING else ''}"
        yield (
            f"the archive still validates {count} of its files (one is {waiting[0]}); "
            "run this again later, or wait longer: --wait 30m"
        )
    yield from (f"its record: {words}; edit it on {web}" for words in mine[:SHOWN])
    yield from (f"{words}; correct the file and upload it, see dandi-mirror validate" for words in files[:SHOWN])
    if (more := len(mine[SHOWN:]) + len(files[SHOWN:])) > 0:
        yield f"{more:,} more errors, see {web}"
    if not (valid or mine or files or waiting):
        yield f"the archive calls it invalid and does not say why; see {web}"


def _is_at_work(error: Any) -> bool:
    return str(error.get("message") or "").startswith(_AT_WORK)


def _at_work(info: dict[str, object]) -> list[str]:
    """Files that the archive still validates; it names the first of them only."""
    errors = _list(info.get("asset_validation_errors"))
    return [str(error.get("path") or "") for error in errors if _is_at_work(error)]


def _words(error: Any) -> str:
    field, message, path = (str(error.get(key) or "") for key in ("field", "message", "path"))
    return ": ".join(part for part in (path, field, message) if part)


def _list(value: object) -> list[Any]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _info(archive: Archive, dandiset: str) -> dict[str, object]:
    path = f"/dandisets/{dandiset}/versions/{DRAFT}/info/"
    return json_object(archive.session.get(path), path)


def _zarr(archive: Archive, dandiset: str) -> str:
    """The name of a Zarr that the archive keeps for the Dandiset, though no file of the draft may be it."""
    path = "/zarr/"
    rows = _list(json_object(archive.session.get(path, dandiset=dandiset, page_size=1), path).get("results"))
    return str(rows[0].get("name") or rows[0].get("zarr_id")) if rows else ""


def until_validated(archive: Archive, dandiset: str, seconds: float) -> DandisetRow:
    """The Dandiset's row when the archive has validated its draft and all files of it, or so many seconds later."""

    def validated() -> bool:
        return archive.dandiset(dandiset).draft.settled and not _at_work(_info(archive, dandiset))

    until(validated, seconds)
    return archive.dandiset(dandiset)


def publish_draft(archive: Archive, row: DandisetRow, seconds: float, notes: str = "") -> str:
    """Publish a draft and wait until the archive is done with it; the version.

    If the archive mints DOIs, that of the version is waited for, too; one that does not come in time is left to a sync.

    Raises:
        PartError: the archive does not.
        TemporaryError: it was not done in time; it may be later.
    """
    before = {version.version for version in archive.versions(row.identifier)[0]}
    end = time.monotonic() + seconds
    publish(archive.session, row.identifier, notes)
    until(lambda: archive.dandiset(row.identifier).draft.settled, seconds)
    now = archive.dandiset(row.identifier)
    new = [version for version in archive.versions(row.identifier)[0] if version.version not in before]
    if not now.draft.settled or (new and not new[-1].settled):
        raise TemporaryError(
            f"{row.identifier}: the archive is still at it; look later: dandi-mirror sync {row.identifier}"
        )
    if not new:
        raise PartError(f"{row.identifier}: the archive did not publish it (its draft is {now.draft.status})")
    version = new[-1].version
    if archive.mints_dois:
        until(lambda: bool(archive.version_metadata(row.identifier, version).get("doi")), end - time.monotonic())
    return version
