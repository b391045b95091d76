"""The embedded archive answers as the real one did: call by call, field by field.

The archive that was recorded is built again by seeding; then every recorded call is made and the answers are
compared: status, headers, and bodies to the last value.  Only what differs from run to run is taken out
first: times (their spelling stays), fresh UUIDs, signatures, database ids, the hosts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
import requests

from dandi_mirror.embedded import Archive, Dandiset, Server, serve
from tests.support.recorded import load, plain

FILES = ("server", "dandisets", "versions", "assets", "zarr", "bucket", "writes")
TOKENS = {"owner": "b" * 40, "other": "c" * 40, "admin": "a" * 40, "pending": "d" * 40}
CONTENTS = {"a.txt": b"content of a.txt\n", "dup.txt": b"content of a.txt\n", "secret.txt": b"secret bytes\n"}
COMPUTED = {
    "id",
    "url",
    "access",
    "version",
    "@context",
    "citation",
    "identifier",
    "repository",
    "dateCreated",
}
COMPUTED |= {
    "manifestLocation",
    "contentUrl",
    "contentSize",
    "digest",
    "datePublished",
    "publishedBy",
    "path",
}

# The embedded archive answers the first in another way, on purpose: the real one shows its browsable API.
# Nobody has stars, and the real one's order among equals is its database's.
ONLY_HEADERS = {"ds-list-accept-html", "ds-list-ordering-stars"}
# The real one counts every six hours only, and had not counted yet.
ONLY_SHAPE = {"stats"}
# Where the real one never looked at who asks, its Vary has no Cookie.
OTHER_VARY = {"digest-notjson", "digest-badjson"}


STATE = load("state")
CALLS = [(name, call) for name in FILES for call in load(name)["calls"]]


def own(metadata: dict[str, Any]) -> dict[str, Any]:
    """What a client once sent: the record without what the archive computes."""
    return {key: value for key, value in metadata.items() if key not in COMPUTED}


def add(dandiset: Dandiset, entry: dict[str, Any]) -> None:
    """Put an asset in as it was recorded: id, blob, path, size, times, and its own metadata."""
    archive = dandiset.archive
    record = STATE["records"].get(entry["asset_id"], {"encodingFormat": "text/plain"})
    common = {"asset_id": entry["asset_id"], "created": entry["created"], "modified": entry["modified"]}
    if entry["zarr"]:
        checksum = record["digest"]["dandi:dandi-zarr-checksum"] if "digest" in record else None
        if entry["path"] == "secret.zarr":
            checksum = "bf2b0e1b1f5c88846d7af4751fe4ccc9-1--18"
        files = {entry["Key"]: b"." * entry["Size"] for entry in STATE["zarrs"][entry["zarr"]]}
        zarr = dandiset.add_zarr(entry["path"], checksum=checksum, files=files, zarr_id=entry["zarr"])
        dandiset.add_asset(entry["path"], metadata=own(record), zarr=zarr, **common)
        return
    blob = archive.blobs.get(entry["blob"])
    if blob is None and entry["path"] in CONTENTS:
        blob = archive.add_blob(CONTENTS[entry["path"]], blob_id=entry["blob"])
    elif blob is None:
        digest = record.get("digest", {"dandi:dandi-etag": "0-1", "dandi:sha2-256": "f" * 64})
        blob = archive.add_blob_record(entry["size"], blob_id=entry["blob"], digest=digest)
    dandiset.add_asset(entry["path"], blob, own(record), unchecked=True, **common)


def fill(dandiset: Dandiset, draft: dict[str, Any]) -> None:
    """Nameless assets up to the recorded number and size, where the listing was not recorded."""
    count, size = draft["asset_count"], draft["size"]
    for number in range(count):
        part = size - (count - 1) if number == 0 else 1
        dandiset.add_asset(f"f{number}", dandiset.archive.add_blob_record(part, sha256="f" * 64, etag="0-1"))


def many_assets(dandiset: Dandiset) -> None:
    """The history of 000003: nine assets, published; three changed, published; one more."""
    for entry in STATE["first_000003"]:
        add(dandiset, entry)
    dandiset.publish("0.261122.0735", "2026-11-22T07:35:03.973899Z", release_notes="First release")
    for path in ("dir/b.txt", "dir/sub/c.txt", "dir2/e.txt"):
        dandiset.delete_asset(path)
    held = {asset.asset_id for asset in dandiset.draft}
    new = [entry for entry in STATE["draft_000003"] if entry["asset_id"] not in held]
    for entry in new[:-1]:
        add(dandiset, entry)
    dandiset.publish("0.261122.0736", "2026-11-22T07:35:08.766853Z")
    add(dandiset, new[-1])
    for entry in (*STATE["first_000003"], *STATE["draft_000003"]):
        dandiset.archive.assets[entry["asset_id"]].modified = datetime.fromisoformat(entry["modified"])
    dandiset.draft.forget()


def build() -> Archive:
    """The archive that was recorded."""
    archive = Archive("DEV-DANDI", "10.80507", web_url="http://localhost:8085", identifier="RRID:ABC_123456", seed=1)
    archive.add_user("owner@nil.nil", TOKENS["owner"], name="Olive Owner")
    archive.add_user("other@nil.nil", TOKENS["other"], name="Otto Other")
    archive.add_user("admin@nil.nil", TOKENS["admin"], name="", admin=True)
    archive.add_user("pending@nil.nil", TOKENS["pending"], name="Penny Pending", approved=False)
    for recorded in STATE["dandisets"]:
        build_dandiset(archive, recorded)
    return archive


def build_dandiset(archive: Archive, recorded: dict[str, Any]) -> None:
    identifier, draft = recorded["identifier"], recorded["draft_version"]
    contact = {"name": recorded["contact_person"], "roleName": ["dcite:ContactPerson"]}
    metadata = STATE["metadata"].get(identifier)
    dandiset = archive.create_dandiset(
        identifier,
        draft["name"],
        own(metadata) | {"assetsSummary": None} if metadata else {"contributor": [contact]},
        recorded["created"],
        owners=("owner@nil.nil",),
    )
    if recorded["embargo_status"] == "EMBARGOED" or identifier == "000006":
        dandiset.set_embargo("EMBARGOED")
    for entry in STATE["rows"].get(identifier, []):
        add(dandiset, entry)
    if identifier == "000003":
        many_assets(dandiset)
    elif identifier not in STATE["rows"]:
        fill(dandiset, draft)
    if identifier == "000001":
        dandiset.publish("0.261122.0734", recorded["most_recent_published_version"]["created"])
    if identifier == "000006":
        dandiset.set_embargo("OPEN")
        dandiset._unembargoed = datetime.fromisoformat("2026-11-22").date()
    if metadata:
        dandiset.set_metadata(own(metadata))
    if identifier == "000007":
        dandiset.draft.validation_errors = STATE["errors_000007"]
        next(iter(dandiset.draft)).validation_errors = tuple(STATE["errors_bad"])
    dandiset.draft.status = draft["status"]
    dandiset.draft.modified = draft["modified"]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serve(build()) as served:
        yield served


def plain_headers(headers: dict[str, str], origin: str = "") -> dict[str, str]:
    hidden = {
        "last-modified": r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT",
        "x-amz-version-id": r"[0-9a-f]{32}",
    }
    made = {name: plain(value, origin) for name, value in headers.items()}
    for name, pattern in hidden.items():
        if name in made:
            assert re.fullmatch(pattern, made[name]), (name, made[name])
            made[name] = "«»"
    return made


def shape(value: Any) -> Any:
    """Keys and types at every level."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    return [shape(item) for item in value] if isinstance(value, list) else type(value)


