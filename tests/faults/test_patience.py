"""How requests are made: few at a time, on few connections, not before they are wanted, and not for ever."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from email.utils import formatdate
from pathlib import Path

import pytest

from dandi_mirror.archive.api.client import MOST_PAGES, ArchiveClient
from dandi_mirror.archive.bucket.listing import AT_ONCE as LISTS_AT_ONCE
from dandi_mirror.archive.http.pool import AT_ONCE, HEAD
from dandi_mirror.archive.http.retry import HOPS, MOST_FAILURES, RetryPolicy
from dandi_mirror.archive.http.retrying_client import LARGEST_ANSWER
from dandi_mirror.archive.http.session import Session
from dandi_mirror.archive.http.wait_messages import ENOUGH
from dandi_mirror.canonical import DEEPEST
from dandi_mirror.embedded import Archive, serve
from dandi_mirror.errors import BadAnswerError, MirrorError, PartError, TemporaryError
from tests.support import kinds
from tests.support.proxy import Exchange, Fault, Proxy, proxy_of
from tests.support.waiting import SOON, wait_until

STEADY = RetryPolicy(attempts=3, backoff=0.02, max_retry_after=5)
QUICK = replace(STEADY, read_timeout=0.5, total_timeout=1)
"""For answers that do not end; a busy archive may take longer than this."""
FAULTS = Path(__file__).parents[2] / "docs" / "faults.md"


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with serve(Archive()) as server, proxy_of(server) as made:
        yield made


def always(proxy: Proxy, fault: Fault) -> None:
    proxy.choose = lambda asked: fault


def throttled(seconds: str) -> Fault:
    return lambda asked: asked.send("429 Too Many Requests", b"{}", retry_after=seconds)


def session(proxy: Proxy, patience: RetryPolicy = STEADY) -> closing[Session]:
    return closing(Session(proxy.api_url, policy=patience))


def fails(ask: Callable[[], object], kind: type[MirrorError] = TemporaryError) -> str:
    with pytest.raises(kind) as failure:
        ask()
    return str(failure.value)


def test_one_connection_does_for_many_requests_one_after_the_other(proxy: Proxy) -> None:
    with session(proxy) as asking:
        for _ in range(20):
            asking.get("/info/")
    assert (len(proxy.asked), proxy.connections) == (20, 1)


def test_few_requests_are_made_at_a_time_by_many_threads(proxy: Proxy, caplog: pytest.LogCaptureFixture) -> None:
    now, most, lock = 0, 0, threading.Lock()

    def slowly(asked: Exchange) -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.02)
        with lock:
            now -= 1
        asked.send("200 OK", b"{}")

    always(proxy, slowly)
    with session(proxy) as asking, ThreadPoolExecutor(32) as pool:
        assert list(pool.map(lambda _: asking.get("/info/"), range(64))) == [{}] * 64
    assert most == AT_ONCE == proxy.connections
    assert "pool is full" not in caplog.text


@pytest.mark.parametrize("spelled", ["2", lambda: formatdate(time.time() + 3, usegmt=True)], ids=["seconds", "date"])
def test_nobody_asks_before_the_archive_wants_to_be_asked_again(proxy: Proxy, spelled: str | Callable[[], str]) -> None:
    moments: list[float] = []

    def choose(asked: Exchange) -> Fault | None:
        moments.append(time.monotonic())
        return throttled(spelled if isinstance(spelled, str) else spelled()) if len(moments) == 1 else None

    proxy.choose = choose
    with session(proxy) as asking, ThreadPoolExecutor(4) as pool:
        first = pool.submit(asking.get, "/info/")
        wait_until(lambda: asking._api._host.not_before)
        assert [future.result() for future in [pool.submit(asking.get, "/info/") for _ in range(3)]]
        assert first.result()
    assert len(moments) == 5
    assert moments[1] - moments[0] > 1.9


def test_an_archive_that_wants_to_be_left_alone_for_long_is(proxy: Proxy) -> None:
    always(proxy, throttled("3600"))
    began = time.monotonic()
    with session(proxy) as asking:
        assert "with 429" in fails(lambda: asking.get("/info/"))
        assert "accepts no request for 3" in fails(lambda: asking.get("/dandisets/"))
    assert (len(proxy.asked), time.monotonic() - began < SOON) == (1, True)


@pytest.mark.parametrize("spelled", ["", "soon", "-5", "1e9", "9" * 400, "Sun, 99 Foo 2026 00:00:00 GMT"])
def test_a_retry_after_that_says_nothing_is_passed_over(proxy: Proxy, spelled: str) -> None:
    always(proxy, throttled(spelled))
    with session(proxy) as asking:
        assert "with 429" in fails(lambda: asking.get("/info/"))
    assert 0 < len(proxy.asked) <= STEADY.attempts


def test_the_waits_grow_and_are_never_the_same_for_two() -> None:
    pauses = [[RetryPolicy().pause(attempt) for attempt in range(1, 7)] for _ in range(50)]
    for place, wanted in enumerate([1, 2, 4, 8, 16, 32]):
        here = {entry[place] for entry in pauses}
        assert len(here) > 40
        assert 0.5 * wanted <= min(here) <= max(here) <= 1.5 * wanted


def test_an_archive_that_comes_back_is_told_by_nobody(proxy: Proxy) -> None:
    proxy.choose = lambda asked: kinds.refused_once if len(proxy.asked) == 1 else None
    with session(proxy, RetryPolicy(attempts=5, backoff=0.05)) as asking:
        assert asking.get("/info/")
    assert len(proxy.asked) == 2


def test_an_archive_that_is_away_ends_a_run_and_not_each_request_of_it(proxy: Proxy) -> None:
    always(proxy, kinds.error)
    with session(proxy) as asking:
        for _ in range(MOST_FAILURES):
            assert "with 500" in fails(lambda: asking.get("/info/"))
        assert "was not requested: " in fails(lambda: asking.get("/info/"))
        assert len(proxy.asked) == MOST_FAILURES * STEADY.attempts
        # where content is, it may be better
        proxy.choose = lambda asked: None
        assert asking.content(f"{proxy.origin}/robots.txt", 100)


def test_a_redirect_is_no_sign_that_the_content_will_come(proxy: Proxy) -> None:
    elsewhere = kinds.elsewhere(f"{proxy.origin}/there?")

    def choose(asked: Exchange) -> Fault:
        return kinds.error if asked.path == "/there" else elsewhere

    proxy.choose = choose
    with session(proxy) as asking:
        for _ in range(MOST_FAILURES):
            assert "with 500" in fails(lambda: asking.content(f"{proxy.origin}/here", 100))
        asked = len(proxy.asked)
        assert "was not requested" in fails(lambda: asking.content(f"{proxy.origin}/here", 100))
        assert (len(proxy.asked), asking.requests) == (asked, 2 * MOST_FAILURES)


def test_one_answer_in_between_and_nothing_is_given_up(proxy: Proxy) -> None:
    proxy.choose = lambda asked: None if asked.path == "/api/info/" else kinds.error
    with session(proxy) as asking:
        for _ in range(MOST_FAILURES + 1):
            assert "with 500" in fails(lambda: asking.get("/dandisets/"))
            assert asking.get("/info/")


@pytest.mark.parametrize("fault", [kinds.hang, kinds.drip, pytest.param(kinds.drip_head, marks=pytest.mark.slow)])
def test_no_answer_takes_longer_than_patience_lasts(proxy: Proxy, fault: Fault) -> None:
    always(proxy, fault)
    began = time.monotonic()
    with session(proxy, QUICK) as asking:
        fails(lambda: asking.get("/info/"))
        fails(lambda: asking.content(f"{proxy.origin}/x", 1_000_000))
    assert time.monotonic() - began < SOON


def test_a_refusal_that_drips_holds_nobody_up(proxy: Proxy) -> None:
    def drip(asked: Exchange) -> None:
        asked.send("404 Not Found", b"{", length=4096)
        while not asked.gone(0.05):
            asked.client.sendall(b" ")

    always(proxy, drip)
    began = time.monotonic()
    with session(proxy, QUICK) as asking:
        fails(lambda: asking.get("/dandisets/000001/"), PartError)
    assert time.monotonic() - began < SOON


def test_the_body_of_a_redirect_is_not_read(proxy: Proxy) -> None:
    sent = 0

    def redirect(asked: Exchange) -> None:
        nonlocal sent
        if asked.path == "/there":
            asked.send("200 OK", b"content")
            return
        head = f"HTTP/1.1 302 Found\r\nlocation: {proxy.origin}/there\r\nconnection: close\r\n\r\n"
        asked.client.sendall(head.encode())
        for _ in range(1000):
            asked.client.sendall(b" " * 1_000_000)
            sent += 1
        raise ConnectionAbortedError

    always(proxy, redirect)
    with session(proxy) as asking:
        assert asking.content(f"{proxy.origin}/here", 100) == b"content"
        assert "to another URL (302)" in fails(lambda: asking.get("/info/"), PartError)
    assert sent < 100


@pytest.mark.parametrize(
    "place", ["http://example.org/x", "ftp://example.org/x", "file:///etc/passwd", "https://", "//["]
)
def test_content_is_not_followed_to_what_is_not_https(proxy: Proxy, place: str) -> None:
    always(proxy, lambda asked: asked.send("302 Found", location=place))
    with session(proxy) as asking:
        assert "redirect" in fails(lambda: asking.content(f"{proxy.origin}/x", 100), BadAnswerError)
    assert len(proxy.asked) == 1


def test_redirects_in_a_circle_come_to_an_end(proxy: Proxy) -> None:
    always(proxy, lambda asked: asked.send("307 Temporary Redirect", location="/x"))
    with session(proxy) as asking:
        assert "redirects" in fails(lambda: asking.content(f"{proxy.origin}/x", 100), BadAnswerError)
    assert len(proxy.asked) == HOPS


def test_half_an_answer_is_asked_for_once_more_and_no_more(proxy: Proxy) -> None:
    proxy.choose = lambda asked: kinds.truncated if len(proxy.asked) == 1 else None
    with session(proxy) as asking:
        assert asking.get("/info/")
        assert len(proxy.asked) == 2
        always(proxy, kinds.empty)
        assert "not JSON" in fails(lambda: asking.get("/info/"))
    assert len(proxy.asked) == 4


def test_the_rest_of_a_longer_answer_is_never_taken_for_the_next(proxy: Proxy) -> None:
    def smuggle(asked: Exchange) -> None:
        forged = b'HTTP/1.1 200 OK\r\ncontent-length: 16\r\n\r\n{"forged": true}'
        asked.send("200 OK", b"{}" + forged, length=2)

    proxy.choose = lambda asked: smuggle if asked.path == "/api/info/" else None
    with session(proxy) as asking:
        for _ in range(10):
            assert asking.get("/info/") == {}
            time.sleep(0.01)
            assert asking.get("/dandisets/") == {"count": 0, "next": None, "previous": None, "results": []}


def test_the_numbers_of_the_page_are_those_of_the_code() -> None:
    entries = re.findall(
        r"^\| ([^|]+) \| ([^|]+) \|$", FAULTS.read_text().partition("## How long it tries")[2], re.MULTILINE
    )
    table = {what: re.search(r"\d[\d,]*", says) for what, says in entries}
    said = {what: int(number[0].replace(",", "")) for what, number in table.items() if number}
    patience = RetryPolicy()
    assert said == {
        "requests for one answer": patience.attempts,
        "before the second request": patience.backoff,
        "`Retry-After`": patience.max_retry_after,
        "a connection": patience.connect_timeout,
        "without a byte": patience.read_timeout,
        "until the headers of an answer are complete": HEAD * patience.read_timeout,
        "one whole answer": patience.total_timeout,
        "failed requests one after another, in spite of all this": MOST_FAILURES,
        "at a terminal, a host that is not found, refuses the connection or cannot be reached": ENOUGH,
        "connections to one host": AT_ONCE,
        "connections to a bucket, for the lists of Zarrs": LISTS_AT_ONCE,
        "one answer, unpacked": LARGEST_ANSWER,
        "redirects of one content URL": HOPS - 1,
        "pages of a list": MOST_PAGES,
        "levels of lists and objects in a record": DEEPEST,
    }


@pytest.mark.parametrize("entries", [[], [{"version": "draft"}] * 1000], ids=["of nothing", "of too much"])
def test_a_list_without_end_is_left_where_its_count_is_reached(proxy: Proxy, entries: list[object]) -> None:
    def page(asked: Exchange) -> None:
        link = f"{proxy.origin}{asked.path}?page={int(asked.query['page']) + 1}"
        asked.send("200 OK", json.dumps({"count": 2500, "next": link, "results": entries}).encode())

    proxy.choose = lambda asked: page if asked.path.endswith("/versions/") else None
    with session(proxy) as asking:
        assert "counts 2500 entries" in fails(lambda: ArchiveClient(asking).versions("000001"), BadAnswerError)
    assert len(proxy.asked) <= 4
