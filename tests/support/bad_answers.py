"""Answers that no good archive gives, each with the exit code of the run that gets it."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

from starlette.responses import Response

from dandi_mirror.embedded import Request
from tests.support.serving import (
    PAGE,
    ROOT,
    Answers,
    good_entry,
    json_response,
    spell,
    spell_entry,
)

ASSETS, RECORD, VERSIONS, INFO = (
    f"{ROOT}versions/draft/assets/",
    f"{ROOT}versions/draft/",
    f"{ROOT}versions/",
    "/api/info/",
)
DEEP = b"[" * 100_000 + b"]" * 100_000
Answer = Callable[[Answers, Request], Response]
_moments = count(1)


def plain(content: bytes, status: int = 200, **headers: str) -> Answer:
    """This answer, whatever is asked."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda answers, request: Response(content, status, {"content-type": "application/json"} | named)


def listing(**changes: Any) -> Answer:
    """The listing with some of its fields replaced; a callable is asked with the request."""

    def answer(answers: Answers, request: Request) -> Response:
        page = json.loads(answers.page(request))
        page |= {name: value(request) if callable(value) else value for name, value in changes.items()}
        return json_response(json.dumps(page).encode())

    return answer


def entry(**changes: Any) -> Answer:
    """The Dandiset's list entry with some of its fields replaced."""
    return lambda answers, request: json_response(spell(answers.dandiset() | changes))


def draft(**changes: Any) -> Answer:
    """The Dandiset's list entry with some fields of its draft's replaced."""
    return lambda answers, request: json_response(
        spell(answers.dandiset() | {"draft_version": answers.version() | changes})
    )


def published(**changes: Any) -> Answer:
    """The Dandiset's list entry with a published version of these facts."""
    facts = {"version": "0.240101.0000"} | changes
    return lambda answers, request: json_response(
        spell(answers.dandiset() | {"most_recent_published_version": answers.version() | facts})
    )


def versions(*entries: Any, **changes: Any) -> Answer:
    """The list of versions: the draft, as in every such list, and these."""

    def answer(answers: Answers, request: Request) -> Response:
        page = {"count": 1 + len(entries), "next": None, "previous": None, "results": [answers.version(), *entries]}
        return json_response(json.dumps(page | changes).encode())

    return answer


def version(name: Any = "0.240101.0000", **changes: Any) -> dict[str, Any]:
    return Answers([]).version() | {"version": name} | changes


def next_page(text: str) -> Callable[[Request], str]:
    """A link made of the request's own origin and path."""
    return lambda request: text.format(origin=f"http://{request.headers['host']}", path=request.path)


def bomb(size: int) -> bytes:
    """Few bytes that unpack to many."""
    return gzip.compress(b" " * size, 9)


