"""How the tests ask the embedded archive, and what they put into it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import requests

from dandi_mirror.embedded import Dandiset, Server

OWNER, OTHER, ADMIN = "b" * 40, "c" * 40, "a" * 40


class Clock:
    """A clock that moves by a second at every look."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 22, 7, 35, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


def get(server: Server, path: str, token: str = "", **headers: str) -> requests.Response:
    if token:
        headers["Authorization"] = f"token {token}"
    url = path if path.startswith("http") else server.api_url + path
    return requests.get(url, headers=headers, allow_redirects=False)


def draft_of(server: Server) -> dict[str, Any]:
    found: dict[str, Any] = get(server, "/dandisets/000004/").json()["draft_version"]
    return found


def paths_of(server: Server, version: str = "draft", query: str = "") -> list[str]:
    entries = get(server, f"/dandisets/000004/versions/{version}/assets/?{query}").json()["results"]
    return [entry["path"] for entry in entries]


def seed(dandiset: Dandiset, *paths: str) -> None:
    for path in paths:
        dandiset.add_asset(path, dandiset.archive.add_blob(path.encode()))
