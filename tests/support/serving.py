"""An archive that answers byte for byte what a test wants: one Dandiset, and list entries of any kind."""

from __future__ import annotations

import json
import uuid
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from starlette.responses import Response

from dandi_mirror.embedded import Request, Server

DANDISET = "000123"
ROOT = f"/api/dandisets/{DANDISET}/"
TIME = "2024-01-02T03:04:05.678901Z"
LARGE = 5_000_000
"""Bytes: above what is kept in git itself, so that no content is asked for."""
PAGE = 1000


def identifier(name: str) -> str:
    """A UUID of version 4 that belongs to a name."""
    return str(uuid.UUID(bytes=sha256(name.encode("utf-8", "surrogatepass")).digest()[:16], version=4))


def good_entry(path: Any, name: str = "") -> dict[str, Any]:
    """A list entry as the archive gives it, whatever its path."""
    name = name or str(path)
    asset, blob = identifier(name), identifier("blob " + name)
    digest = sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
    urls = [f"https://dandiarchive.s3.amazonaws.com/blobs/{blob[:3]}/{blob[3:6]}/{blob}"]
    metadata = {
        "id": f"dandiasset:{asset}",
        "path": path,
        "identifier": asset,
        "contentUrl": urls,
        "contentSize": LARGE,
        "digest": {"dandi:sha2-256": digest, "dandi:dandi-etag": digest[:32] + "-1"},
    }
    return {
        "asset_id": asset,
        "blob": blob,
        "zarr": None,
        "path": path,
        "size": LARGE,
        "created": TIME,
        "modified": TIME,
        "metadata": metadata,
    }


def good_paths(count: int = 20) -> list[str]:
    """Ordinary assets, among which a bad one stands."""
    return [f"sub-{number}/sub-{number}_ecephys.nwb" for number in range(count)]


@dataclass(frozen=True)
class Raw:
    """A list entry or a record in the very bytes that the server sends."""

    content: bytes


def spell(value: Any) -> bytes:
    return value.content if isinstance(value, Raw) else json.dumps(value).encode()


def spell_entry(entry: Any, *, metadata: bool = True) -> bytes:
    """A list entry in JSON, its ``metadata`` left out or in its own bytes."""
    if not isinstance(entry, dict) or "metadata" not in entry:
        return spell(entry)
    head = json.dumps({name: value for name, value in entry.items() if name != "metadata"}).encode()
    return head[:-1] + b', "metadata": ' + spell(entry["metadata"]) + b"}" if metadata else head


def json_response(content: bytes) -> Response:
    return Response(content, media_type="application/json")


@dataclass
class Answers:
    """The answers about one Dandiset; ``special`` has others by path, each made from the request."""

    entries: list[Any]
    name: str = "A test"
    modified: str = TIME
    record: Any = field(default_factory=lambda: {"schemaKey": "Dandiset", "name": "A test"})
    special: dict[str, Callable[[Request], Response]] = field(default_factory=dict)

    def version(self) -> dict[str, Any]:
        """The list entry of the draft."""
        entry = {
            "version": "draft",
            "name": self.name,
            "asset_count": len(self.entries),
            "size": 0,
            "status": "Valid",
        }
        return entry | {"created": TIME, "modified": self.modified}

    def dandiset(self) -> dict[str, Any]:
        """The list entry of the Dandiset."""
        entry = {
            "identifier": DANDISET,
            "created": TIME,
            "modified": TIME,
            "contact_person": "",
            "embargo_status": "OPEN",
        }
        return entry | {"draft_version": self.version(), "most_recent_published_version": None}

    def __call__(self, request: Request) -> Response | None:
        path = request.path
        if path in self.special:
            return self.special[path](request)
        match path.removeprefix(ROOT) if path.startswith(ROOT) else None:
            case "":
                return json_response(spell(self.dandiset()))
            case "versions/":
                page = {"count": 1, "next": None, "previous": None, "results": [self.version()]}
                return json_response(spell(page))
            case "versions/draft/":
                return json_response(spell(self.record))
            case "versions/draft/assets/":
                return json_response(self.page(request))
        if path.startswith("/api/assets/"):
            asset_id = path.split("/")[3]
            entries = [entry for entry in self.entries if isinstance(entry, dict) and entry.get("asset_id") == asset_id]
            return json_response(spell(entries[0]["metadata"])) if entries else Response(status_code=404)
        return None

    def page(self, request: Request) -> bytes:
        """A page of the listing, as the archive makes it."""
        number = int(request.params.get("page", 1))
        metadata = request.params.get("metadata") == "true"
        entries = self.entries[(number - 1) * PAGE : number * PAGE]
        follows = f"http://{request.headers['host']}{request.path}?page={number + 1}&page_size={PAGE}"
        count = str(len(self.entries)) if number == 1 else "null"
        link = json.dumps(follows if number * PAGE < len(self.entries) else None)
        listed = b", ".join(spell_entry(entry, metadata=metadata) for entry in entries)
        return f'{{"count": {count}, "next": {link}, "previous": null, "results": ['.encode() + listed + b"]}"


def served(server: Server, entries: Iterable[Any]) -> Answers:
    """Let the server answer with these list entries."""
    answers = Answers(list(entries))
    server.intercept = answers
    return answers


def once(paths: Iterable[str]) -> list[str]:
    """The paths that stand there one time only."""
    return [path for path, count in Counter(paths).items() if count == 1]
