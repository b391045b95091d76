"""Answers that are not what the API promises: each is that file's error, and no byte goes where it should not."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from starlette.responses import JSONResponse, Response

from dandi_mirror.embedded import Archive, Server
from dandi_mirror.embedded.serving.app import Request
from dandi_mirror.upload.send.types import Unsent
from tests.support.proxy import Proxy, proxy_of
from tests.support.sending import TOKEN, Desk, put, sha256

ID = "00000000-0000-4000-8000-000000000000"
SIZE = 1000
Spoil = Callable[[dict[str, Any]], object]


def spoil(server: Server, path: str, change: Spoil) -> None:
    """Let the API's answers at a path be others than they are."""

    def rewrite(request: Request, found: Response) -> Response:
        if request.path != f"/api{path}" and not request.path.endswith(path):
            return found
        return JSONResponse(change(json.loads(bytes(found.body))))

    server.rewrite = rewrite


def with_part(**more: object) -> Spoil:
    return lambda answer: answer | {"parts": [answer["parts"][0] | more]}


@pytest.mark.parametrize(
    "change",
    [
        lambda answer: [],
        lambda answer: answer | {"upload_id": "../../etc"},
        lambda answer: answer | {"parts": None},
        lambda answer: answer | {"parts": []},
        lambda answer: answer | {"parts": answer["parts"] * 2},
        with_part(size=SIZE - 1),
        with_part(size="1000"),
        with_part(size=0),
        with_part(part_number=2),
        with_part(upload_url=None),
        with_part(upload_url="http://example.org/part"),
        with_part(upload_url="file:///etc/passwd"),
        with_part(upload_url="//[/"),
        with_part(upload_url=""),
    ],
)
def test_an_upload_that_is_none_is_not_begun(desk: Desk, server: Server, change: Spoil) -> None:
    spoil(server, "/uploads/initialize/", change)
    outcome = desk.send(source := desk.file("a.dat", SIZE))[source.path]
    assert isinstance(outcome, Unsent) and outcome.error.exit_code in {3, 5}, outcome
    assert put(server) == []


@pytest.mark.parametrize("location", [None, "", "nonsense", "../x"])
def test_a_conflict_that_names_no_blob_is_an_error(desk: Desk, server: Server, location: str | None) -> None:
    headers = {} if location is None else {"location": location}
    server.intercept = lambda request: JSONResponse("Blob already exists.", 409, headers)
    assert "409" in desk.why(desk.file("a.dat", SIZE))


@pytest.mark.parametrize(
    ("path", "change"),
    [
        ("/complete/", lambda answer: answer | {"complete_url": None}),
        ("/complete/", lambda answer: answer | {"complete_url": "http://example.org/"}),
        ("/complete/", lambda answer: answer | {"body": 7}),
        ("/validate/", lambda answer: answer | {"blob_id": "x"}),
        ("/validate/", lambda answer: answer | {"size": "7"}),
        ("/validate/", lambda answer: answer | {"etag": "0" * 32 + "-1"}),
        ("/blobs/digest/", lambda answer: answer | {"sha256": "0" * 64}),
    ],
)
def test_an_end_that_is_none_is_an_error_or_seen_through(
    desk: Desk, server: Server, archive: Archive, path: str, change: Spoil
) -> None:
    source = desk.file("a.dat", SIZE)
    if path == "/blobs/digest/":
        desk.sent(source)
        archive.jobs.settle()
        source = replace(source, path="b.dat", sha256=sha256(source))
    spoil(server, path, change)
    outcome = desk.send(source)[source.path]
    if isinstance(outcome, Unsent):
        assert outcome.error.exit_code in {3, 5}
    else:
        [blob] = archive.blobs.values()
        assert outcome.blob == blob.blob_id, "what the archive says of a digest is believed, if it is of that digest"


def test_parts_are_not_redirected(desk: Desk, server: Server) -> None:
    elsewhere = f"{server.origin}/elsewhere"
    server.intercept = lambda request: (
        Response(status_code=307, headers={"location": elsewhere}) if request.method == "PUT" else None
    )
    assert "which dandi-mirror does not follow" in desk.why(desk.file("a.dat", SIZE))
    assert not any(request.path == "/elsewhere" for request in server.requests)


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    with proxy_of(server) as made:
        yield made


def test_a_part_goes_to_another_host_without_the_token(desk: Desk, server: Server, proxy: Proxy) -> None:
    """Also if that host is one that the API could be at."""
    heads: list[bytes] = []

    def choose(asked: Any) -> None:
        heads.append(asked.head)

    proxy.choose = choose
    server.archive.at(proxy.origin)
    desk.sent(desk.file("a.dat", SIZE))
    assert [head.split(b" ")[0] for head in heads] == [b"PUT", b"POST"]
    assert not any(TOKEN.encode() in head for head in heads)


def test_no_log_and_no_error_has_what_is_secret(desk: Desk, server: Server, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", "dandi_mirror")
    desk.sent(desk.file("a.dat", SIZE))
    server.intercept = lambda request: Response(status_code=500) if request.method == "PUT" else None
    said = desk.why(desk.file("b.dat", SIZE, 1))
    told = [*(record.getMessage() for record in caplog.records if record.name == "dandi_mirror"), said]
    assert any("PUT /dandi-dandisets/" in line for line in told)
    assert not any(TOKEN in line or "X-Amz" in line for line in told)
