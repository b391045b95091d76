"""Faults of the lists of Zarrs' files, at S3 and at the API: ``strike(server, NAME)`` until ``times`` are over.

Each changes what the embedded archive has answered, or answers in its place.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf

from starlette.responses import Response

from dandi_mirror.embedded import Request, Server, Zarr
from dandi_mirror.embedded.bucket.objects import BUCKET

Page = Callable[[Request, str], "str | Response"]
"""What a client gets in place of a page."""
_ROW = re.compile(r"<(Version|DeleteMarker|Contents)>.*?</\1>", re.DOTALL)


def is_s3_list(request: Request) -> bool:
    """Whether a request is for a list of the bucket."""
    return request.path.rstrip("/") == f"/{BUCKET}"


def is_api_list(request: Request) -> bool:
    """Whether a request is for a page of a Zarr's files at the API."""
    return re.fullmatch(r"/api/zarr/[^/]+/files/", request.path) is not None and request.method == "GET"


def s3_error(status: int, code: str) -> Response:
    """An error in S3's XML."""
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{code}</Message></Error>'
    return Response(text, status, {}, "application/xml")


def _flag(text: str, value: str) -> str:
    return re.sub(r"<IsTruncated>\w+</IsTruncated>", f"<IsTruncated>{value}</IsTruncated>", text)


def _without(text: str, *names: str) -> str:
    return re.sub(rf"<({'|'.join(names)})>.*?</\1>", "", text, flags=re.DOTALL)


def ends_early(request: Request, text: str) -> str:
    """Says that no page follows, although one does."""
    return _flag(text, "false")


def breaks_off(request: Request, text: str) -> str:
    """Ends in the middle of an entry, with the length of what came."""
    return text[: len(text) * 2 // 3]


def loops(request: Request, text: str) -> str:
    """The markers of the next page are those of this one."""
    text = _flag(_without(text, "NextKeyMarker", "NextVersionIdMarker"), "true")
    key, version = request.params.get("key-marker", ""), request.params.get("version-id-marker", "")
    markers = f"<NextKeyMarker>{key}</NextKeyMarker><NextVersionIdMarker>{version}</NextVersionIdMarker>"
    return text.replace("<MaxKeys>", markers + "<MaxKeys>", 1)


def names_no_next_page(request: Request, text: str) -> str:
    """Says that a page follows, and not where."""
    return _flag(_without(text, "NextKeyMarker", "NextVersionIdMarker"), "true")


def stays_empty(request: Request, text: str) -> str:
    """A page without entries, which another follows, without end."""
    text = _flag(_without(_ROW.sub("", text), "NextKeyMarker", "NextVersionIdMarker"), "true")
    marker = request.params.get("key-marker", "") + "0"
    return text.replace("<MaxKeys>", f"<NextKeyMarker>{marker}</NextKeyMarker><MaxKeys>", 1)


def leaves_one_out(request: Request, text: str) -> str:
    """The last entry of the page is missing."""
    rows = list(_ROW.finditer(text))
    return text[: rows[-1].start()] + text[rows[-1].end() :] if rows else text


def lists_one_twice(request: Request, text: str) -> str:
    """The first entry of the page comes twice."""
    found = _ROW.search(text)
    return text[: found.end()] + text[found.start() :] if found else text


def gives_another_size(request: Request, text: str) -> str:
    """The first entry is a byte larger."""
    return re.sub(r"<Size>(\d+)</Size>", lambda found: f"<Size>{int(found[1]) + 1}</Size>", text, count=1)


def gives_another_etag(request: Request, text: str) -> str:
    """The first entry has other bytes."""
    return re.sub(r"(<ETag>&quot;)[0-9a-f]{32}", rf"\g<1>{'0' * 32}", text, count=1)


def lists_another_zarr(request: Request, text: str) -> str:
    """The keys are not below the prefix that was asked for."""
    return re.sub(r"<Key>zarr/[^/]+/", "<Key>zarr/00000000-0000-4000-8000-000000000000/", text)


def knows_no_latest(request: Request, text: str) -> str:
    """No version is the current one."""
    return text.replace("<IsLatest>true", "<IsLatest>false")


def explodes(request: Request, text: str) -> str:
    """Entities that grow to gigabytes where a parser follows them."""
    entities = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10 if n else "x" * 100}">' for n in range(9))
    head, rest = text.split("\n", 1)
    return f"{head}\n<!DOCTYPE x [{entities}]>\n" + rest.replace("<Name>", "<Name>&e8;", 1)


def is_a_web_page(request: Request, text: str) -> Response:
    """A page for people, with status 200."""
    return Response("<html><body>Please log in</body></html>", 200, {}, "text/html")


