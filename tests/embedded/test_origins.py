"""Web pages and the embedded archive: it answers under its own name only, and lets pages read what is open to all."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from dandi_mirror.embedded import Archive, Server

TOKEN = "a" * 40
ALLOWED = "access-control-allow-origin"


@pytest.mark.parametrize("path", ["/api/info/", "/robots.txt", "/dandi-dandisets/blobs/x"])
def test_a_request_for_another_name_is_not_answered(server: Server, path: str) -> None:
    port = server.origin.rpartition(":")[2]
    for host in (
        "evil.example",
        f"evil.example:{port}",
        "127.0.0.1",
        "localhost:1",
        f"127.0.0.1.evil.example:{port}",
        "",
    ):
        answer = requests.get(f"{server.origin}{path}", headers={"Host": host}, timeout=10)
        assert answer.status_code == 400, host
        assert ALLOWED not in answer.headers
    for host in (f"127.0.0.1:{port}", f"localhost:{port}", f"LOCALHOST:{port}"):
        assert requests.get(f"{server.origin}{path}", headers={"Host": host}, timeout=10).status_code != 400


def test_nothing_is_changed_by_a_request_for_another_name(archive: Archive, server: Server) -> None:
    archive.add_user("me", TOKEN)
    headers = {"Host": "evil.example", "Authorization": f"token {TOKEN}"}
    body: Any = {"name": "x", "metadata": {}}
    answer = requests.post(f"{server.api_url}/dandisets/", json=body, headers=headers, timeout=10)
    assert answer.status_code == 400
    assert archive.dandisets == {}


def test_any_page_may_read_what_is_open_to_all_as_recorded(server: Server) -> None:
    for method in ("GET", "HEAD", "OPTIONS"):
        answer = requests.request(
            method, f"{server.api_url}/info/", headers={"Origin": "https://x.example"}, timeout=10
        )
        assert answer.headers[ALLOWED] == "https://x.example"
        assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize("secret", [{"Authorization": f"token {TOKEN}"}, {"Cookie": "sessionid=1"}])
def test_no_page_but_the_archives_own_may_read_what_a_key_opens(
    archive: Archive, server: Server, secret: dict[str, str]
) -> None:
    archive.add_user("me", TOKEN)
    url = f"{server.api_url}/info/"
    assert ALLOWED not in requests.get(url, headers={"Origin": "https://x.example"} | secret, timeout=10).headers
    own = requests.get(url, headers={"Origin": archive.web_url} | secret, timeout=10)
    assert own.headers[ALLOWED] == archive.web_url
    posted = requests.post(f"{server.api_url}/dandisets/", json={}, headers={"Origin": "https://x.example"}, timeout=10)
    assert ALLOWED not in posted.headers