def ask(server: Server, label: str, request: dict[str, Any]) -> requests.Response:
    """Make a recorded call; a presigned URL is asked for anew."""
    headers = dict(request.get("headers") or {})
    if label == "bearer":
        headers["Authorization"] = "Bearer x"
    if auth := request.get("auth"):
        headers["Authorization"] = f"token {TOKENS.get(auth, auth)}"
    url = request["url"].replace("http://localhost:8000", server.origin)
    url = url.replace("http://127.0.0.1:9000", server.origin)
    if "X-Amz-Signature" in url:
        key = url.partition("?")[0].removeprefix(f"{server.archive.s3_url}/")
        asset = next(a for a in server.archive.assets.values() if a.source.key == key and a.path != "dup.txt")
        answer = requests.get(
            f"{server.api_url}/assets/{asset.asset_id}/download/", headers=headers, allow_redirects=False
        )
        url = answer.headers["location"]
        headers.pop("Authorization", None)
    body = {"data": "{bad"} if headers.get("Content-Type") else {"json": request.get("json")}
    if request["method"] not in ("POST", "PUT", "PATCH", "DELETE"):
        body = {}
    return requests.request(request["method"], url, headers=headers, allow_redirects=False, **body)


@pytest.mark.parametrize(
    ("name", "number"),
    [pytest.param(name, number, id=f"{name}-{number}-{call['label']}") for number, (name, call) in enumerate(CALLS)],
)
def test_answers_as_recorded(server: Server, name: str, number: int) -> None:
    call = CALLS[number][1]
    expected = call["response"]
    answer = ask(server, call["label"], call["request"])
    assert answer.status_code == expected["status"], answer.text[:500]
    found = {key.lower(): value for key, value in answer.headers.items()}
    wanted = dict(expected["headers"])
    for header in ("date", "server", "content-length", "connection"):
        found.pop(header, None)
    if len(answer.content) < 400:
        # Random padding in the real one's gzip decides whether a short answer gets shorter.
        wanted.pop("content-encoding", None)
        found.pop("content-encoding", None)
    if call["label"] in OTHER_VARY:
        wanted["vary"] = found["vary"]
    assert plain_headers(found, server.origin) == plain_headers(wanted)
    if call["label"] in ONLY_HEADERS or expected["body"] is None:
        return
    if call["label"] in ONLY_SHAPE:
        assert shape(answer.json()) == shape(expected["body"])
        return
    json_body = expected["headers"]["content-type"] == "application/json"
    body = answer.json() if json_body else answer.text
    assert plain(body, server.origin) == plain(expected["body"])


def test_at_least_sixty_calls_are_compared() -> None:
    assert len(CALLS) >= 60
