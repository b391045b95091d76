"""Nothing that stands in a repository, a record or an answer widens which addresses are asked: a person does."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from starlette.responses import RedirectResponse, Response

from dandi_mirror.addresses import Allowed, is_inside
from dandi_mirror.archive.api.follow_names import follow
from dandi_mirror.archive.content.single import ByteCounter, FileDownloader, Item
from dandi_mirror.archive.content.sources import TransferSettings, TransferState
from dandi_mirror.archive.http.environment import RequestRule, refuse_request
from dandi_mirror.archive.http.session import Session
from dandi_mirror.archive.instances import token_variable
from dandi_mirror.archive.names import Name
from dandi_mirror.embedded import Archive, Server
from dandi_mirror.embedded import serve as serve_archive
from dandi_mirror.errors import MirrorError, PartError, UsageError
from dandi_mirror.repo.annex.logs import WEB, api_remote, embargo_remote
from dandi_mirror.repo.annex.repository import AnnexRepository
from tests.conftest import IMPATIENT, run
from tests.support.hostile_clone import CONTENT, ID, hostile_clone
from tests.support.remote import retrieve

COMMANDS = [("ls", "."), ("download", ".", "-o", "../out"), ("upload", ".", "-n")]
NOWHERE = "http://127.0.0.1:1/api"


@pytest.fixture
def inner() -> Iterator[Server]:
    """What listens on this machine and has nothing to do with any archive; it would give bytes to anybody."""
    with serve_archive(Archive()) as server:
        server.intercept = lambda request: Response(CONTENT)
        yield server


@pytest.fixture
def plain_home(home: Path) -> None:
    """git as it is on most machines: git-annex may ask the public network only."""
    run("git", "config", "--global", "--unset", "annex.security.allowed-ip-addresses")


# --- who asks -------------------------------------------------------------------------------------------------


def test_content_is_not_asked_for_at_another_port_of_a_named_archives_machine(
    server: Server, inner: Server, tmp_path: Path
) -> None:
    """By a record's URL, and by a redirect; each way of asking."""
    there = f"{inner.origin}/delete?all=1"
    server.intercept = lambda request: RedirectResponse(there) if request.path.endswith("/download/") else None
    access = TransferSettings(server.api_url, None, Allowed.named(server.api_url), IMPATIENT)
    for url in (there, f"{server.api_url}/assets/{ID}/download/"):
        worker = FileDownloader(TransferState(access), ByteCounter())
        with closing(worker):
            error = worker.whole(Item((url,), 5, sha256(CONTENT).hexdigest(), tmp_path / "partial")).error
        assert "on this machine or network" in str(error)
        with (
            closing(Session(server.api_url, policy=IMPATIENT)) as session,
            pytest.raises(PartError, match="is on this"),
        ):
            session.content(url, 10)
    with closing(Session(server.api_url, policy=IMPATIENT)) as session, pytest.raises(PartError, match="is on this"):
        session.store("PUT", there, b"x")
    assert inner.requests == []