S3: Mapping[str, Page] = {
    page.__name__.replace("_", " "): page
    for page in (
        ends_early, breaks_off, loops, names_no_next_page, stays_empty, leaves_one_out, lists_one_twice,
        gives_another_size, gives_another_etag, lists_another_zarr, knows_no_latest, explodes, is_a_web_page,
    )
} | {
    "refused": lambda request, text: s3_error(403, "AccessDenied"),
    "slow down": lambda request, text: s3_error(503, "SlowDown"),
    "internal error": lambda request, text: s3_error(500, "InternalError"),
    "no bucket": lambda request, text: s3_error(404, "NoSuchBucket"),
}  # fmt: skip
"""Faults of ``?versions``, by name."""


def _api(change: Callable[[Request, dict[str, object], list[dict[str, object]]], None]) -> Page:
    def page(request: Request, text: str) -> str:
        answer = json.loads(text)
        change(request, answer, answer["results"])
        return json.dumps(answer)

    return page


def _again(request: Request, answer: dict[str, object], entries: list[dict[str, object]]) -> None:
    answer["next"] = f"http://{request.headers['host']}{request.path}?{request.query}"


def _no_entries(request: Request, answer: dict[str, object], entries: list[dict[str, object]]) -> None:
    entries.clear()
    _again(request, answer, entries)


def _one_less(request: Request, answer: dict[str, object], entries: list[dict[str, object]]) -> None:
    del entries[-1]


def _larger(request: Request, answer: dict[str, object], entries: list[dict[str, object]]) -> None:
    entries[0]["Size"] = int(str(entries[0]["Size"])) + 1


API: Mapping[str, Page] = {
    "ends early": _api(lambda request, answer, entries: answer.update(next=None)),
    "breaks off": breaks_off,
    "loops": _api(_again),
    "stays empty": _api(_no_entries),
    "leaves one out": _api(_one_less),
    "lists one twice": _api(lambda request, answer, entries: entries.insert(0, entries[0])),
    "gives another size": _api(_larger),
    "gives another etag": _api(lambda request, answer, entries: entries[0].update(ETag="0" * 32)),
    "is a web page": is_a_web_page,
    "refused": lambda request, text: Response('{"detail": "Forbidden"}', 403, {}, "application/json"),
    "slow down": lambda request, text: Response("", 503),
    "too many requests": lambda request, text: Response("", 429, {"Retry-After": "0"}),
}
"""Faults of ``/zarr/{id}/files/``, by name."""


@dataclass
class Strike:
    """A fault at work: ``struck`` counts, and no more than ``times`` pages meet it."""

    page: Page
    is_target: Callable[[Request], bool]
    times: float = inf
    struck: int = 0

    def __call__(self, request: Request, response: Response) -> Response:
        """As ``Server.rewrite`` calls it."""
        if not self.is_target(request) or self.struck >= self.times or response.status_code != 200:
            return response
        self.struck += 1
        changed = self.page(request, bytes(response.body).decode())
        return changed if isinstance(changed, Response) else Response(changed, 200, {}, response.media_type)


def strike(server: Server, name: str, times: float = inf, *, api: bool = False) -> Strike:
    """Let the next ``times`` pages of lists meet a fault of ``S3``, or with ``api`` one of ``API``."""
    made = Strike((API if api else S3)[name], is_api_list if api else is_s3_list, times)
    server.rewrite = made
    return made


def wrong_counts(server: Server, *, file_count: int = 1, size: int = 0) -> None:
    """Let ``/zarr/`` and ``/zarr/{id}/`` give other counts; the checksum stays."""

    def rewrite(request: Request, response: Response) -> Response:
        if not re.fullmatch(r"/api/zarr/([^/]+/)?", request.path) or response.status_code != 200:
            return response
        answer = json.loads(bytes(response.body))
        for entry in answer.get("results", [answer]):
            entry["file_count"] += file_count
            entry["size"] += size
        return Response(json.dumps(answer), 200, {}, "application/json")

    server.rewrite = rewrite


def rewritten_in_the_middle(server: Server, zarr: Zarr, change: Callable[[], None], *, after: int = 1) -> None:
    """Call ``change`` (once) before the page of ``zarr``'s list that follows the first ``after`` ones."""
    seen = 0

    def intercept(request: Request) -> None:
        nonlocal seen
        of_this = zarr.zarr_id in request.path or zarr.zarr_id in request.query
        if of_this and (is_s3_list(request) or is_api_list(request)):
            if seen == after:
                change()
            seen += 1

    server.intercept = intercept
