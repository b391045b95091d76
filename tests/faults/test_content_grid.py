"""Every fault of where content is: each ends as the table in ``docs/faults.md`` says, and no wrong byte is taken."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from math import inf
from pathlib import Path

import pytest

from dandi_mirror.addresses import Allowed
from dandi_mirror.archive.content.scheduler import fetch
from dandi_mirror.archive.content.single import DownloadOutcome, Item
from dandi_mirror.archive.content.sources import TransferSettings
from dandi_mirror.archive.http.retry import RetryPolicy
from dandi_mirror.embedded import Archive, serve
from tests.support import kinds
from tests.support.proxy import Exchange, Fault, Proxy, proxy_of

SIZE, THERE = 300_000, 1000
"""Bytes of the file, and those that an earlier run has left."""
TOKEN = "a" * 40
PATIENCE = RetryPolicy(attempts=2, backoff=0.01, connect_timeout=5, read_timeout=0.4)
LOOPBACK = Allowed(addresses=frozenset({"127.0.0.1"}))


def _bare(exchange: Exchange, head: str, body: bytes) -> None:
    """An answer whose head is as it is given, and an end."""
    exchange.client.sendall(f"HTTP/1.1 {head}\r\n\r\n".encode() + body)
    raise ConnectionAbortedError


def _status(exchange: Exchange) -> str:
    """The answer's own first line and range, without its length."""
    lines = exchange.answer()[0].decode("latin-1").split("\r\n")
    kept = [line for line in lines[1:] if line.lower().startswith("content-range")]
    return "\r\n".join([lines[0].removeprefix("HTTP/1.1 "), *kept])


def stall_within(exchange: Exchange) -> None:
    head, body = exchange.answer()
    exchange.client.sendall(head + body[:THERE])
    kinds.hang(exchange)


def drip(exchange: Exchange) -> None:
    exchange.client.sendall(exchange.answer()[0])
    while not exchange.gone(0.05):
        exchange.client.sendall(b"x")


def short(exchange: Exchange) -> None:
    head, body = exchange.answer()
    exchange.client.sendall(head + body[: len(body) // 3])
    raise ConnectionAbortedError


def long(exchange: Exchange) -> None:
    body = exchange.answer()[1] + b"more"
    _bare(exchange, f"{_status(exchange)}\r\nContent-Length: {len(body)}", body)


def more_than_announced(exchange: Exchange) -> None:
    head, body = exchange.answer()
    exchange.client.sendall(head + body + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nmore")


def wrong(exchange: Exchange) -> None:
    head, body = exchange.answer()
    exchange.client.sendall(head + bytes(len(body)))


def ignored(exchange: Exchange) -> None:
    exchange.client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % SIZE + CONTENT)


def other(exchange: Exchange) -> None:
    body = exchange.answer()[1]
    _bare(exchange, f"206 Partial Content\r\nContent-Range: bytes 0-{len(body) - 1}/{SIZE}", body)


def endless(exchange: Exchange) -> None:
    _bare(exchange, _status(exchange), exchange.answer()[1])


def pieces(exchange: Exchange) -> None:
    body = exchange.answer()[1]
    head = f"{_status(exchange)}\r\nTransfer-Encoding: chunked"
    _bare(exchange, head, b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))


def answers(status: str) -> Fault:
    return lambda exchange: exchange.send(status, b"<Error/>")


FAULTS: Mapping[str, Fault] = {
    "reset": kinds.reset,
    "stall": kinds.hang,
    "stall in the middle": stall_within,
    "slow drip": drip,
    "short": short,
    "long": long,
    "longer than announced": more_than_announced,
    "wrong bytes": wrong,
    "403 expired": answers("403 Forbidden"),
    "404": answers("404 Not Found"),
    "429 with Retry-After": kinds.too_many,
    "500": kinds.error,
    "range ignored": ignored,
    "another range": other,
    "no length": endless,
    "pieces without a length": pieces,
    "redirect elsewhere": lambda exchange: exchange.send("302 Found", location="http://example.org/content"),
}
CONTENT = os.urandom(SIZE)


def _is_content(asked: Exchange) -> bool:
    return asked.path.startswith("/dandi-dandisets/")


WHERE: Mapping[str, tuple[Callable[[Exchange], bool], float]] = {
    "at S3": (lambda asked: _is_content(asked) and "X-Amz-Signature" not in asked.query, inf),
    "everywhere": (_is_content, inf),
    "once": (_is_content, 1),
}
"""The columns: which requests meet the fault, and how many of them."""


def _read_table() -> dict[str, list[str]]:
    page = (
        (Path(__file__).parents[2] / "docs" / "faults.md")
        .read_text()
        .split("## Content, by `get`")[1]
        .split("\n## ")[0]
    )
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line.startswith("|")]
    assert rows[0][1:-1] == list(WHERE)
    return {row[0]: row[1:] for row in rows[2:]}


