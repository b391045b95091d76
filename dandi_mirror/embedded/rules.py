"""What the archive's API decides by rule: paths, names of versions, pages, times, refusals.  Pure.

Source: recorded answers of dandi-archive commit 3e3c3c9c on loopback.
"""

from __future__ import annotations

import json
import re
from collections.abc import Container, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

import orjson

MOST_ROWS = 1000
"""Rows in a page at most; more is cut without a word."""
DEFAULT_ROWS = 100
LONGEST_PATH = 512
"""Characters in an asset's path at most."""

DANDISET = r"\d{6}"
VERSION = r"0\.\d{6}\.\d{4}|draft"
UUID4 = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"

# The server writes `^(C?\/?\.?C)+$` with C below, which takes exponential time to refuse; this is the same
# set of strings. `A-z` is its own slip: it lets in [ \ ] ^ _ and the backtick.
_PATH = re.compile(r"(?:/?\.?[A-z0-9(),&\s#+~_=-])+", re.ASCII)

_CASES = (str.lower, str.title, str.upper)
_TRUE = {"1"} | {case(word) for word in ("t", "y", "yes", "true", "on") for case in _CASES}
_FALSE = {"0"} | {case(word) for word in ("f", "n", "no", "false", "off") for case in _CASES}


class Refused(Exception):
    """The archive refuses: ``status`` and ``body`` are what HTTP would answer.

    ``body`` is one of the API's shapes: ``{"detail": …}``, a bare string, a list, a map of fields, or None for no
    body at all.
    """

    def __init__(self, status: int, body: Any, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(f"{status}: {dumps(body).decode()}")
        self.status = status
        self.body = body
        self.headers = headers or {}


def detail(status: int, text: str) -> Refused:
    """A refusal in the shape of Django REST framework."""
    return Refused(status, {"detail": text})


def not_found() -> Refused:
    """The JSON 404 of an id that fits its pattern and names nothing."""
    return detail(404, "Not found.")


def dumps(value: Any) -> bytes:
    """``value`` as compact JSON; times in UTC with ``Z``, their fraction left out when it is 0.

    What orjson cannot hold (lone surrogates, integers over 64 bits) is written by the standard library.
    """
    try:
        return orjson.dumps(value, option=orjson.OPT_UTC_Z)
    except TypeError:
        return json.dumps(value, default=api_time, separators=(",", ":")).encode()


def api_time(moment: datetime) -> str:
    """``moment`` as in the fields ``created`` and ``modified``: ``2026-11-22T07:35:02.290333Z``."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def metadata_time(moment: datetime) -> str:
    """``moment`` as inside metadata: ``2026-11-22T07:35:02.290333+00:00``."""
    return moment.astimezone(UTC).isoformat()


def moment(value: datetime | str) -> datetime:
    """An aware time from a time or from the API's spelling of one (no zone is UTC)."""
    found = datetime.fromisoformat(value) if isinstance(value, str) else value
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def check_path(path: str) -> None:
    """Refuse what the server refuses as an asset's path.

    Raises:
        Refused: 400 with the server's words; 500 for white space outside ASCII, as seen.
    """
    if path.startswith("/"):
        raise Refused(400, {"non_field_errors": ["Path must not begin with /"]})
    if not _PATH.fullmatch(path):
        ascii_only = "".join(" " if c.isspace() else c for c in path)
        if _PATH.fullmatch(ascii_only):
            raise Refused(500, "white space outside ASCII in an asset's path")
        raise Refused(400, {"non_field_errors": ["Path improperly formatted"]})
    if len(path) > LONGEST_PATH:
        words = f"Ensure this value has at most {LONGEST_PATH} characters (it has {len(path)})."
        raise Refused(400, words)


def folders_of(path: str) -> list[str]:
    """The folders above ``path``, outermost first: ``a/b/c`` has ``a`` and ``a/b``."""
    return [path[:at] for at, letter in enumerate(path) if letter == "/"]


def version_name(now: datetime, taken: Container[str]) -> str:
    """The name of a version published at ``now``, a minute later for each collision with ``taken``.

    A name can therefore lie in the future; 59 minutes carry over into the hour and the day.
    """
    while (name := now.astimezone(UTC).strftime("0.%y%m%d.%H%M")) in taken:
        now += timedelta(minutes=1)
    return name


def boolean(query: Mapping[str, str], name: str, default: bool) -> bool:
    """The truth of a query parameter.

    Raises:
        Refused: 400 when it is not one of the server's spellings of true and false.
    """
    value = query.get(name, "")
    if value in _TRUE:
        return True
    if value in _FALSE:
        return False
    if value == "":
        return default
    raise Refused(400, {name: ["Must be a valid boolean."]})


def page_size(query: Mapping[str, str]) -> int:
    """Rows in a page: 100 unless told; cut at 1000; nonsense is 100."""
    text = query.get("page_size", "")
    wanted = int(text) if text.isdecimal() else 0
    return min(wanted, MOST_ROWS) if wanted else DEFAULT_ROWS


@dataclass(frozen=True, slots=True)
class Page:
    """Where one page lies in a list: rows ``start`` to ``stop``, and what stands around them."""

    start: int
    stop: int
    count: int | None
    next: str | None
    previous: str | None

    def head(self) -> dict[str, Any]:
        """The fields before ``results``."""
        return {"count": self.count, "next": self.next, "previous": self.previous}


def turn(url: str, query: Mapping[str, str], count: int, *, lazy: bool) -> Page:
    """The page that ``query`` asks for in a list of ``count`` rows at ``url`` (absolute, with its query).

    Counted lists refuse a page past the end and know ``last``. Lazy lists (assets) answer such a page
    empty, do not know ``last``, and say ``count`` on page 1 only.

    Raises:
        Refused: 404 ``Invalid page.``
    """
    rows = page_size(query)
    pages = max(1, -(-count // rows))
    text = query.get("page") or "1"
    if text == "last" and not lazy:
        text = str(pages)
    number = int(text) if text.isdecimal() else 0
    if number < 1 or (number > pages and not lazy):
        raise detail(404, "Invalid page.")
    start = (number - 1) * rows
    return Page(
        start,
        start + rows,
        count if number == 1 or not lazy else None,
        _to_page(url, number + 1) if start + rows < count else None,
        _to_page(url, number - 1) if number > 1 else None,
    )


def _to_page(url: str, number: int) -> str:
    """``url`` with another page number; page 1 has none; the parameters sorted, as the server does."""
    parts = urlsplit(url)
    query = parse_qs(parts.query, keep_blank_values=True)
    query.pop("page", None)
    if number > 1:
        query["page"] = [str(number)]
    return urlunsplit(parts._replace(query=urlencode(sorted(query.items()), doseq=True)))


def like(pattern: str) -> re.Pattern[str]:
    """A ``glob=`` of the asset list: the whole path, case ignored; only ``*`` is special."""
    return re.compile(".*".join(map(re.escape, pattern.split("*"))), re.IGNORECASE | re.DOTALL)
