"""The endpoints about the archive itself and the user: info, statistics, schemas, API key."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any

from dandi_mirror.embedded.api.calls import NO_PERMISSION, Call
from dandi_mirror.embedded.rules.refusals import Refused, detail
from dandi_mirror.embedded.store.catalog import User

MODELS = ["Dandiset", "Asset", "PublishedDandiset", "PublishedAsset"]
SCHEMAS = ["0.4.4", "0.5.1", "0.5.2", *(f"0.6.{minor}" for minor in range(11)), "0.7.0"]


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
    """``GET /schemas/?model=``: a Dandiset's as recorded from the server; of the others only the frame."""
    model = call.query.get("model")
    if model is None:
        raise Refused(400, {"model": ["This field is required."]})
    if model not in MODELS:
        raise Refused(400, {"model": [f'"{model}" is not a valid choice.']})
    if model == "Dandiset":
        return _dandiset_schema(call.archive.instance_name)
    return {"$defs": {}, "title": model, "type": "object", "properties": {}, "required": []}


@cache
def _dandiset_schema(instance: str) -> Any:
    recorded = files("dandi_mirror.embedded.rules").joinpath("dandiset_schema.json").read_text("utf-8")
    return json.loads(recorded.replace("DEV-DANDI", instance).replace("dev-dandi", instance.lower()))


def token(call: Call) -> Any:
    """``GET /auth/token/``: the key, as a JSON string."""
    user = call.need_user()
    if not user.approved:
        raise detail(403, NO_PERMISSION)
    return user.token


def me(call: Call) -> Any:
    """``GET /users/me/``."""
    return _user(call.need_user())


def search_users(call: Call) -> Any:
    """``GET /users/search/?username=``: at most ten users whose name or username contains the text."""
    call.need_user()
    begun = str(call.query.get("username", "")).lower()
    found = [user for user in call.archive.users.values() if begun in f"{user.username} {user.name}".lower()]
    return [_user(user) for user in found[:10]]


def _user(user: User) -> dict[str, Any]:
    status = "APPROVED" if user.approved else "PENDING"
    return {"username": user.username, "name": user.name, "admin": user.admin, "status": status}