TABLE = _read_table()


@dataclass(frozen=True, slots=True)
class Place:
    """An archive with one file, and the proxy before it."""

    proxy: Proxy
    urls: tuple[str, ...]
    heads: list[bytes]
    """Of all requests."""

    def fetch(self, partial: Path) -> DownloadOutcome:
        item = Item(self.urls, SIZE, sha256(CONTENT).hexdigest(), partial)
        access = TransferSettings(self.proxy.api_url, TOKEN, LOOPBACK, PATIENCE)
        [outcome] = fetch([item], access, jobs=1)
        return outcome


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    archive = Archive()
    archive.add_user("somebody", TOKEN)
    asset = archive.create_dandiset("000123").add_asset("a.nwb", blob := archive.add_blob(CONTENT))
    with serve(archive) as server, proxy_of(server) as proxy:
        archive.at(proxy.origin)
        urls = (f"{archive.s3_url}/{blob.key}", f"{proxy.api_url}/assets/{asset.asset_id}/download/")
        yield Place(proxy, urls, [])


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("name", TABLE)
def test_a_fault_of_content_ends_as_the_table_says(place: Place, tmp_path: Path, name: str, where: str) -> None:
    strikes, times = WHERE[where]
    place.proxy.struck = 0
    place.heads.clear()

    def choose(asked: Exchange) -> Fault | None:
        place.heads.append(asked.head)
        return FAULTS[name] if place.proxy.struck < times and strikes(asked) else None

    place.proxy.choose = choose
    partial = tmp_path / "partial"
    partial.write_bytes(CONTENT[:THERE])
    outcome = place.fetch(partial)
    assert place.proxy.struck > 0
    code = outcome.error.exit_code if outcome.error else 0
    assert code == int(TABLE[name][list(WHERE).index(where)]), outcome.error
    if outcome.error:
        assert TABLE[name][-1].strip("`") in str(outcome.error)
        assert "X-Amz" not in str(outcome.error), "what opens the content is not told"
        place.proxy.choose = lambda asked: None
        assert place.fetch(partial).error is None, "the next run completes it"
    assert partial.read_bytes() == CONTENT
    with_token = [head for head in place.heads if TOKEN.encode() in head]
    assert all(head.startswith(b"GET /api/assets/") for head in with_token)
    assert bool(with_token) == any(head.startswith(b"GET /api/") for head in place.heads)


def test_bodies_in_pieces_are_read_one_after_the_other_on_one_connection(place: Place, tmp_path: Path) -> None:
    def pieces_and_more(exchange: Exchange) -> None:
        body = exchange.answer()[1]
        half = len(body) // 2
        sent = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:half], body[half:]))
        exchange.client.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + sent + b"0\r\n\r\n")

    place.heads.clear()

    def choose(asked: Exchange) -> Fault:
        place.heads.append(asked.head)
        return pieces_and_more

    place.proxy.choose = choose
    before = place.proxy.connections
    items = [Item(place.urls[:1], SIZE, sha256(CONTENT).hexdigest(), tmp_path / name) for name in ("a", "b", "c")]
    access = TransferSettings("", None, LOOPBACK, replace(PATIENCE, read_timeout=10))
    assert [outcome.error for outcome in fetch(items, access, jobs=1)] == [None] * 3
    assert (place.proxy.connections - before, len(place.heads)) == (1, 3)
    assert all(b" HTTP/1.1\r\n" in head for head in place.heads)


def test_the_table_has_a_row_for_each_fault() -> None:
    assert list(TABLE) == list(FAULTS)
