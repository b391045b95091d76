"""Publishing a draft: what the server refuses, the name, and the marks in the records."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from dandi_mirror.embedded.rules import Refused, metadata_time, version_name
from dandi_mirror.embedded.versions import Version

if TYPE_CHECKING:
    from dandi_mirror.embedded.dandiset import Dandiset


def check(dandiset: Dandiset) -> None:
    """Refuse to publish what the server would not.

    Raises:
        Refused: 400 or 409 with the server's words.
    """
    status = dandiset.draft.status
    if not dandiset.is_open:
        raise Refused(400, "Operation only allowed on OPEN dandisets")
    if any(zarr.dandiset is dandiset for zarr in dandiset.archive.zarrs.values()):
        raise Refused(400, "Cannot publish dandisets which contain zarrs")
    if status == "Publishing":
        raise Refused(423, "Dandiset is currently being published")
    if status == "Published":
        raise Refused(400, "There have been no changes to the draft version since the last publish.")
    if status == "Pending":
        raise Refused(409, "Metadata validation is pending for this dandiset, please try again later.")
    if status != "Valid" or dandiset.draft.totals.pending or dandiset.draft.totals.invalid:
        raise Refused(400, "Dandiset metadata or asset metadata is not valid")


def publish(
    dandiset: Dandiset, name: str | None, now: datetime, metadata: dict[str, Any] | None, notes: str
) -> Version:
    """Make a version of the draft's assets as they are; ``metadata`` is its whole record if given."""
    name = name or version_name(now, dandiset.versions)
    version = Version(dandiset, name, now, metadata or dict(dandiset.draft.given))
    version.verbatim = metadata is not None
    version.release_notes = notes
    archive = dandiset.archive
    version.published = _activity(dandiset, now) | ({"releaseNotes": notes} if notes else {})
    if archive.doi_seconds == 0:
        version.published |= {"doi": version.doi}
    elif archive.doi_seconds is not None:
        archive.jobs.later(version.mint_doi, after=archive.doi_seconds)
    _mark(dandiset, now)
    version.share_assets(dandiset.draft)
    version.status = "Valid"
    dandiset.versions[name] = version
    dandiset.draft.touch(archive.now())
    dandiset.draft.status = "Published"
    return version


def _activity(dandiset: Dandiset, now: datetime) -> dict[str, Any]:
    """``publishedBy`` and ``datePublished``."""
    archive, when = dandiset.archive, metadata_time(now)
    software = {
        "id": f"urn:uuid:{archive.new_id()}",
        "name": f"{archive.instance_name} API",
        "version": "0.1.0",
        "schemaKey": "Software",
        "identifier": archive.identifier,
    }
    activity = {
        "id": f"urn:uuid:{archive.new_id()}",
        "name": "DANDI publish",
        "endDate": when,
        "schemaKey": "PublishActivity",
        "startDate": when,
        "wasAssociatedWith": [software],
    }
    return {"publishedBy": activity, "datePublished": when}


def _mark(dandiset: Dandiset, now: datetime) -> None:
    """Note the publication in the assets that no version had before; their ``modified`` moves.

    Verbatim records stay as they are.
    """
    activity = _activity(dandiset, now)
    for asset in dandiset.draft:
        if asset.computed and not asset.was_published:
            asset.published = activity
            asset.modified = now
