"""The endpoints of the API: the server itself, Dandisets and their versions (assets: ``asset_routes``)."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from datetime import date
from typing import Any
from urllib.parse import parse_qsl

from dandi_mirror.embedded.dandiset import Dandiset
from dandi_mirror.embedded.http import NO_PERMISSION, Call
from dandi_mirror.embedded.rules import Refused, boolean, detail, dumps, not_found, turn
from dandi_mirror.embedded.versions import Version

MODELS = ["Dandiset", "Asset", "PublishedDandiset", "PublishedAsset"]
SCHEMAS = ["0.4.4", "0.5.1", "0.5.2", *(f"0.6.{minor}" for minor in range(11)), "0.7.0"]
DATES = [f"{what}_{side}" for what in ("created", "modified", "published") for side in ("before", "after")]
OPERATORS = [*DATES, "species", "approach", "technique", "file_type", "owner"]


def find_dandiset(call: Call) -> Dandiset:
    """The Dandiset of the URL, if who asks may read it.

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


def counted(call: Call, rows: list[Any], record: Callable[[Any], Any]) -> dict[str, Any]:
    """One page of ``rows``, with ``count`` on every page."""
    page = turn(call.url, call.query, len(rows), lazy=False)
    return page.head() | {"results": [record(row) for row in rows[page.start : page.stop]]}


# --- the server


def info(call: Call) -> Any:
    """``GET /info/``."""
    archive = call.archive
    return {
        "instance_config": {
            "instance_name": archive.instance_name,
            "instance_identifier": archive.identifier,
            "instance_url": f"{archive.web_url}/",
            "doi_prefix": archive.doi_prefix,
            "licenses": ["spdx:CC0-1.0", "spdx:CC-BY-4.0"],
        },
        "schema_version": archive.schema_version,
        "schema_url": f"{archive.api_url}/schemas/?model=Dandiset",
        "allowed_schema_versions": SCHEMAS,
        "version": "1.0.0.post1.dev35+g3e3c3c9c5",
        "services": {
            "api": {"url": archive.api_url},
            "webui": {"url": archive.web_url},
            "jupyterhub": {"url": "https://hub.dandiarchive.org/"},
        },
        "cli-minimal-version": "0.74.0",
        "cli-requires-python": ">=3.10",
        "cli-bad-versions": [],
    }


def stats(call: Call) -> Any:
    """``GET /stats/``, always up to date here."""
    dandisets = [d for d in call.archive.dandisets.values() if d.is_open]
    return {
        "dandiset_count": len(dandisets),
        "published_dandiset_count": sum(bool(d.published) for d in dandisets),
        "user_count": len(call.archive.users),
        "size": sum(d.draft.totals.size for d in dandisets),
    }


def schemas_available(call: Call) -> Any:
    """``GET /schemas/available/``."""
    return MODELS


def schemas(call: Call) -> Any:
    """``GET /schemas/?model=``: only the frame of a JSON Schema, without its rules."""
    model = call.query.get("model")
    if model is None:
        raise Refused(400, {"model": ["This field is required."]})
    if model not in MODELS:
        raise Refused(400, {"model": [f'"{model}" is not a valid choice.']})
    return {"$defs": {}, "title": model, "type": "object", "properties": {}, "required": []}


def token(call: Call) -> Any:
    """``GET /auth/token/``: the key, as a JSON string."""
    user = call.need_user()
    if not user.approved:
        raise detail(403, NO_PERMISSION)
    return user.token


def me(call: Call) -> Any:
    """``GET /users/me/``."""
    user = call.need_user()
    status = "APPROVED" if user.approved else "PENDING"
    return {"username": user.username, "name": user.name, "admin": user.admin, "status": status}


# --- Dandisets


def dandisets(call: Call) -> Any:
    """``GET /dandisets/``."""
    rows = _searched(call, _filtered(call))
    order = call.query.get("ordering", "")
    keys: dict[str, Callable[[Dandiset], Any]] = {
        "id": lambda d: d.identifier,
        "name": lambda d: _newest(d).name,
        "modified": lambda d: _newest(d).modified,
        "size": lambda d: _newest(d).totals.size,
        "stars": lambda d: 0,
    }
    rows.sort(key=lambda d: d.created)
    if key := keys.get(order.removeprefix("-")):
        rows.sort(key=key, reverse=order.startswith("-"))
    return counted(call, rows, lambda d: d.record(detail=False))


def _filtered(call: Call) -> list[Dandiset]:
    """What the parameters other than ``search`` leave, in no order."""
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
    rows = [d for d in call.archive.dandisets.values() if d.is_open or (embargoed and call.owns(d))]
    if "user" in query:
        rows = [d for d in rows if user and user.username in d.owners]
    if not drafts:
        rows = [d for d in rows if d.published]
    if not empty:
        rows = [d for d in rows if _newest(d).totals.assets]
    return [] if starred else rows


def _searched(call: Call, rows: list[Dandiset]) -> list[Dandiset]:
    """What ``search`` leaves: words anywhere in the draft's metadata, and operators on dates and owners.

    The other operators of the server (species, approach, technique, file_type) look for their word in the
    metadata here.
    """
    for found in re.finditer(r'(?:(\w+):)?(?:"([^"]*)"|(\S+))', call.query.get("search", "")):
        operator, value = found[1], found[2] if found[2] is not None else found[3]
        if operator and operator not in OPERATORS:
            near = difflib.get_close_matches(operator, OPERATORS, 1)
            hint = f' Did you mean "{near[0]}"?' if near else ""
            wrap = 'Wrap the term in double quotes (e.g. "foo:bar") to search for it as text.'
            raise Refused(400, {"search": f'Unknown search operator "{operator}".{hint} {wrap}'})
        rows = [dandiset for dandiset in rows if _matches(dandiset, operator, value)]
    return rows


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
    """The newest-created version: the last published one where there is one."""
    return next(reversed(dandiset.published), dandiset.draft)


def dandiset(call: Call) -> Any:
    """``GET /dandisets/{id}/``."""
    return find_dandiset(call).record(detail=True)


def dandiset_users(call: Call) -> Any:
    """``GET /dandisets/{id}/users/``; addresses only for those who are logged in."""
    names = {user.username: user.name for user in call.archive.users.values()}
    owners = find_dandiset(call).owners
    return [{"username": o, "name": names.get(o, o), "email": o if call.user else None} for o in owners]


def uploads(call: Call) -> Any:
    """``GET /dandisets/{id}/uploads/``: those that were begun, only for owners."""
    found = find_dandiset(call)
    if not call.owns(found):
        call.need_user()
        raise detail(403, NO_PERMISSION)
    rows = [upload for upload in call.archive.uploads.values() if upload.dandiset is found]
    return counted(call, rows, lambda upload: upload.record(call.archive))


# --- versions


def versions(call: Call) -> Any:
    """``GET /dandisets/{id}/versions/``."""
    found = find_dandiset(call)
    order = call.query.get("order") or "created"
    if order not in ("created", "-created"):
        words = f"Select a valid choice. {order} is not one of the available choices."
        raise Refused(400, {"order": [words]})
    rows = [found.draft, *found.published]
    return counted(call, rows[::-1] if order == "-created" else rows, Version.listed)


def version(call: Call) -> Any:
    """``GET …/versions/{version}/``."""
    return find_version(call).metadata


def version_info(call: Call) -> Any:
    """``GET …/versions/{version}/info/``."""
    return find_version(call).info()


def parameters(query: str) -> dict[str, str]:
    """A query string as the endpoints see it; the last of several values counts."""
    return dict(parse_qsl(query, keep_blank_values=True))
