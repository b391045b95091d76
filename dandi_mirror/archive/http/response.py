"""Reading a response: its bytes, limited in number and time, and its JSON, even if a part of that is invalid."""

from __future__ import annotations

import json
import re
import time
from math import isfinite
from typing import TYPE_CHECKING

import orjson

from dandi_mirror.errors import BadAnswerError

if TYPE_CHECKING:
    import requests

PIECE = 1 << 18  # bytes
_DETAIL = 4096  # bytes
_STEPS = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)
_DEEP = 128
"""Levels of nesting that every JSON reader can read."""


class ResponseTooLate(Exception):
    """The complete response did not come in time."""


class ResponseTooLarge(Exception):
    """The response has more bytes than allowed."""


class ResponseTooDeep(BadAnswerError):
    """The JSON is complete, but nests lists and objects too deeply."""


class MissingRecord:
    """Stands for a record that did not come, although the other records of its page did."""


def read_body(answer: requests.Response, most: int, deadline: float) -> bytes:
    """Read the body, decoded.

    ``most`` is in bytes, ``deadline`` a time of :func:`time.monotonic`.

    Raises:
        ResponseTooLarge, ResponseTooLate: it has more bytes, or takes longer; reading stops there.
        urllib3.exceptions.HTTPError: it is cut off, stalls, or is not in the encoding of its header.
    """
    pieces: list[bytes] = []
    held = 0
    # takes available bytes at once: to wait for a full piece would let a very slow server hold the program for days
    while piece := answer.raw.read1(PIECE, decode_content=True):
        held += len(piece)
        pieces.append(piece)
        if held > most:
            raise ResponseTooLarge
        if time.monotonic() > deadline:
            raise ResponseTooLate
    return b"".join(pieces)


def detail(answer: requests.Response, deadline: float) -> str:
    """The API's reason for a refusal, in any of its six forms, on one line; empty if it gives none."""
    try:
        said = json.loads(read_body(answer, _DETAIL, deadline))
    except Exception:
        return ""
    text = said.get("detail", said) if isinstance(said, dict) else said
    return f": {json.dumps(text, ensure_ascii=True)[:200]}" if text else ""


class Unwritable:
    """Stands for a number that JSON cannot hold (NaN, Infinity, thousands of digits)."""


def parse(content: bytes, shown: str) -> object:
    """Parse a JSON response.

    A more tolerant reader takes what orjson refuses (half surrogate pairs, NaN), so that one bad record does not hide
    the good ones beside it; such a record has no canonical form, and is refused later.

    Raises:
        ResponseTooDeep: complete, but nested too deeply.
        BadAnswerError: not JSON.
    """
    try:
        value: object = orjson.loads(content)
        return value
    except orjson.JSONDecodeError:
        pass
    try:
        patient: object = json.loads(
            content, parse_constant=lambda _: Unwritable(), parse_int=_integer, parse_float=_float
        )
        return patient
    except (ValueError, RecursionError):
        if _is_deep(content):
            raise ResponseTooDeep(f"{shown}: the response is nested too deeply") from None
        raise BadAnswerError(f"{shown}: the response is not JSON; run the command again later") from None


def _is_deep(content: bytes) -> bool:
    """Whether all brackets are closed, and there are more levels than every reader can read.

    Half of such a response does not count, nor does a web page from a server in between.
    """
    opened: list[bytes] = []
    deepest = 0
    for found in _STEPS.finditer(content):
        step = found[0]
        if step in b"[{":
            opened.append(b"]" if step == b"[" else b"}")
            deepest = max(deepest, len(opened))
        elif step in b"]}" and (not opened or opened.pop() != step):
            return False
    return not opened and deepest > _DEEP


def _float(digits: str) -> object:
    return value if isfinite(value := float(digits)) else Unwritable()


def _integer(digits: str) -> object:
    return int(digits) if len(digits) < 400 else Unwritable()
