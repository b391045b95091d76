"""Parameters of a request: true and false, and the pages of a list."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit, urlunsplit

from dandi_mirror.embedded.rules.refusals import Refused, detail

LARGEST_PAGE = 1000
"""Entries on a page at most; the archive does not say so when it cuts a longer one."""
DEFAULT_PAGE = 100

_CASES = (str.lower, str.title, str.upper)
_TRUE = {"1"} | {case(word) for word in ("t", "y", "yes", "true", "on") for case in _CASES}
_FALSE = {"0"} | {case(word) for word in ("f", "n", "no", "false", "off") for case in _CASES}


def parameters(query: str) -> dict[str, str]:
    """Split a query string; the last of several values counts."""
    return dict(parse_qsl(query, keep_blank_values=True))


def boolean(query: Mapping[str, str], name: str, default: bool) -> bool:
    """A query parameter as true or false.

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
    """Entries on a page: 100 by default, at most 1000; a text that is no number counts as none."""
    text = query.get("page_size", "")
    wanted = int(text) if text.isdecimal() else 0
    return min(wanted, LARGEST_PAGE) if wanted else DEFAULT_PAGE


def limited(query: Mapping[str, str]) -> int:
    """The parameter ``limit`` of a Zarr's files: 1000 by default and at most.

    Raises:
        Refused: 400 for another value.
    """
    text = query.get("limit", "").strip() or str(LARGEST_PAGE)
    if not re.fullmatch(r"-?\d+", text):
        raise Refused(400, {"limit": ["A valid integer is required."]})
    limit = int(text)
    if limit > LARGEST_PAGE:
        raise Refused(400, {"limit": [f"Ensure this value is less than or equal to {LARGEST_PAGE}."]})
    if limit < 0:
        raise Refused(400, {"limit": ["Ensure this value is greater than or equal to 0."]})
    return limit


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list: entries ``start`` to ``stop``, and the links to other pages."""

    start: int
    stop: int
    count: int | None
    next: str | None
    previous: str | None

    def head(self) -> dict[str, Any]:
        """The fields before ``results``."""
        return {"count": self.count, "next": self.next, "previous": self.previous}


def turn(url: str, query: Mapping[str, str], count: int, *, lazy: bool) -> Page:
    """The page that ``query`` asks for in a list of ``count`` entries at ``url`` (absolute, with its query).

    Counted lists refuse a page past the end and know ``last``. Lazy lists (assets) answer such a page
    empty, do not know ``last``, and say ``count`` on page 1 only.

    Raises:
        Refused: 404 ``Invalid page.``
    """
    entries = page_size(query)
    pages = max(1, -(-count // entries))
    text = query.get("page") or "1"
    if text == "last" and not lazy:
        text = str(pages)
    number = int(text) if text.isdecimal() else 0
    if number < 1 or (number > pages and not lazy):
        raise detail(404, "Invalid page.")
    start = (number - 1) * entries
    return Page(
        start,
        start + entries,
        count if number == 1 or not lazy else None,
        _to_page(url, number + 1) if start + entries < count else None,
        _to_page(url, number - 1) if number > 1 else None,
    )


def _to_page(url: str, number: int) -> str:
    """``url`` with another page number (none for page 1) and, as on the server, sorted parameters."""
    parts = urlsplit(url)
    query = parse_qs(parts.query, keep_blank_values=True)
    query.pop("page", None)
    if number > 1:
        query["page"] = [str(number)]
    return urlunsplit(parts._replace(query=urlencode(sorted(query.items()), doseq=True)))
