"""Publishing a draft: what the archive refuses, the version's name, and the marks in the records."""

from __future__ import annotations

from collections.abc import Container
from datetime import datetime
from typing import Any

from dandi_mirror.embedded.rules.names import version_name
from dandi_mirror.embedded.rules.refusals import Refused
from dandi_mirror.embedded.rules.values import metadata_time
from dandi_mirror.embedded.store.identity import DandisetIdentity
from dandi_mirror.embedded.store.versions import Version


def check(draft: Version, *, has_zarrs: bool) -> None:
    """Refuse to publish what the server would not.

    Raises:
        Refused: 400 or 409 with the server's words.
    """
    status = draft.status
    if not draft.dandiset.is_open:
        raise Refused(400, "Operation only allowed on OPEN dandisets")
    if has_zarrs:
        raise Refused(400, "Cannot publish dandisets which contain zarrs")
    if status == "Publishing":
        raise Refused(423, "Dandiset is currently being published")
    if status == "Published":
        raise Refused(400, "There have been no changes to the draft version since the last publish.")
    if status == "Pending":
        raise Refused(409, "Metadata validation is pending for this dandiset, please try again later.")
    if status != "Valid" or draft.totals.pending or draft.totals.invalid:
        raise Refused(400, "Dandiset metadata or asset metadata is not valid")


def publish(
    draft: Version,
    name: str | None,
    taken: Container[str],
    now: datetime,
    metadata: dict[str, Any] | None,
    notes: str,
) -> Version:
    """Make a version of the draft's assets as they are; ``metadata`` is its whole record if given.

    Without ``name`` it gets the name of its time, a minute later for each one that is ``taken``.
    """
    dandiset, archive = draft.dandiset, draft.dandiset.archive
    version = Version(dandiset, name or version_name(now, taken), now, metadata or dict(draft.given))
    version.verbatim = metadata is not None
    version.release_notes = notes
    version.published = _activity(dandiset, now) | ({"releaseNotes": notes} if notes else {})
    if archive.doi_seconds == 0:
        version.published |= {"doi": version.doi}
    elif archive.doi_seconds is not None:
        archive.jobs.later(version.mint_doi, after=archive.doi_seconds)
    _mark(draft, now)
    version.share_assets(draft)
    version.status = "Valid"
    draft.touch(archive.now())
    draft.status = "Published"
    return version


def _activity(dandiset: DandisetIdentity, now: datetime) -> dict[str, Any]:
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


def _mark(draft: Version, now: datetime) -> None:
    """Note the publication in the assets that no version had before; their ``modified`` moves.

    Verbatim records stay as they are.
    """
    activity = _activity(draft.dandiset, now)
    for asset in draft:
        if asset.computed and not asset.was_published:
            asset.published = activity
            asset.modified = now
