"""The endpoints about the archive, its Dandisets and their versions."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from dandi_mirror import __version__
from dandi_mirror.serve.answers import flag, json_response, not_found, page
from dandi_mirror.serve.served import Json, ServedMirror

SCHEMA = "0.7.0"
"""The schema version that ``/info/`` names, if no Dandiset tells another."""
ORDERS = {
    "id": lambda entry: entry["identifier"],
    "name": lambda entry: _newest(entry)["name"],
    "modified": lambda entry: _newest(entry)["modified"],
    "size": lambda entry: _newest(entry)["size"],
}


class Dandisets:
    """Answers about the Dandisets of a mirror."""

    def __init__(self, served: ServedMirror, api_url: str) -> None:
        self.served = served
        self.api_url = api_url

    def info(self, request: Request) -> Response:
        """``GET /info/``: the archive that the mirror mirrors, at the addresses of this server."""
        web = self.api_url.removesuffix("/api")
        config: Json = {
            "instance_name": self.served.instance_name,
            "instance_identifier": None,
            "instance_url": f"{web}/",
        }
        # versions of a mirror are complete: no DOI is to be waited for
        config |= {"doi_prefix": None, "licenses": ["spdx:CC0-1.0", "spdx:CC-BY-4.0"]}
        services = {"api": {"url": self.api_url}, "webui": {"url": web}, "jupyterhub": {"url": web}}
        return json_response(
            {
                "instance_config": config,
                "schema_version": SCHEMA,
                "schema_url": f"{self.api_url}/schemas/?model=Dandiset",
                "allowed_schema_versions": [SCHEMA],
                "version": f"dandi-mirror {__version__}",
                "services": services,
                "cli-minimal-version": "0.60.0",
                "cli-bad-versions": [],
            }
        )

    def stats(self, request: Request) -> Response:
        """``GET /stats/``."""
        entries = self.served.dandisets()
        return json_response(
            {
                "dandiset_count": len(entries),
                "published_dandiset_count": sum(bool(entry["most_recent_published_version"]) for entry in entries),
                "user_count": 0,
                "size": sum(entry["draft_version"]["size"] for entry in entries),
            }
        )

    def dandisets(self, request: Request) -> Response:
        """``GET /dandisets/``: all, or those whose title or id contains each word of ``search``."""
        entries = self.served.dandisets()
        words = request.query_params.get("search", "").lower().split()
        entries = [
            e for e in entries if all(word in f"{_newest(e)['name']} {e['identifier']}".lower() for word in words)
        ]
        if not flag(request, "draft", True):
            entries = [entry for entry in entries if entry["most_recent_published_version"]]
        if not flag(request, "empty", True):
            entries = [entry for entry in entries if _newest(entry)["asset_count"]]
        ordering = request.query_params.get("ordering", "")
        if key := ORDERS.get(ordering.removeprefix("-")):
            entries.sort(key=key, reverse=ordering.startswith("-"))
        return page(request, f"{self.api_url}/dandisets/", entries, list)

    def dandiset(self, request: Request) -> Response:
        """``GET /dandisets/{id}/``."""
        entry = self._dandiset(request)
        return json_response(entry | {name: _detailed(entry[name]) for name in entry if name.endswith("_version")})

    def users(self, request: Request) -> Response:
        """``GET /dandisets/{id}/users/``: a mirror does not know the owners."""
        self._dandiset(request)
        return json_response([])

    def versions(self, request: Request) -> Response:
        """``GET /dandisets/{id}/versions/``: oldest first, or as ``order`` says."""
        dandiset = self._dandiset(request)
        identifier = dandiset["identifier"]
        found = self.served.versions(identifier)
        entries = [self.served.version(identifier, name, oid, dandiset)[0] for name, oid in found.items()]
        order = request.query_params.get("order", "created")
        entries.sort(key=lambda entry: str(entry[_key(order)]), reverse=order.startswith("-"))
        url = f"{self.api_url}/dandisets/{identifier}/versions/"
        return page(
            request,
            url,
            entries,
            lambda some: [{**entry, **_DETAILS, "dandiset": _without_versions(dandiset)} for entry in some],
        )

    def version(self, request: Request) -> Response:
        """``GET /dandisets/{id}/versions/{version}/``: the Dandiset's record in it."""
        _, entry, record = self._version(request)
        path = f"/dandisets/{request.path_params['dandiset']}/versions/{entry['version']}"
        return json_response(record | {"manifestLocation": [f"{self.api_url}{path}/assets/"]})

    def version_info(self, request: Request) -> Response:
        """``GET /dandisets/{id}/versions/{version}/info/``: its entry, with the record."""
        dandiset, entry, record = self._version(request)
        more: Json = {"dandiset": _without_versions(dandiset), "metadata": record}
        more |= {"asset_validation_errors": [], "version_validation_errors": [], "contact_person": ""}
        return json_response({**entry, **_DETAILS, **more})

    def _dandiset(self, request: Request) -> Json:
        if entry := self.served.dandiset(request.path_params["dandiset"]):
            return entry
        raise not_found()

    def _version(self, request: Request) -> tuple[Json, Json, Json]:
        dandiset = self._dandiset(request)
        identifier, version = dandiset["identifier"], request.path_params["version"]
        if oid := self.served.versions(identifier).get(version):
            return dandiset, *self.served.version(identifier, version, oid, dandiset)
        raise not_found()


_DETAILS = {"active_uploads": 0, "release_notes": ""}
"""What the archive tells more of a single version; a mirror has neither uploads nor notes."""


def _newest(entry: Json) -> Any:
    """The newest published version of a Dandiset, else its draft."""
    return entry["most_recent_published_version"] or entry["draft_version"]


def _detailed(entry: Json | None) -> Json | None:
    return entry | _DETAILS if entry else None


def _without_versions(dandiset: Json) -> Json:
    return {name: value for name, value in dandiset.items() if not name.endswith("_version")}


def _key(order: str) -> str:
    name = order.removeprefix("-")
    return name if name in {"created", "modified", "version", "name"} else "created"
