"""Rules that keep a hostile archive, server or clone out: each fails when its guard is taken out, and takes no time."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from starlette.responses import RedirectResponse, Response

from dandi_mirror.addresses import Allowed, BadRedirect, redirect_target
from dandi_mirror.archive.api.client import Archive as Client
from dandi_mirror.archive.api.client import check_next
from dandi_mirror.archive.api.listing import Unstable, asset_pages
from dandi_mirror.archive.content.downloader import ENOUGH
from dandi_mirror.archive.content.single import ByteCounter, FileDownloader, Item
from dandi_mirror.archive.content.sources import API_AT_ONCE, TransferSettings, TransferState
from dandi_mirror.archive.http.retry import RetryPolicy
from dandi_mirror.archive.http.session import Session
from dandi_mirror.embedded import Archive, Request, Server
from dandi_mirror.embedded import serve as serve_archive
from dandi_mirror.errors import BadAnswerError, MirrorError
from dandi_mirror.mirror.format.admission import ContentHosts
from dandi_mirror.model import Instance
from dandi_mirror.repo.git.process import git
from tests.conftest import IMPATIENT
from tests.support.credentials import with_token
from tests.support.remote import retrieve
from tests.support.serving import DANDISET, good_row, served

pytestmark = pytest.mark.quick

TOKEN = "0123456789abcdef0123456789abcdef01234567"
ID = "6a2f0f40-0000-4000-8000-000000000000"
HERE = Allowed(addresses=frozenset({"127.0.0.1"}))
QUICK = RetryPolicy(attempts=2, backoff=0.01, connect_timeout=5, read_timeout=5, total_timeout=20)


@pytest.fixture
def other() -> Iterator[Server]:
    """Another server, which nobody named."""
    with serve_archive(Archive()) as server:
        yield server


def bring(urls: list[str], content: bytes, folder: Path, access: TransferSettings) -> MirrorError | None:
    """Fetch one file as `get` does; what went wrong."""
    worker = FileDownloader(TransferState(access), ByteCounter())
    with closing(worker.downloader):
        item = Item(tuple(urls), len(content), sha256(content).hexdigest(), folder / "partial")
        return worker.whole(item).error


# --- the token ------------------------------------------------------------------------------------------------


def leading_to(there: str) -> Callable[[Request], Response | None]:
    return lambda request: RedirectResponse(there) if request.path.endswith("/download/") else None


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


# --- where a redirect, a page or a record may lead ------------------------------------------------------------


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


# --- the special remote ---------------------------------------------------------------------------------------


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


# --- an archive is not overrun, and is not believed too soon --------------------------------------------------


def at_a_time(count: int, ask: Callable[[threading.Barrier], object]) -> bool:
    """Whether so many threads are let through together."""
    barrier = threading.Barrier(count)
    threads = [threading.Thread(target=ask, args=(barrier,)) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return not barrier.broken


def test_the_api_is_asked_for_content_by_six_at_a_time() -> None:
    hosts = TransferState(TransferSettings("https://api.example.org/api"))

    def ask(barrier: threading.Barrier) -> None:
        with hosts.api_slot(urlsplit("https://api.example.org/api/assets/x/")), suppress(threading.BrokenBarrierError):
            barrier.wait(0.5)

    assert not at_a_time(API_AT_ONCE + 1, ask)


def test_the_api_is_asked_anything_by_six_at_a_time(server: Server) -> None:
    barriers: list[threading.Barrier] = []

    def wait(request: Request) -> Response:
        with suppress(threading.BrokenBarrierError):
            barriers[0].wait(0.5)
        return Response(b"{}", media_type="application/json")

    server.intercept = wait
    with closing(Session(server.api_url, None, IMPATIENT, at_once=99)) as session:

        def ask(barrier: threading.Barrier) -> None:
            barriers.append(barrier)
            session.get("/info/")

        assert not at_a_time(API_AT_ONCE + 1, ask)


def test_a_listing_in_which_an_asset_is_seen_twice_is_not_believed(server: Server) -> None:
    row: dict[str, Any] = good_row("sub-1/a.nwb")
    served(server, [row, row])
    with closing(Session(server.api_url, None, IMPATIENT)) as session:
        with pytest.raises(Unstable, match="listed twice"):
            list(asset_pages(Client(session), DANDISET, "draft"))
        assert sum(map(len, asset_pages(Client(session), DANDISET, "draft", repeats=True))) == 2


# --- bytes ----------------------------------------------------------------------------------------------------


@contextmanager
def speaking(answer: Callable[[socket.socket, bytes], bool]) -> Iterator[tuple[str, list[bytes]]]:
    """A server that answers byte for byte, and the heads of its requests; ``answer`` says whether to hear on."""
    heads: list[bytes] = []
    listening = socket.create_server(("127.0.0.1", 0))

    def hear() -> None:
        while True:
            try:
                client, _ = listening.accept()
            except OSError:
                return
            with client, suppress(OSError):
                while head := client.recv(65536):
                    heads.append(head)
                    if not answer(client, head):
                        break

    thread = threading.Thread(target=hear, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}", heads
    finally:
        with suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join(10)


def ok(content: bytes, length: int | None = None) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (len(content) if length is None else length) + content


def test_bytes_beyond_an_answer_are_not_taken_for_the_next_answer(tmp_path: Path) -> None:
    answers = iter([ok(b"first") + ok(b"wrong"), ok(b"right")])

    def answer(client: socket.socket, head: bytes) -> bool:
        client.sendall(next(answers))
        return True

    with speaking(answer) as (origin, heads):
        worker = FileDownloader(TransferState(TransferSettings("", None, HERE, QUICK)), ByteCounter())
        with closing(worker.downloader):
            for content in (b"first", b"right"):
                item = Item((f"{origin}/x",), 5, sha256(content).hexdigest(), tmp_path / content.decode())
                assert worker.whole(item).error is None
        assert len(heads) == 2


def test_patience_begins_anew_when_much_has_come(tmp_path: Path) -> None:
    content = bytes(range(256)) * (5 * ENOUGH // 256)

    def answer(client: socket.socket, head: bytes) -> bool:
        found = re.search(rb"Range: bytes=(\d+)-", head)
        begin = int(found[1]) if found else 0
        left = len(content) - begin
        if found:
            client.sendall(
                b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes %d-%d/%d\r\nContent-Length: %d\r\n\r\n"
                % (begin, len(content) - 1, len(content), left)
            )
        else:
            client.sendall(ok(b"", left))
        client.sendall(content[begin : begin + ENOUGH])
        return False  # and the connection breaks

    with speaking(answer) as (origin, heads):
        access = TransferSettings("", None, HERE, QUICK)
        assert bring([f"{origin}/x"], content, tmp_path, access) is None
        assert len(heads) == 5 > QUICK.attempts


@pytest.mark.parametrize("missing", [0, 1])
def test_the_attempts_are_counted_anew_after_a_mebibyte_and_not_a_byte_before(tmp_path: Path, missing: int) -> None:
    content = bytes(range(256)) * (2 * ENOUGH // 256)
    pieces = [ENOUGH // 2, ENOUGH // 2 - missing, len(content)]

    def answer(client: socket.socket, head: bytes) -> bool:
        found = re.search(rb"Range: bytes=(\d+)-", head)
        begin = int(found[1]) if found else 0
        status = b"206 Partial Content" if found else b"200 OK"
        client.sendall(
            b"HTTP/1.1 %s\r\nContent-Range: bytes %d-%d/%d\r\nContent-Length: %d\r\n\r\n"
            % (status, begin, len(content) - 1, len(content), len(content) - begin)
        )
        client.sendall(content[begin : begin + pieces.pop(0)])
        return False  # and the connection breaks

    with speaking(answer) as (origin, heads):
        error = bring([f"{origin}/x"], content, tmp_path, TransferSettings("", None, HERE, QUICK))
        assert (error is None) is (not missing)
        assert len(heads) == (QUICK.attempts if missing else 3)


def test_patience_ends_when_little_comes(tmp_path: Path) -> None:
    def answer(client: socket.socket, head: bytes) -> bool:
        client.sendall(ok(b"b", 5))
        return False

    with speaking(answer) as (origin, heads):
        assert "run the command again later" in str(
            bring([f"{origin}/x"], b"bytes", tmp_path, TransferSettings("", None, HERE, QUICK))
        )
        assert len(heads) == QUICK.attempts