def long_listing(answers: Answers, request: Request) -> Response:
    """Pages without end, each with a next one."""
    number = int(request.params.get("page", 1))
    entries = [spell_entry(good_entry(f"{number}/{place}.nwb")) for place in range(PAGE // 100)]
    link = f'"http://{request.headers["host"]}{request.path}?page={number + 1}"'
    content = f'{{"count": 3000, "next": {link}, "results": ['.encode() + b",".join(entries) + b"]}"
    return json_response(content)


def in_latin_1(answers: Answers, request: Request) -> Response:
    return Response(answers.page(request).replace(b"sub-1", b"sub-\xe9"), media_type="application/json")


def cut_off(answers: Answers, request: Request) -> Response:
    return json_response(answers.page(request)[:-40])


Case = tuple[str, str, Answer, int]
"""A name, the path that is asked for, what it answers, and how the run must end."""

NOT_JSON = [
    b"",
    b"{",
    b"<!doctype html><h1>502</h1>",
    b"\x00",
    b"\xff\xfe\x00",
    b"nul",
    DEEP,
    b'{"a":' * 100_000,
]
NOT_OBJECTS = [b"5" * 5000, b"[]", b'"x"', b"null", b"true"]
STATUSES = {401: 4, 403: 4, 429: 5, 500: 5, 502: 5, 503: 5, 504: 5, 507: 5, 418: 3, 204: 3, 206: 3}
REDIRECTS = {
    "https://evil.example/": 3,
    "file:///etc/passwd": 3,
    "//evil": 3,
    "http://[::1": 3,
    "http://a..b:x/": 3,
}
NUMBERS: list[Any] = [-1, 1.5, True, "5", None, [], 1e300]
TIMES: list[Any] = [
    "",
    "yesterday",
    "2024-01-02",
    "2024-01-02T03:04:05",
    "0001-01-01T00:00:00Z",
    "1969-12-31T23:59:59Z",
    "9999-12-31T23:59:59-10:00",
    "2024-13-01T00:00:00Z",
    "\u0662024-01-02T00:00:00Z",
    5,
    None,
    True,
    "\ud800",
]
ARABIC_VERSION = "0.\u0662\u0664\u0660\u0661\u0660\u0661.0000"
NOT_DRAFT: list[Any] = [
    "HEAD",
    "../../x",
    "draft\n",
    "Draft",
    "0.240101.0000",
    "x\x00y",
    "\ud800",
    "",
    "a\nb: 1",
    None,
]
NOT_PUBLISHED: list[Any] = ["draft", "HEAD", "../x", "0.240101.0000\n", ARABIC_VERSION, None]
NEXT_LINKS: list[Any] = [
    5,
    True,
    [],
    "",
    "x",
    "http://[",
    "https://evil.example" + ASSETS + "?page=2",
    "//evil.example" + ASSETS + "?page=2",
    "http://127.0.0.1@evil.example" + ASSETS + "?page=2",
    "file://" + ASSETS + "?page=2",
    "http://\uff0fevil" + ASSETS,
]
NO_VERSIONS: list[Any] = [None, [], {}, "draft", 5]
NO_RESULTS: list[Any] = [None, {}, "x", 5, [], [[]] * 19]
NO_COUNTS: list[Any] = [5, None, "0", -1, 1.5, True, "20", [], 10**30, 19, 21, 0, 20_000_000]
EMBARGOES: list[Any] = [(5, 5), (None, 5), ("\ud800", 5), ("EMBARGOED", 3), ("UNEMBARGOING", 3), ("open", 3)]
OWN_LINKS = [
    "{origin}{path}?page=1",
    "{origin}{path}?page=2",
    "{origin}{path}?page=3",
    "{origin}{path}",
    "{origin}/api/info/?page=2",
    "{origin}{path}../x/?page=2",
    "{origin}{path}?page=2&page=9",
    "{origin}{path}?page=-1",
    "{origin}{path}?page=\u0662",
]
RECORDS = [
    b'{"name": "\\ud800"}',
    b'{"\\udc00": 1}',
    b'{"name": "\xe9"}',
    b'{"x": NaN}',
    b'{"x": -Infinity}',
    b'{"x": 1e400}',
    b'{"x": %b}' % (b"7" * 5000),
    b'{"x": %b}' % (b"[" * 300 + b"]" * 300),
    b'{"x": %b}' % DEEP,
]
INSTANCES = [
    "[]",
    '{"instance_name": "../x"}',
    '{"instance_name": "DANDI\\n"}',
    '{"instance_name": 5}',
    "null",
]


def about_http() -> Iterator[Case]:
    for path in (ROOT, ASSETS):
        for status, code in STATUSES.items():
            yield f"status {status} {path}", path, plain(b'{"detail": "no"}', status), code
        for status in (301, 302, 307, 308):
            for target, code in REDIRECTS.items():
                yield f"{status} to {target}", path, plain(b"", status, location=target), code
    yield "gone 404", ROOT, plain(b"{}", 404), 3
    yield "gone 410", ROOT, plain(b"{}", 410), 3
    yield "no assets", ASSETS, plain(b"{}", 404), 5
    yield "no record", RECORD, plain(b"{}", 404), 5
    for path in (INFO, ROOT, RECORD, VERSIONS, ASSETS):
        for content in NOT_JSON + NOT_OBJECTS:
            yield f"{content!r:.20} at {path}", path, plain(content), 5
    yield "a bomb of 80 MB", ASSETS, plain(bomb(80_000_000), content_encoding="gzip"), 5
    yield "a bomb in a bomb", ASSETS, plain(gzip.compress(bomb(80_000_000)), content_encoding="gzip, gzip"), 5
    yield "not gzip", ASSETS, plain(b"x" * 100, content_encoding="gzip"), 5
    yield "an unknown encoding", ASSETS, plain(b"x" * 100, content_encoding="secret"), 5
    cut = gzip.compress(b"{}" * 9999)[:-20]
    yield "gzip cut off", ASSETS, plain(cut, content_encoding="gzip"), 5
    yield "a header too long", ASSETS, plain(b"{}", x_long="x" * 100_000), 5


def about_the_dandiset() -> Iterator[Case]:
    for instance in INSTANCES:
        yield f"instance {instance}", INFO, plain(b'{"instance_config": %b}' % instance.encode()), 5
    for identifier in ("000124", "\u0660\u0660\u0660\u0661\u0662\u0663", "000123\n", 123, None):
        yield f"id {identifier!a}", ROOT, entry(identifier=identifier), 5
    for embargo, code in EMBARGOES:
        yield f"embargo {embargo!a}", ROOT, entry(embargo_status=embargo), code
    for value in NO_VERSIONS:
        yield f"draft {value!a}", ROOT, entry(draft_version=value), 5
    for value in NO_VERSIONS[1:]:
        yield f"published {value!a}", ROOT, entry(most_recent_published_version=value), 5
    for name in NOT_DRAFT:
        yield f"draft called {name!a}", ROOT, draft(version=name), 5
    for name in NOT_PUBLISHED:
        yield f"published version called {name!a}", ROOT, published(version=name), 5
    for field in ("asset_count", "size"):
        for number in NUMBERS:
            yield f"{field} {number!a}", ROOT, draft(**{field: number}), 5
    for field in ("created", "modified"):
        for time in TIMES:
            yield f"{field} {time!a}", ROOT, draft(**{field: time}), 5
    for field in ("name", "status"):
        for word in (None, 5, ["x"]):
            yield f"{field} {word!a}", ROOT, draft(**{field: word}), 5
    yield "asset_count 10^30", ROOT, draft(asset_count=10**30), 5
    yield "asset_count lies", ROOT, draft(asset_count=19), 5
    for content in RECORDS:
        yield f"record {content!r:.40}", RECORD, plain(content), 5


def about_lists() -> Iterator[Case]:
    for number in NO_COUNTS[:3]:
        yield f"versions count {number!a}", VERSIONS, versions(count=number), 5
    for results in NO_RESULTS[:3]:
        yield f"versions results {results!a}", VERSIONS, versions(results=results), 5
    for link in ("http://[", "https://evil.example/api/", 5, "", "?page=2"):
        yield f"versions next {link!a}", VERSIONS, versions(next=link), 5
    nothing = b'{"count": 0, "next": null, "previous": null, "results": []}'
    yield "a list for a record", RECORD, plain(nothing), 5
    yield "no version, nor a draft", VERSIONS, versions(count=0, results=[]), 5
    yield "one version twice", VERSIONS, versions(version(), version()), 5
    yield "the year 9999", VERSIONS, versions(version(created="9999-12-31T23:59:59-10:00")), 5
    yield "a version without a size", VERSIONS, versions(version(size=None)), 5
    for number in NO_COUNTS:
        yield f"assets count {number!a}", ASSETS, listing(count=number), 5
    for link in NEXT_LINKS:
        yield f"assets next {link!a}", ASSETS, listing(next=link), 5
    for text in OWN_LINKS:
        yield f"assets next {text!a}", ASSETS, listing(next=next_page(text)), 5
    for results in NO_RESULTS:
        yield f"assets results {results!a}", ASSETS, listing(results=results), 5
    yield "assets without end", ASSETS, long_listing, 5
    yield "assets cut off", ASSETS, cut_off, 5
    yield "assets in Latin 1", ASSETS, in_latin_1, 5


CASES = [*about_http(), *about_the_dandiset(), *about_lists()]
