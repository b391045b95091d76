"""An archive is not overrun and not believed too soon; bytes are counted."""

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
from starlette.responses import Response

from dandi_mirror.archive.api.client import ArchiveClient
from dandi_mirror.archive.api.listing import Unstable, asset_pages
from dandi_mirror.archive.content.downloader import ENOUGH
from dandi_mirror.archive.content.single import ByteCounter, FileDownloader, Item
from dandi_mirror.archive.content.sources import API_AT_ONCE, TransferSettings, TransferState
from dandi_mirror.archive.http.session import Session
from dandi_mirror.embedded import Request, Server
from tests.conftest import IMPATIENT
from tests.support.guards import HERE, QUICK, bring
from tests.support.serving import DANDISET, good_entry, served

pytestmark = pytest.mark.quick


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
    entry: dict[str, Any] = good_entry("sub-1/a.nwb")
    served(server, [entry, entry])
    with closing(Session(server.api_url, None, IMPATIENT)) as session:
        with pytest.raises(Unstable, match="listed twice"):
            list(asset_pages(ArchiveClient(session), DANDISET, "draft"))
        assert sum(map(len, asset_pages(ArchiveClient(session), DANDISET, "draft", repeats=True))) == 2


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
        with closing(worker):
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
