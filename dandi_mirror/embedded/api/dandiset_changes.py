"""The endpoints that change Dandisets and versions."""

from __future__ import annotations

import re
from datetime import date
from functools import partial
from typing import Any

from dandi_mirror.embedded.api.answers import Empty
from dandi_mirror.embedded.api.calls import NO_PERMISSION, Call
from dandi_mirror.embedded.api.dandisets import find_dandiset, find_version
from dandi_mirror.embedded.rules.names import DANDISET
from dandi_mirror.embedded.rules.queries import boolean
from dandi_mirror.embedded.rules.refusals import Refused, detail
from dandi_mirror.embedded.store.catalog import User
from dandi_mirror.embedded.store.dandiset import Dandiset
from dandi_mirror.embedded.store.identity import OPEN
from dandi_mirror.embedded.store.uploads import forget
from dandi_mirror.embedded.store.versions import COMPUTED, DRAFT

EMBARGOED, UNEMBARGOING = "EMBARGOED", "UNEMBARGOING"


def create(call: Call) -> Any:
    """``POST /dandisets/``."""
    user = call.need_approved()
    body = call.posted("name", "metadata")
    given = _metadata(body)
    identifier = given.pop("identifier", None)
    if identifier is not None and not user.admin:
        raise Refused(400, "Creating a dandiset for a given identifier is an admin only operation.")
    number = str(identifier).rpartition(":")[2] if identifier is not None else None
    if number is not None and not re.fullmatch(DANDISET, number):
        raise Refused(400, f"Invalid Identifier {identifier}")
    embargo = boolean(call.query, "embargo", False)
    given = {"contributor": [_contact(user)]} | given
    made = call.archive.create_dandiset(number, str(body["name"]), given, owners=(user.username,))
    if embargo:
        if until := call.query.get("embargo_end_date"):
            made.embargo_end = _day(until)
        made.set_embargo(EMBARGOED)
    made.changed()
    return made.record(detail=True)


def _contact(user: User) -> dict[str, Any]:
    """The user as a contact person, for metadata without contributors."""
    *first, last = user.name.split() or [user.username]
    return {
        "name": f"{last}, {' '.join(first)}",
        "email": user.username,
        "roleName": ["dcite:ContactPerson"],
        "schemaKey": "Person",
        "affiliation": [],
        "includeInCitation": True,
    }


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        words = "Date has wrong format. Use one of these formats instead: YYYY-MM-DD."
        raise Refused(400, {"embargo_end_date": [words]}) from None


def _metadata(body: dict[str, Any]) -> dict[str, Any]:
    given = body["metadata"]
    if not isinstance(given, dict):
        raise Refused(400, {"metadata": ["Value must be valid JSON."]})
    return dict(given)


def remove(call: Call) -> Empty:
    """``DELETE /dandisets/{id}/``."""
    found = _owned(call)
    if found.published:
        raise Refused(403, "Cannot delete dandisets with published versions.")
    for upload in [u for u in call.archive.uploads.values() if u.dandiset is found]:
        forget(call.archive, upload)
    call.archive.delete_dandiset(found.identifier)
    return Empty(204)


def _owned(call: Call) -> Dandiset:
    """The Dandiset of the URL, if the user may change it."""
    call.need_user()
    found = find_dandiset(call)
    call.need_owner(found)
    return found


def set_users(call: Call) -> Any:
    """``PUT /dandisets/{id}/users/``: replace the owners; at least one."""
    found = _owned(call)
    body = call.posted_json()
    sent = body if isinstance(body, list) else []
    names = [str(user.get("username")) for user in sent if isinstance(user, dict)]
    known = {user.username for user in call.archive.users.values()}
    if not names:
        raise Refused(400, ["Cannot remove all draft owners"])
    if unknown := [name for name in names if name not in known]:
        raise Refused(400, [f"User {unknown[0]} not found"])
    found.owners[:] = names
    return [{"username": name} for name in names]


def clear_uploads(call: Call) -> Empty:
    """``DELETE /dandisets/{id}/uploads/``."""
    found = find_dandiset(call)
    call.need_approved()
    if not call.owns(found):
        raise detail(403, NO_PERMISSION)
    for upload in [u for u in call.archive.uploads.values() if u.dandiset is found]:
        forget(call.archive, upload)
    return Empty(204)


def update(call: Call) -> Any:
    """``PUT …/versions/draft/``: replace the metadata; equal metadata change nothing."""
    dandiset = _owned_draft(call, "Only draft versions can be modified.")
    body = call.posted("name", "metadata")
    given = {key: value for key, value in _metadata(body).items() if key not in COMPUTED} | {"name": body["name"]}
    before = dandiset.draft.given
    dandiset.set_metadata(given)
    if dandiset.draft.given is not before:
        dandiset.changed()
    return dandiset.draft.info()


def _owned_draft(call: Call, refusal: str) -> Dandiset:
    """The Dandiset of the URL, if the user may change its draft and the URL names the draft.

    Raises:
        Refused: 401, 403, 404; 405 in the words ``refusal`` for a published version.
    """
    call.need_user()
    dandiset, version = find_dandiset(call), find_version(call)
    call.need_owner(dandiset)
    if version.version != DRAFT:
        raise Refused(405, refusal)
    return dandiset


def delete_version(call: Call) -> Empty:
    """``DELETE …/versions/{version}/``: published versions only, and by admins only."""
    user = call.need_user()
    dandiset, version = find_dandiset(call), find_version(call)
    call.need_owner(dandiset)
    if version.version != DRAFT and not user.admin:
        raise Refused(403, "Cannot delete published versions")
    dandiset.delete_version(version.version)
    return Empty(204)


def publish(call: Call) -> Empty:
    """``POST …/versions/draft/publish/``: the archive does it some time later."""
    dandiset = _owned_draft(call, "Only draft versions can be published")
    dandiset.check_publishable()
    notes = call.posted().get("release_notes", "") if call.body else ""
    dandiset.draft.status = "Publishing"
    call.archive.jobs.later(partial(_publish, dandiset, str(notes)))
    return Empty(202)


def _publish(dandiset: Dandiset, notes: str) -> None:
    with dandiset.archive.lock:
        made = dandiset.publish(release_notes=notes, unchecked=True)
        made.modified = dandiset.archive.now()


def unembargo(call: Call) -> Empty:
    """``POST /dandisets/{id}/unembargo/``: the archive does it some time later."""
    found = _owned_or_refused(call)
    if found.embargo_status != EMBARGOED:
        raise Refused(400, "Dandiset not embargoed")
    if any(upload.dandiset is found for upload in call.archive.uploads.values()):
        raise Refused(400, "Dandiset has active uploads")
    found.embargo_status = UNEMBARGOING
    call.archive.jobs.later(partial(found.set_embargo, OPEN))
    return Empty(200)


def _owned_or_refused(call: Call) -> Dandiset:
    """As ``_owned``; but users who may not read the Dandiset get the 403 without a body, too."""
    call.need_user()
    found = call.archive.dandisets.get(call.args["dandiset"])
    if found is None:
        raise detail(404, "Not found.")
    call.need_owner(found)
    return found


def new_token(call: Call) -> Any:
    """``POST /auth/token/``: a new key; the old one becomes invalid."""
    return call.archive.renew_token(call.need_approved()).token
