"""The faults by name: what an archive in trouble, or something on the way to it, may answer."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Mapping
from functools import cache

from tests.support.proxy import Exchange, Fault

AWAY = 0.03
"""Seconds for which connections are refused when it is for once."""
RETRY_AFTER = 1
BOMB = 80_000_000
"""Bytes, unpacked: more than any answer may have."""


def refused(exchange: Exchange) -> None:
    """The server goes away as it is asked, and refuses connections until somebody calls ``up``."""
    exchange.proxy.down()
    exchange.reset()


def refused_once(exchange: Exchange) -> None:
    """The same, for a moment."""
    threading.Timer(AWAY, exchange.proxy.up).start()
    refused(exchange)


def reset(exchange: Exchange) -> None:
    exchange.reset()


def hang(exchange: Exchange) -> None:
    exchange.gone()
    raise ConnectionAbortedError


def too_many(exchange: Exchange) -> None:
    exchange.send("429 Too Many Requests", b'{"detail": "Request was throttled."}', retry_after=str(RETRY_AFTER))


def error(exchange: Exchange) -> None:
    exchange.send("500 Internal Server Error", b"<h1>Server Error (500)</h1>", content_type="text/html")


def bad_gateway(exchange: Exchange) -> None:
    exchange.send("502 Bad Gateway", b"<!doctype html><title>502</title>" * 100, content_type="text/html")


def truncated(exchange: Exchange) -> None:
    """The first half, as if that were all."""
    _, body = exchange.answer()
    exchange.send("200 OK", body[: len(body) // 2])


def cut_off(exchange: Exchange) -> None:
    """The first half of what was announced, and an end."""
    _, body = exchange.answer()
    exchange.send("200 OK", body[: len(body) // 2], length=len(body))
    raise ConnectionAbortedError


def too_long(exchange: Exchange) -> None:
    """More than was announced, on a connection that stays open: the rest may be taken for the next answer."""
    _, body = exchange.answer()
    exchange.send("200 OK", body, length=len(body) // 2)


def empty(exchange: Exchange) -> None:
    exchange.send("200 OK")


def packed_bomb(exchange: Exchange) -> None:
    exchange.send("200 OK", _bomb(), content_encoding="gzip")


def plain_bomb(exchange: Exchange) -> None:
    """Blanks, until the client has had enough or all that no answer may have."""
    exchange.client.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n")
    for _ in range(BOMB // 1_000_000):
        exchange.client.sendall(b" " * 1_000_000)
    raise ConnectionAbortedError


def elsewhere(place: str) -> Fault:
    """A redirect to another place, with a body that is a bomb of its own."""

    bomb = _bomb()  # takes longer to make than a request may take

    def redirect(exchange: Exchange) -> None:
        exchange.send("302 Found", bomb, content_encoding="gzip", location=place + exchange.path)

    return redirect


def drip(exchange: Exchange) -> None:
    """A byte now and then: never a stall, never an end."""
    exchange.send("200 OK", b"{", length=1_000_000)
    while not exchange.gone(0.05):
        exchange.client.sendall(b" ")


def drip_head(exchange: Exchange) -> None:
    """The same, in the midst of a header."""
    exchange.client.sendall(b"HTTP/1.1 200 OK\r\nx-long: ")
    while not exchange.gone(0.05):
        exchange.client.sendall(b"x")


@cache
def _bomb() -> bytes:
    return gzip.compress(b" " * BOMB, 9)


PERSISTENT: Mapping[str, Fault] = {
    "connection refused": refused,
    "connection reset": reset,
    "no answer": hang,
    "429 with Retry-After": too_many,
    "500": error,
    "502 with HTML": bad_gateway,
    "half the JSON": truncated,
    "shorter than announced": cut_off,
    "longer than announced": too_long,
    "empty": empty,
    "bomb, packed": packed_bomb,
    "bomb, plain": plain_bomb,
    "slow drip": drip,
    "slow drip of headers": drip_head,
}
ELSEWHERE = "redirect elsewhere"
"""Needs a place, see :func:`elsewhere`."""


def html(exchange: Exchange) -> None:
    """A page of something in between, called a success."""
    exchange.send("200 OK", b"<!doctype html><title>Just a moment</title>", content_type="text/html")


def missing(exchange: Exchange) -> None:
    exchange.send("404 Not Found", b'{"detail": "Not found."}')


def other_json(exchange: Exchange) -> None:
    exchange.send("200 OK", b'{"detail": "Service under maintenance."}')


def nothing(exchange: Exchange) -> None:
    exchange.send("200 OK", b"null")


def empty_list(exchange: Exchange) -> None:
    exchange.send("200 OK", b"[]")


def another_record(exchange: Exchange) -> None:
    """The record of the asset that was asked for before, as a confused cache would give it."""
    head, body = exchange.answer()
    if not exchange.path.startswith("/api/assets/"):
        exchange.client.sendall(head + body)
        return
    exchange.send("200 OK", _before[-1] if _before else body)
    _before[:] = [body]


_before: list[bytes] = []
PASSING: Mapping[str, Fault] = {
    "200 with HTML": html,
    "404": missing,
    "other JSON": other_json,
    "null": nothing,
    "empty list": empty_list,
    "another record": another_record,
}
"""Answers that look as if the archive had given them, and that another request would not get."""
