"""Where a redirect, a page, a record or the special remote may lead."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from starlette.responses import Response

from dandi_mirror.addresses import Allowed, BadRedirect, redirect_target
from dandi_mirror.archive.api.client import check_next
from dandi_mirror.archive.content.sources import TransferSettings
from dandi_mirror.archive.http.session import Session
from dandi_mirror.embedded import Server
from dandi_mirror.errors import BadAnswerError
from dandi_mirror.mirror.format.admission import ContentHosts
from dandi_mirror.model import Instance
from tests.conftest import IMPATIENT
from tests.support.guards import ID, QUICK, bring, leading_to
from tests.support.remote import retrieve

pytestmark = pytest.mark.quick


@pytest.mark.parametrize(
    ("here", "location"),
    [
        ("https://api.example.org/x", "http://api.example.org/x"),
        ("https://api.example.org/x", "http://127.0.0.1/x"),
        ("http://127.0.0.1:8000/x", "http://api.example.org/x"),
        ("https://api.example.org/x", "file:///etc/passwd"),
        ("https://api.example.org/x", "https://[::1/x"),
    ],
)
def test_a_redirect_to_what_is_not_https_is_not_followed(here: str, location: str) -> None:
    with pytest.raises(BadRedirect):
        redirect_target(here, location)


def test_both_ways_of_asking_keep_to_that(server: Server, other: Server, tmp_path: Path) -> None:
    there = other.origin.replace("127.0.0.1", "127.0.0.2")
    server.intercept = leading_to(f"{there}/x")
    url = f"{server.api_url}/assets/{ID}/download/"
    error = bring(
        [url], b"bytes", tmp_path, TransferSettings(server.api_url, None, Allowed(addresses=frozenset({"all"})), QUICK)
    )
    assert "not https" in str(error)
    with closing(Session(server.api_url, None, IMPATIENT)) as session, pytest.raises(BadAnswerError, match="not https"):
        session.content(url, 10)
    assert other.requests == []


@pytest.mark.parametrize(
    "link",
    [
        "https://evil.example/api/x/?page=2",
        "http://h.example/api/x/?page=2",  # another scheme
        "https://h.example:8443/api/x/?page=2",  # another port
        "https://h.example:0x/api/x/?page=2",
        "https://h.example/api/y/?page=2",
        7,
        "//[",
    ],
)
def test_the_next_page_is_one_of_the_same_list_at_the_same_host(link: object) -> None:
    assert check_next("https://h.example/api", "/x/", "https://h.example/api/x/?page=2", 1)
    assert check_next("https://h.example/api", "/x/", "https://h.example:443/api/x/?page=2", 1)
    with pytest.raises(BadAnswerError):
        check_next("https://h.example/api", "/x/", link, 1)


@pytest.mark.parametrize(
    "url",
    ["https://evil.example/x", "http://dandiarchive.s3.amazonaws.com/x", "https://s3.amazonaws.com.evil.example/x"],
)
def test_content_is_registered_at_s3_at_the_archive_and_at_named_hosts_only(url: str) -> None:
    hosts = ContentHosts(Instance("DANDI", "https://api.example.org/api"), frozenset({"store.example.org"}))
    for good in ("dandiarchive.s3.amazonaws.com", "api.example.org", "store.example.org"):
        assert hosts.admit(f"https://{good}/x") == f"https://{good}/x"
    assert hosts.admit(url) is None


def test_the_special_remote_asks_its_own_api_only(server: Server, other: Server, tmp_path: Path) -> None:
    server.intercept = other.intercept = lambda request: Response(b"bytes")
    port, others = urlsplit(server.origin).port, urlsplit(other.origin).port
    assert len(str(port)) == len(str(others)), "or another guard would pass over it"
    said = retrieve(server.api_url, [f"{other.api_url}/assets/{ID}/download/"], tmp_path / "file")
    assert said.startswith("TRANSFER-FAILURE")
    assert other.requests == server.requests == []


@pytest.mark.parametrize("path", ["all/download/", f"{ID}/download/?delete=1", f"{ID}/", f"{ID}/download/../../users/"])
def test_the_special_remote_asks_for_nothing_but_an_assets_content(server: Server, tmp_path: Path, path: str) -> None:
    server.intercept = lambda request: Response(b"bytes")
    assert retrieve(server.api_url, [f"{server.api_url}/assets/{path}"], tmp_path / "file").startswith(
        "TRANSFER-FAILURE"
    )
    assert server.requests == []
    good = f"{server.api_url}/assets/{ID}/download/"
    assert retrieve(server.api_url, [good], tmp_path / "file").startswith("TRANSFER-SUCCESS")
