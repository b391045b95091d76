"""The endpoints that read Dandisets and versions."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from datetime import date
from typing import Any

from dandi_mirror.embedded.api.calls import NO_PERMISSION, Call
from dandi_mirror.embedded.rules.queries import boolean, turn
from dandi_mirror.embedded.rules.refusals import Refused, detail, not_found
from dandi_mirror.embedded.rules.values import dumps
from dandi_mirror.embedded.store.dandiset import Dandiset
from dandi_mirror.embedded.store.versions import Version

DATES = [f"{what}_{side}" for what in ("created", "modified", "published") for side in ("before", "after")]
OPERATORS = [*DATES, "species", "approach", "technique", "file_type", "owner"]


def find_dandiset(call: Call) -> Dandiset:
    """The Dandiset of the URL, if the user may read it.

    Raises:
        Refused: 404, 401 or 403.
    """
    dandiset = call.archive.dandisets.get(call.args["dandiset"])
    if dandiset is None:
        raise not_found()
    call.check_readable(dandiset)
    return dandiset


def find_version(call: Call) -> Version:
    """The version of the URL; errors as :func:`find_dandiset`."""
    version = find_dandiset(call).versions.get(call.args["version"])
    if version is None:
        raise not_found()
    return version


def counted(call: Call, entries: list[Any], record: Callable[[Any], Any]) -> dict[str, Any]:
    """One page of a list, with ``count`` on every page."""
    page = turn(call.url, call.query, len(entries), lazy=False)
    return page.head() | {"results": [record(entry) for entry in entries[page.start : page.stop]]}


# --- Dandisets


def dandisets(call: Call) -> Any:
    """``GET /dandisets/``."""
    entries = _searched(call, _filtered(call))
    order = call.query.get("ordering", "")
    keys: dict[str, Callable[[Dandiset], Any]] = {
        "id": lambda d: d.identifier,
        "name": lambda d: _newest(d).name,
        "modified": lambda d: _newest(d).modified,
        "size": lambda d: _newest(d).totals.size,
        "stars": lambda d: 0,
    }
    entries.sort(key=lambda d: d.created)
    if key := keys.get(order.removeprefix("-")):
        entries.sort(key=key, reverse=order.startswith("-"))
    return counted(call, entries, lambda d: d.record(detail=False))


def _filtered(call: Call) -> list[Dandiset]:
    """The Dandisets that the parameters other than ``search`` select, in no order."""
    query, user = call.query, call.user
    drafts, empty = boolean(query, "draft", True), boolean(query, "empty", True)
    embargoed, starred = boolean(query, "embargoed", False), boolean(query, "starred", False)
    if query.get("user", "me") != "me":
        raise Refused(400, {"user": [f'"{query["user"]}" is not a valid choice.']})
    if embargoed and user is None:
        words = "Authentication credentials must be provided when attempting to access embargoed dandisets"
        raise Refused(401, words)
    if starred and user is None:
        raise Refused(401, "Must be authenticated to filter by starred dandisets.")
    entries = [d for d in call.archive.dandisets.values() if d.is_open or (embargoed and call.owns(d))]
    if "user" in query:
        entries = [d for d in entries if user and user.username in d.owners]
    if not drafts:
        entries = [d for d in entries if d.published]
    if not empty:
        entries = [d for d in entries if _newest(d).totals.assets]
    return [] if starred else entries


def _searched(call: Call, entries: list[Dandiset]) -> list[Dandiset]:
    """The Dandisets that match ``search``: words anywhere in the draft's metadata, operators on dates and owners.

    Here the other operators of the server (species, approach, technique, file_type) search all of the metadata.
    """
    for found in re.finditer(r'(?:(\w+):)?(?:"([^"]*)"|(\S+))', call.query.get("search", "")):
        operator, value = found[1], found[2] if found[2] is not None else found[3]
        if operator and operator not in OPERATORS:
            near = difflib.get_close_matches(operator, OPERATORS, 1)
            hint = f' Did you mean "{near[0]}"?' if near else ""
            wrap = 'Wrap the term in double quotes (e.g. "foo:bar") to search for it as text.'
            raise Refused(400, {"search": f'Unknown search operator "{operator}".{hint} {wrap}'})
        entries = [dandiset for dandiset in entries if _matches(dandiset, operator, value)]
    return entries


def _matches(dandiset: Dandiset, operator: str | None, value: str) -> bool:
    if operator is None or operator not in ("owner", *DATES):
        return value.lower().encode() in dumps(dandiset.draft.metadata).lower()
    if operator == "owner":
        return value.lower() in (owner.lower() for owner in dandiset.owners)
    what, _, side = operator.partition("_")
    newest = dandiset.published[-1:]
    times = {
        "created": [dandiset.created],
        "modified": [_newest(dandiset).modified],
        "published": [version.created for version in newest],
    }
    try:
        limit = date.fromisoformat(value)
    except ValueError:
        raise Refused(400, {"search": f'Invalid date "{value}". Use YYYY-MM-DD.'}) from None
    days = [time.date() for time in times[what]]
    return any(day >= limit if side == "after" else day <= limit for day in days)


def _newest(dandiset: Dandiset) -> Version:
    """The version that was created last: the last published one, else the draft."""
    return next(reversed(dandiset.published), dandiset.draft)


def dandiset(call: Call) -> Any:
    """``GET /dandisets/{id}/``."""
    return find_dandiset(call).record(detail=True)


def dandiset_users(call: Call) -> Any:
    """``GET /dandisets/{id}/users/``; e-mail addresses for users with a token only."""
    names = {user.username: user.name for user in call.archive.users.values()}
    owners = find_dandiset(call).owners
    return [{"username": o, "name": names.get(o, o), "email": o if call.user else None} for o in owners]


def uploads(call: Call) -> Any:
    """``GET /dandisets/{id}/uploads/``: unfinished uploads, for owners only."""
    found = find_dandiset(call)
    if not call.owns(found):
        call.need_user()
        raise detail(403, NO_PERMISSION)
    entries = [upload for upload in call.archive.uploads.values() if upload.dandiset is found]
    return counted(call, entries, lambda upload: upload.record(call.archive))


# --- versions


def versions(call: Call) -> Any:
    """``GET /dandisets/{id}/versions/``."""
    found = find_dandiset(call)
    order = call.query.get("order") or "created"
    if order not in ("created", "-created"):
        words = f"Select a valid choice. {order} is not one of the available choices."
        raise Refused(400, {"order": [words]})
    entries = [found.draft, *found.published]
    return counted(call, entries[::-1] if order == "-created" else entries, Version.listed)


def version(call: Call) -> Any:
    """``GET …/versions/{version}/``."""
    return find_version(call).metadata


def version_info(call: Call) -> Any:
    """``GET …/versions/{version}/info/``."""
    return find_version(call).info()
