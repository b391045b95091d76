"""Where a token may go."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from starlette.responses import RedirectResponse, Response

from dandi_mirror.addresses import Allowed
from dandi_mirror.archive.content.sources import TransferSettings, TransferState
from dandi_mirror.archive.http.session import Session
from dandi_mirror.embedded import Server
from dandi_mirror.repo.git.process import git
from tests.conftest import IMPATIENT
from tests.support.credentials import with_token
from tests.support.guards import HERE, ID, QUICK, bring, leading_to

pytestmark = pytest.mark.quick

TOKEN = "0123456789abcdef0123456789abcdef01234567"


def test_the_token_is_not_sent_where_a_redirect_of_the_api_leads(server: Server, other: Server) -> None:
    server.intercept = leading_to(f"{other.origin}/there")
    other.intercept = lambda request: Response(b"bytes")
    allowed = Allowed.named(server.api_url, frozenset({urlsplit(other.origin).netloc}))
    with closing(Session(server.api_url, TOKEN, IMPATIENT, allowed=allowed)) as session:
        assert session.content(f"{server.api_url}/assets/{ID}/download/", 10) == b"bytes"
    assert with_token(server) == [f"/api/assets/{ID}/download/"]
    assert [request.path for request in other.requests] == ["/there"]
    assert with_token(other) == []


def test_the_token_is_not_sent_back_to_the_api_by_a_redirect(server: Server, tmp_path: Path) -> None:
    back = f"{server.api_url}/assets/{ID}/back/"
    server.intercept = lambda request: (
        RedirectResponse(back) if request.path.endswith("/download/") else Response(b"bytes")
    )
    url = f"{server.api_url}/assets/{ID}/download/"
    assert bring([url], b"bytes", tmp_path, TransferSettings(server.api_url, TOKEN, HERE, QUICK)) is None
    assert with_token(server) == [f"/api/assets/{ID}/download/"]
    with closing(Session(server.api_url, TOKEN, IMPATIENT)) as session:
        assert session.content(url, 10) == b"bytes"
    assert f"/api/assets/{ID}/back/" not in with_token(server)


def test_the_token_is_not_sent_to_another_host_that_has_content(server: Server, other: Server, tmp_path: Path) -> None:
    other.intercept = lambda request: Response(b"bytes")
    assert (
        bring([f"{other.origin}/blob"], b"bytes", tmp_path, TransferSettings(server.api_url, TOKEN, HERE, QUICK))
        is None
    )
    assert [request.path for request in other.requests] == ["/blob"]
    assert with_token(other) == []


@pytest.mark.parametrize(
    "url",
    [
        "http://api.example.org/api/assets/x/",  # another scheme
        "https://api.example.org:8443/api/assets/x/",  # another port
        "https://api.example.org/apiary/assets/x/",  # another path that begins alike
        "https://api.example.org.evil.example/api/assets/x/",
        "https://s3.example.org/api/assets/x/",
    ],
)
def test_a_url_is_the_apis_by_scheme_host_port_and_path(url: str) -> None:
    hosts = TransferState(TransferSettings("https://api.example.org/api", TOKEN))
    assert hosts.headers(urlsplit("https://api.example.org/api/assets/x/")) == {"Authorization": f"token {TOKEN}"}
    assert hosts.headers(urlsplit(url)) == {}


def test_a_path_that_only_begins_as_the_apis_gets_no_token(server: Server) -> None:
    server.intercept = lambda request: Response(b"bytes")
    with closing(Session(server.api_url, TOKEN, IMPATIENT)) as session:
        session.content(f"{server.origin}/apiary/x", 10)
        session.content(f"{server.api_url}/x", 10)
    assert with_token(server) == ["/api/x"]


def test_programs_that_we_start_have_no_api_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DANDI_API_KEY", "DANDI_AT_http_127_0_0_1_port_8000_API_KEY", "127.0.0.1:8000_API_KEY"):
        monkeypatch.setenv(name, TOKEN)
    assert TOKEN not in git(tmp_path, "-c", "alias.tell=!env", "tell").decode()