def test_a_name_that_resolves_to_this_machine_is_not_asked_either(
    server: Server, inner: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    import socket

    look_up = socket.getaddrinfo

    def resolve(host: object, *others: object, **options: object) -> object:
        return look_up("127.0.0.1" if host == "rebound.example.org" else host, *others, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    url = f"https://rebound.example.org:{urlsplit(inner.origin).port}/x"
    assert is_inside(url, Allowed())
    with closing(Session(server.api_url, policy=IMPATIENT)) as session, pytest.raises(PartError, match="is on this"):
        session.content(url, 10)
    assert inner.requests == []


def test_a_host_of_content_that_the_settings_name_is_asked(server: Server, inner: Server) -> None:
    allowed = Allowed.named(server.api_url, frozenset({urlsplit(inner.origin).netloc}))
    with closing(Session(server.api_url, policy=IMPATIENT, allowed=allowed)) as session:
        assert session.content(f"{inner.origin}/blob", 10) == CONTENT


def test_a_link_that_leads_to_this_machine_is_not_asked(server: Server, inner: Server) -> None:
    server.intercept = lambda request: RedirectResponse(f"{inner.origin}/delete?all=1")
    with pytest.raises(MirrorError, match="is on this machine"):
        follow(Name("a link", ask=f"{server.origin}/short"), IMPATIENT)
    assert inner.requests == []


def test_a_site_that_says_its_api_is_on_this_machine_is_not_believed(server: Server, inner: Server) -> None:
    info = f'{{"services": {{"api": {{"url": "{inner.api_url}"}}}}}}'
    server.intercept = lambda request: Response(info, media_type="application/json")
    with pytest.raises(UsageError, match="name the archive itself with -i"):
        follow(Name("a page", dandiset="000004", ask=server.origin), IMPATIENT)
    assert inner.requests == []


# --- hostile clones -------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("plain_home")
@pytest.mark.parametrize("closed", [False, True])
def test_get_asks_nothing_on_this_machine_whatever_a_clone_says(tmp_path: Path, inner: Server, closed: bool) -> None:
    api = inner.api_url if closed else NOWHERE
    url = f"{api}/assets/{ID}/download/" if closed else f"{inner.origin}/delete?all=1"
    uuid, words = embargo_remote(api)
    place = uuid if closed else WEB
    clone = hostile_clone(tmp_path, url=url, remotes=[(uuid, words)], place=place)
    done = run("dandi-mirror", "get", "a.nwb", cwd=clone, code=None)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert inner.requests == []


@pytest.mark.usefixtures("plain_home")
def test_the_special_remote_asks_no_api_on_this_machine_that_a_clone_names(tmp_path: Path, inner: Server) -> None:
    said = retrieve(inner.api_url, [f"{inner.api_url}/assets/{ID}/download/"], tmp_path / "file")
    assert said.startswith("TRANSFER-FAILURE")
    assert "on this machine or network" in said
    assert inner.requests == []


@pytest.mark.usefixtures("plain_home")
@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433"])
def test_no_command_asks_an_api_on_this_machine_that_a_clone_names(
    tmp_path: Path, inner: Server, command: tuple[str, ...], host: str
) -> None:
    api = inner.api_url.replace("127.0.0.1", host)
    clone = hostile_clone(tmp_path, url=f"{api}/assets/{ID}/download/", remotes=[api_remote(api)], name="DEV")
    assert AnnexRepository(clone).api() == ""
    done = run("dandi-mirror", *command, cwd=clone, code=None, env={token_variable(inner.api_url): "a" * 40})
    assert "Traceback" not in done.stderr
    assert inner.requests == []


@pytest.mark.parametrize("command", COMMANDS[1:])
def test_the_same_commands_ask_it_where_git_annex_may(tmp_path: Path, inner: Server, command: tuple[str, ...]) -> None:
    """So that the test above means something."""
    clone = hostile_clone(
        tmp_path, url=f"{inner.api_url}/assets/{ID}/download/", remotes=[api_remote(inner.api_url)], name="DEV"
    )
    run("dandi-mirror", *command, cwd=clone, code=None, env={token_variable(inner.api_url): "a" * 40})
    assert inner.requests


def test_an_api_on_this_machine_counts_where_git_annex_may_ask_it(tmp_path: Path, inner: Server) -> None:
    clone = hostile_clone(tmp_path, url="https://h.example/x", remotes=[api_remote(inner.api_url)])
    assert AnnexRepository(clone).api() == inner.api_url


# --- through a proxy ------------------------------------------------------------------------------------------

PROXY = "http://127.0.0.1:9"
LOCAL = [
    "localhost.localdomain", "box.localdomain", "printer.local", "vault.internal", "a.localhost", "intranet",
    "localhost.", "vault.internal.", "\uff11\uff12\uff17.0.0.1", "127%2e0.0.1", "metadata.google.internal",
]  # fmt: skip


@pytest.mark.parametrize("host", LOCAL)
def test_a_name_of_a_private_network_is_not_asked_through_a_proxy(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("all_proxy", PROXY)
    assert "is on this machine or network" in str(refuse_request(f"https://{host}/x", Allowed()))
    assert refuse_request(f"https://{host}/x", Allowed.named(f"https://{host}/api")) is None
    assert refuse_request("https://dandiarchive.s3.amazonaws.com/x", Allowed()) is None
    assert refuse_request("https://api.dandi-1_a.example.org/x", Allowed()) is None


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://example.org/x", "x", "https:///x", "https://h.example:0/"]
)
def test_only_http_and_https_are_requested(url: str) -> None:
    assert refuse_request(url, Allowed(addresses=frozenset({"all"})))


def test_a_rule_that_remembers_hosts_refuses_what_the_rule_refuses() -> None:
    hosts = ["good.example", "127.0.0.1", "localhost", "good.example@127.0.0.1", "127.0.0.1@good.example", "[::1]",
             "good.example:0", "127.0.0.1:8000", "good.example\\@127.0.0.1", ""]  # fmt: skip
    ends = ["", "/", "/x//127.0.0.1/", "?//127.0.0.1/", "#@127.0.0.1/", "\n.evil", "\\127.0.0.1/"]
    starts = ["https://", "http://", "file://", "//", "https:/", "https:\n//", " https://", "https:///"]
    for allowed in (Allowed(), Allowed(addresses=frozenset({"127.0.0.1"})), Allowed.named("https://localhost/api")):
        rule = RequestRule(allowed)
        for url in 2 * [start + host + end for start in starts for host in hosts for end in ends]:
            assert rule.refuses(url) == refuse_request(url, allowed), url


REFUSED_URLS = [
    "http://169.254.169.254/latest/", "http://localhost.localdomain/x", "ftp://example.org/x",
    "file:///etc/passwd",
]  # fmt: skip


@pytest.mark.usefixtures("plain_home")
@pytest.mark.parametrize("url", REFUSED_URLS)
def test_get_and_download_hand_a_refused_url_to_nobody(tmp_path: Path, inner: Server, url: str) -> None:
    """Neither to a proxy nor to git-annex, which would ask through the proxy; and at once."""
    # git-annex may use the proxy, which is on this machine here
    port = urlsplit(inner.origin).port
    run("git", "config", "--global", "annex.security.allowed-ip-addresses", f"[127.0.0.1]:{port}")
    clone = hostile_clone(tmp_path, url=url, remotes=[])
    proxy = {
        "all_proxy": inner.origin,
        "http_proxy": inner.origin,
        "https_proxy": inner.origin,
        "ftp_proxy": inner.origin,
    }
    for command in (["get", "a.nwb"], ["download", "a.nwb", "-o", "../out"]):
        began = time.monotonic()
        done = run("dandi-mirror", *command, cwd=clone, code=None, env=proxy)
        assert done.returncode != 0
        assert "Traceback" not in done.stderr
        said = done.stdout + done.stderr
        assert "is on this machine or network" in said or "only https:// and http:// URLs" in said
        # the archive itself is a public host; nothing else is asked, whoever would ask it
        assert [asked.path for asked in inner.requests if "api.dandiarchive.org" not in asked.path] == []
        assert time.monotonic() - began < 30
