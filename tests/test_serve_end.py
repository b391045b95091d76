"""How a server of a mirror ends: at once, without a traceback, and with the exit code of an interruption."""

from __future__ import annotations

import signal
import socket
import threading
import time
from contextlib import suppress
from urllib.parse import urlsplit

import pytest
import requests
from starlette.responses import Response

from dandi_mirror.embedded import Archive, Request
from tests.conftest import MirrorOfTest
from tests.support.serving_mirrors import Serving, asset_ids, serving
from tests.support.waiting import SOON, wait_until

PATH = "sub-1/large.nwb"
CONTENT = bytes(range(256)) * 40_000


@pytest.fixture
def mirrored(archive: Archive, mirror: MirrorOfTest) -> MirrorOfTest:
    """A mirror without the content of a large file."""
    archive.create_dandiset("000123", name="A test").add_asset(PATH, archive.add_blob(CONTENT))
    mirror.cli("sync", "000123")
    return mirror


def ended(server: Serving, number: int) -> str:
    """End the server; what it said on stderr."""
    begun = time.monotonic()
    server.process.send_signal(number)
    assert server.process.wait(SOON) == 130
    assert time.monotonic() - begun < SOON
    assert server.process.stderr
    return server.process.stderr.read()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_request_for_which_the_archive_takes_long_does_not_hold_it(mirrored: MirrorOfTest, number: int) -> None:
    asked, over = threading.Event(), threading.Event()

    def slow(request: Request) -> Response | None:
        if "/blobs/" in request.path:
            asked.set()
            over.wait(120)
        return None

    with serving(mirrored) as server:
        url = f"{server.address}/assets/{asset_ids(server.address)[PATH]}/download/"
        mirrored.server.intercept = slow
        got: list[int] = []

        def read() -> None:
            with suppress(requests.RequestException):
                got.append(requests.get(url, timeout=120).status_code)

        reader = threading.Thread(target=read)
        reader.start()
        try:
            assert asked.wait(60)
            said = ended(server, number)
        finally:
            over.set()
            reader.join(60)
    assert [line for line in said.splitlines() if line][-2:] == ["serving until Ctrl-C", "interrupted"]
    assert got in ([504], [])


def test_a_reader_that_takes_nothing_does_not_hold_it(mirrored: MirrorOfTest) -> None:
    with serving(mirrored) as server:
        where = urlsplit(f"{server.address}/assets/{asset_ids(server.address)[PATH]}/download/")
        with socket.create_connection((where.hostname, where.port)) as lazy:
            lazy.sendall(f"GET {where.path} HTTP/1.1\r\nHost: {where.netloc}\r\n\r\n".encode())
            assert lazy.recv(10)
            assert "Traceback" not in ended(server, signal.SIGINT)


def test_an_answer_that_cannot_be_completed_is_cut_and_told_in_one_line(mirrored: MirrorOfTest) -> None:
    def refusing(request: Request) -> Response | None:
        late = "/blobs/" in request.path and not request.headers.get("range", "").startswith("bytes=0-")
        return Response(status_code=404) if late else None

    with serving(mirrored) as server:
        url = f"{server.address}/assets/{asset_ids(server.address)[PATH]}/download/"
        mirrored.server.intercept = refusing
        with pytest.raises(requests.RequestException):
            _ = requests.get(url, timeout=60).content
        assert requests.get(url, headers={"Range": "bytes=0-9"}, timeout=60).content == CONTENT[:10]
        said = ended(server, signal.SIGINT)
    assert "Traceback" not in said and "was not sent to its end" in said


def test_a_second_server_gets_the_port_at_once(mirrored: MirrorOfTest) -> None:
    with serving(mirrored) as server:
        port = urlsplit(server.address).port
        ended(server, signal.SIGINT)
    with serving(mirrored, "--port", str(port)) as again:
        wait_until(lambda: requests.get(f"{again.address}/info/", timeout=60).status_code == 200)
