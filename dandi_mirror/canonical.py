"""Canonical bytes: one way, frozen, to write a JSON value.

Keys sorted by code point, UTF-8, no white space, strings escaped as RFC 8785 does, numbers as RFC 8785
(ECMAScript) writes them, times in UTC spelled with ``Z``.  Everything that a version's tree holds is written
by these rules, so a change here is a change of format (``docs/format.md``) and needs a new format number.
The vectors in ``tests/test_canonical.py`` pin them.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator

import orjson

_EXACT = 2**53
"""Integers up to here are exact as the doubles that RFC 8785 knows."""

# What orjson may write in another way than RFC 8785: a number with a fraction or exponent, or of 16 digits or
# more, where a number can stand.  A match inside a string only costs the slower path.
_ODD_NUMBER = re.compile(rb'(?:":|[\[,])-?(?:\d+[.eE]|\d{16})|^-?(?:\d+[.eE]|\d{16})')
_OFFSET_TIME = re.compile(rb'(?<!\\)"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?)\+00:00"')
# Characters that JSON lets stand and YAML does not.
_NOT_YAML = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


class NotCanonical(ValueError):
    """A value that has no canonical bytes: not finite, too deep, not text, or not JSON at all."""


def dumps(value: object) -> bytes:
    """The canonical bytes of a JSON value, on one line and without a newline at its end.

    Raises:
        NotCanonical: the value is or holds something that JSON in UTF-8 cannot say.
    """
    try:
        line = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except (TypeError, orjson.JSONEncodeError):
        # also integers over 64 bits, which RFC 8785 can write and orjson cannot
        return _utc(_slowly(value))
    if _ODD_NUMBER.search(line):
        return _utc(_slowly(value))
    return _utc(line)


def dumps_yaml(value: object) -> bytes:
    """The canonical bytes of a JSON value over many lines, as YAML that is also JSON.

    Two spaces a level, one newline at the end; what YAML does not allow in a string is escaped.

    Raises:
        NotCanonical: as for :func:`dumps`.
    """
    text = _utc(_slowly(value, indent=2)).decode()
    return _NOT_YAML.sub(lambda found: f"\\u{ord(found[0]):04x}", text).encode() + b"\n"


def number(value: int | float) -> str:
    """A number as ECMAScript writes it (RFC 8785 §3.2.2.3): ``1``, ``0.1``, ``1e+30``.

    Raises:
        NotCanonical: not finite, or an integer that no double comes near.
    """
    if isinstance(value, int) and abs(value) <= _EXACT:
        return str(value)
    try:
        double = float(value)
    except OverflowError as error:
        raise NotCanonical("a number too large for JSON") from error
    if not math.isfinite(double):
        raise NotCanonical("a number that is not finite")
    return _ecmascript(double)


def _ecmascript(double: float) -> str:
    if double == 0:
        return "0"
    mantissa, _, exponent = repr(abs(double)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    fraction = "" if fraction == "0" else fraction
    digits = (whole + fraction).lstrip("0")
    # the decimal point stands after this many of the digits
    point = int(exponent or 0) + (len(whole) if whole != "0" else len(digits) - len(fraction))
    digits = digits.rstrip("0")
    sign = "-" if double < 0 else ""
    if len(digits) <= point <= 21:
        return sign + digits + "0" * (point - len(digits))
    if 0 < point <= 21:
        return f"{sign}{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    power = f"e{point - 1:+d}"
    return sign + (f"{digits[0]}.{digits[1:]}" if len(digits) > 1 else digits) + power


def _utc(line: bytes) -> bytes:
    return _OFFSET_TIME.sub(rb'"\1Z"', line) if b'+00:00"' in line else line


def _slowly(value: object, indent: int = 0) -> bytes:
    try:
        return "".join(_pieces(value, indent, "\n" if indent else "")).encode()
    except RecursionError as error:
        raise NotCanonical("nested too deeply") from error
    except UnicodeEncodeError as error:
        raise NotCanonical("half a surrogate pair in a string") from error


def _pieces(value: object, indent: int, newline: str) -> Iterator[str]:
    match value:
        case None | True | False:
            yield {None: "null", True: "true", False: "false"}[value]
        case str():
            yield _string(value)
        case int() | float():
            yield number(value)
        case dict():
            yield from _braced("{}", [(key, value[key]) for key in sorted(_keys(value))], indent, newline)
        case list() | tuple():
            yield from _braced("[]", [(None, item) for item in value], indent, newline)
        case _:
            raise NotCanonical(f"not a JSON value: {type(value).__name__}")


def _braced(braces: str, items: list[tuple[str | None, object]], indent: int, newline: str) -> Iterator[str]:
    inner = newline + " " * indent
    yield braces[0]
    for position, (key, item) in enumerate(items):
        yield ("," if position else "") + inner
        if key is not None:
            yield _string(key) + (": " if indent else ":")
        yield from _pieces(item, indent, inner)
    yield (newline if items else "") + braces[1]


def _keys(value: dict[object, object]) -> list[str]:
    keys = [key for key in value if isinstance(key, str)]
    if len(keys) != len(value):
        raise NotCanonical("a key that is not a string")
    return keys


def _string(text: str) -> str:
    # json's C encoder escapes as RFC 8785 asks: \" \\ \b \f \n \r \t, else \u00xx below U+0020
    return json.dumps(text, ensure_ascii=False)
