"""An upload, step by step, as a client makes it."""

from __future__ import annotations

from typing import Any

import requests

from dandi_mirror import digests
from dandi_mirror.embedded import Server
from tests.support.asking import OWNER

MIB = 1024 * 1024


def call(server: Server, method: str, path: str, json: Any = None, token: str = OWNER) -> requests.Response:
    headers = {"Authorization": f"token {token}"} if token else {}
    return requests.request(method, server.api_url + path, json=json, headers=headers, allow_redirects=False)


def begin(server: Server, content: bytes, dandiset: str = "000004", **other: Any) -> requests.Response:
    digest = {"algorithm": "dandi:dandi-etag", "value": digests.dandi_etag(content)}
    wanted = {"dandiset": dandiset, "contentSize": len(content), "digest": digest} | other
    return call(server, "POST", "/uploads/initialize/", wanted)


def put_parts(begun: dict[str, Any], content: bytes) -> list[dict[str, Any]]:
    """Send every part; what ``complete`` wants to know of them."""
    sent, start = [], 0
    for part in begun["parts"]:
        answer = requests.put(part["upload_url"], data=content[start : start + part["size"]])
        assert answer.status_code == 200, answer.text
        start += part["size"]
        sent.append({"part_number": part["part_number"], "size": part["size"], "etag": answer.headers["ETag"]})
    assert start == len(content)
    return sent


def complete(server: Server, begun: dict[str, Any], parts: list[dict[str, Any]]) -> requests.Response:
    done = call(server, "POST", f"/uploads/{begun['upload_id']}/complete/", {"parts": parts}).json()
    return requests.post(done["complete_url"], data=done["body"])


def validate(server: Server, begun: dict[str, Any]) -> requests.Response:
    return call(server, "POST", f"/uploads/{begun['upload_id']}/validate/")


def upload(server: Server, content: bytes, dandiset: str = "000004") -> dict[str, Any]:
    """A blob with this content; the answer of ``validate``."""
    begun = begin(server, content, dandiset).json()
    assert complete(server, begun, put_parts(begun, content)).status_code == 200
    answer = validate(server, begun)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def add(server: Server, path: str, blob: str, dandiset: str = "000004", **more: Any) -> requests.Response:
    metadata = {"path": path, "schemaKey": "Asset", "schemaVersion": "0.7.0", "encodingFormat": "text/plain"} | more
    body = {"metadata": metadata, "blob_id": blob}
    return call(server, "POST", f"/dandisets/{dandiset}/versions/draft/assets/", body)
