"""Find the reasons why a draft cannot be published, before the archive is asked to; and publish it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from dandi_mirror.archive.api.client import ArchiveClient
from dandi_mirror.archive.api.dandiset_changes import publish
from dandi_mirror.archive.api.entries import json_object
from dandi_mirror.errors import PartError, TemporaryError
from dandi_mirror.model import DRAFT, ListedDandiset
from dandi_mirror.upload.change.waiting import until

SHOWN = 10
"""The number of errors that are named; the others are counted."""
LONGEST_NOTES = 5000
"""Letters of release notes that the archive takes."""
MOST_WAITING = 50
"""So many files the archive names that it still validates."""
_AT_WORK = "asset is currently being validated"
"""What the archive says about an asset, instead of an error, as long as it validates it."""


def obstacles(archive: ArchiveClient, entry: ListedDandiset, web: str) -> Iterator[str]:
    """Each reason why the archive would not publish the draft, with what to do about it.

    ``web`` is where its owners edit it.
    """
    yield from _lasting(archive, entry)
    info = _info(archive, entry.identifier)
    status = info.get("status")
    if status == "Published":
        yield "nothing has changed since it was last published"
    elif status == "Publishing":
        yield "it is being published just now; run dandi-mirror sync when that is done"
    elif status in {"Pending", "Validating"}:
        yield "the archive has not validated it yet; run this again later, or wait longer: --wait 30m"
    elif entry.draft.asset_count:
        # a draft is Valid by its own record, also while its files are still looked at
        yield from _errors(info, web, entry.identifier, valid=status == "Valid")


def _lasting(archive: ArchiveClient, entry: ListedDandiset) -> Iterator[str]:
    """The reasons that no validation changes."""
    if not entry.is_open:
        yield f"it is under embargo ({entry.embargo_status}); open it first: dandi-mirror unembargo {entry.identifier}"
    if entry.draft.asset_count == 0:
        yield "it has no files; send some: dandi-mirror upload"
    if zarr := _zarr(archive, entry.identifier):
        yield f"it has a Zarr ({zarr}), and the archive publishes no Dandiset that has one or ever had one"


def _errors(info: dict[str, object], web: str, dandiset: str, *, valid: bool) -> Iterator[str]:
    mine, files = _found(info)
    if waiting := _at_work(info):
        count = f"{len(waiting)}{' and more' if len(waiting) >= MOST_WAITING else ''}"
        yield (
            f"the archive still validates {count} of its files (one is {waiting[0]}); "
            "run this again later, or wait longer: --wait 30m"
        )
    yield from (f"its record: {words}; edit it: dandi-mirror edit {dandiset}" for words in mine[:SHOWN])
    yield from (f"{words}; correct the file and upload it, see dandi-mirror validate" for words in files[:SHOWN])
    if (more := len(mine[SHOWN:]) + len(files[SHOWN:])) > 0:
        yield f"{more:,} more errors, see {web}"
    if not (valid or mine or files or waiting):
        yield f"the archive calls it invalid and does not say why; see {web}"


def _found(info: dict[str, object]) -> tuple[list[str], list[str]]:
    """What the archive finds wrong with the record, and with files."""
    mine = [_words(error) for error in _list(info.get("version_validation_errors"))]
    return mine, [_words(error) for error in _list(info.get("asset_validation_errors")) if not _is_at_work(error)]


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


def _info(archive: ArchiveClient, dandiset: str) -> dict[str, object]:
    path = f"/dandisets/{dandiset}/versions/{DRAFT}/info/"
    return json_object(archive.session.get(path), path)


def _zarr(archive: ArchiveClient, dandiset: str) -> str:
    """The name of a Zarr that the archive keeps for the Dandiset, though no file of the draft may be it."""
    path = "/zarr/"
    entries = _list(json_object(archive.session.get(path, dandiset=dandiset, page_size=1), path).get("results"))
    return str(entries[0].get("name") or entries[0].get("zarr_id")) if entries else ""


def until_validated(
    archive: ArchiveClient, dandiset: str, seconds: float, tell: Callable[[str], None]
) -> ListedDandiset:
    """The Dandiset's list entry when the archive has validated its draft and its files, or so many seconds later.

    What no validation changes, and an error, is not waited for: somebody must do something first.
    """

    def validated() -> bool:
        tell("waiting until the archive has validated the draft")
        if not archive.dandiset(dandiset).draft.settled:
            return False
        info = _info(archive, dandiset)
        return not _at_work(info) or any(_found(info))

    entry = archive.dandiset(dandiset)
    if next(_lasting(archive, entry), ""):
        return entry
    until(validated, seconds)
    return archive.dandiset(dandiset)


def publish_draft(
    archive: ArchiveClient, entry: ListedDandiset, seconds: float, notes: str, tell: Callable[[str], None]
) -> str:
    """Publish a draft and wait until the archive is done with it; the version.  ``tell`` is told what is done.

    If the archive mints DOIs, that of the version is waited for, too; one that does not come in time is left to a sync.

    Raises:
        PartError: the archive does not.
        TemporaryError: it was not done in time; it may be later.
    """
    before = {version.version for version in archive.versions(entry.identifier)[0]}
    end = time.monotonic() + seconds
    tell("waiting until the archive has published the draft")
    publish(archive.session, entry.identifier, notes)
    until(lambda: archive.dandiset(entry.identifier).draft.settled, seconds)
    now = archive.dandiset(entry.identifier)
    new = [version for version in archive.versions(entry.identifier)[0] if version.version not in before]
    if not now.draft.settled or (new and not new[-1].settled):
        raise TemporaryError(
            f"{entry.identifier}: the archive is still at it; look later: dandi-mirror sync {entry.identifier}"
        )
    if not new:
        raise PartError(f"{entry.identifier}: the archive did not publish it (its draft is {now.draft.status})")
    version = new[-1].version
    if archive.mints_dois:
        tell(f"waiting for the DOI of {version}")
        until(lambda: bool(archive.version_metadata(entry.identifier, version).get("doi")), end - time.monotonic())
    return version
