"""Answers of the API: JSON, errors, pages of lists."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeVar
from urllib.parse import urlencode

import orjson
from starlette.requests import Request
from starlette.responses import Response

LARGEST_PAGE, USUAL_PAGE = 1000, 100
_T = TypeVar("_T")
_YES, _NO = {"1", "t", "y", "yes", "true", "on"}, {"0", "f", "n", "no", "false", "off", ""}


class ErrorAnswer(Exception):
    """A request that gets an error: its status, and the text of ``detail``."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] = MappingProxyType({})) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers


def not_found() -> ErrorAnswer:
    """What is asked for is not in the mirror, or not open."""
    return ErrorAnswer(404, "Not found.")


def json_response(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer."""
    return Response(orjson.dumps(value), status, headers, media_type="application/json")


def flag(request: Request, name: str, default: bool = False) -> bool:
    """A parameter that is true or false.

    Raises:
        ErrorAnswer: 400 for another word.
    """
    word = request.query_params.get(name)
    if word is None or word.lower() in _YES | _NO:
        return default if not word else word.lower() in _YES
    raise ErrorAnswer(400, f"{name}: Must be a valid boolean.")


def page(
    request: Request,
    url: str,
    entries: Sequence[_T],
    record: Callable[[Sequence[_T]], list[Any]],
    *,
    lazy: bool = False,
) -> Response:
    """One page of a list; ``lazy`` as of assets: no count after the first page, and an empty page past the end.

    Raises:
        ErrorAnswer: 404 for a page that there is not.
    """
    query = request.query_params
    size = _number(query.get("page_size"))
    size = min(size, LARGEST_PAGE) if size else USUAL_PAGE
    pages = max(1, -(-len(entries) // size))
    number = pages if query.get("page") == "last" and not lazy else _number(query.get("page", "1"))
    if number < 1 or (number > pages and not lazy):
        raise ErrorAnswer(404, "Invalid page.")
    start = (number - 1) * size
    return json_response(
        {
            "count": len(entries) if number == 1 or not lazy else None,
            "next": _at(url, query, number + 1) if start + size < len(entries) else None,
            "previous": _at(url, query, number - 1) if number > 1 else None,
            "results": record(entries[start : start + size]),
        }
    )


def _number(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdecimal() and len(text) < 10 else 0


def _at(url: str, query: Mapping[str, str], number: int) -> str:
    parameters = {name: value for name, value in query.items() if name != "page"}
    parameters |= {"page": str(number)} if number > 1 else {}
    return f"{url}?{urlencode(sorted(parameters.items()))}" if parameters else url
