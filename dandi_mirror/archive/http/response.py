"""What an answer holds: its bytes, bounded in number and in time, and its JSON, though it be bad in part."""

from __future__ import annotations

import json
import re
import time
from math import isfinite

import orjson
import requests

from dandi_mirror.errors import BadAnswerError

PIECE = 1 << 18  # bytes
_DETAIL = 4096  # bytes
_STEPS = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)
_DEEP = 128
"""Levels that every reader of JSON can read."""


class TooLate(Exception):
    """The whole answer was not there when it had to be."""


class TooLarge(Exception):
    """The answer has more bytes than it may have."""


class TooDeep(BadAnswerError):
    """The archive has answered, with more levels of lists and objects than can be read."""


class Unread:
    """Stands for a record that did not come, though others of its page did."""


def read_body(answer: requests.Response, most: int, deadline: float) -> bytes:
    """The decoded body.

    ``most`` is in bytes, ``deadline`` a moment of :func:`time.monotonic`.

    Raises:
        TooLarge, TooLate: it is more than it may be; reading has ended there.
        urllib3.exceptions.HTTPError: it is cut off, stalls, or is not in the encoding that it names.
    """
    pieces: list[bytes] = []
    held = 0
    # what has come is taken at once: to wait for a whole piece would let a slow drip wait for days
    while piece := answer.raw.read1(PIECE, decode_content=True):
        held += len(piece)
        pieces.append(piece)
        if held > most:
            raise TooLarge
        if time.monotonic() > deadline:
            raise TooLate
    return b"".join(pieces)


def detail(answer: requests.Response, deadline: float) -> str:
    """What the API says of its refusal, in any of its six shapes, on one line; empty if it says nothing."""
    try:
        said = json.loads(read_body(answer, _DETAIL, deadline))
    except Exception:
        return ""
    text = said.get("detail", said) if isinstance(said, dict) else said
    return f": {json.dumps(text, ensure_ascii=True)[:200]}" if text else ""


class Unwritable:
    """Stands for a number that JSON has no business to hold (NaN, Infinity, thousands of digits)."""


def parse(content: bytes, shown: str) -> object:
    """A JSON answer as a value.

    What orjson refuses (half surrogates, NaN) is read more patiently, so that one bad record does not hide
    the good ones beside it: such a value cannot be written canonically and its record is refused later.

    Raises:
        TooDeep: nested too deeply to be read, but whole.
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
    except (ValueError, RecursionError) as error:
        if _is_deep(content):
            raise TooDeep(f"{shown}: an answer of too many levels") from None
        raise BadAnswerError(
            f"{shown}: an answer that is not JSON ({type(error).__name__}); run the command again later"
        ) from None


def _is_deep(content: bytes) -> bool:
    """Whether all that opens is closed again, and there are more levels than every reader can read.

    Half of such an answer is none, and neither is a page of something in between.
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
