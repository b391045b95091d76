"""Canonical bytes: the one way to write a JSON value, which never changes.

Keys are sorted by code point; the encoding is UTF-8, without white space; strings are escaped and numbers written as
in RFC 8785 (ECMAScript); times in UTC end with ``Z``.  Everything in a version's tree is written by these rules, so a
change here is a change of format (``docs/format.md``) and needs a new format number.  The test vectors are in
``tests/properties/test_canonical.py``.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator

import orjson

DEEPEST = 128
"""Levels of lists and objects.  A fixed number, because the depth of an interpreter's stack varies."""

_EXACT = 2**53
"""Integers up to here are exact as doubles, the only numbers of RFC 8785."""

_TIME_IN_UTC = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?")
_OFFSET = b'+00:00"'
_LONGEST_TIME = 40
# Characters that JSON allows and YAML does not.
_NOT_YAML = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


class NotCanonical(ValueError):
    """A value without canonical bytes: not finite, too deep, not text, or not JSON."""


class TooDeep(NotCanonical):
    """A value of more than ``DEEPEST`` levels; some JSON readers cannot read it."""

    def __init__(self) -> None:
        super().__init__("nested too deeply")


def dumps(value: object) -> bytes:
    """The canonical bytes of a JSON value, on one line, without a newline at the end.

    Raises:
        NotCanonical: the value is or contains something that JSON in UTF-8 cannot express.
    """
    try:
        if not _has_odd_number(value):
            return _utc(orjson.dumps(value, option=orjson.OPT_SORT_KEYS))
    except (TypeError, orjson.JSONEncodeError):
        pass  # the slower way can write it, or tells what is wrong
    return _utc(_slowly(value))


def _has_odd_number(value: object) -> bool:
    """Whether a value has a number that orjson may write differently from RFC 8785, or too many levels."""
    level: list[object] = [[value]]
    for _ in range(DEEPEST + 1):
        below: list[object] = []
        for holder in level:
            for item in holder.values() if type(holder) is dict else holder:  # type: ignore[attr-defined]
                kind = type(item)
                if kind is str:
                    continue
                if kind is dict or kind is list or kind is tuple:
                    below.append(item)
                elif kind is float or (kind is int and abs(item) > _EXACT):
                    return True
        if not below:
            return False
        level = below
    return True


def dumps_yaml(value: object) -> bytes:
    """The canonical bytes of a JSON value on many lines, as YAML that is also JSON.

    Two spaces per level, one newline at the end; characters that YAML does not allow are escaped.

    Raises:
        NotCanonical: as for :func:`dumps`.
    """
    text = _utc(_slowly(value, indent=2)).decode()
    return _NOT_YAML.sub(lambda found: f"\\u{ord(found[0]):04x}", text).encode() + b"\n"


def check(value: object) -> None:
    """Refuse a value that is too deep or not finite, without recursion.

    Raises:
        NotCanonical: the value is one of these.
    """
    level: list[object] = [value]
    for _ in range(DEEPEST + 1):
        if any(isinstance(item, float) and not math.isfinite(item) for item in level):
            raise NotCanonical("a number that is not finite")
        level = [inner for item in level if isinstance(item, dict | list | tuple) for inner in _inside(item)]
        if not level:
            return
    raise TooDeep


def _inside(value: dict[str, object] | list[object] | tuple[object, ...]) -> Iterable[object]:
    return value.values() if isinstance(value, dict) else value


def number(value: int | float) -> str:
    """A number as ECMAScript writes it (RFC 8785 §3.2.2.3): ``1``, ``0.1``, ``1e+30``.

    Raises:
        NotCanonical: the number is not finite, or larger than any double.
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
    # the decimal point comes after this many digits
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
    """Replace the ``+00:00`` at the end of times by ``Z``."""
    end = line.find(_OFFSET)
    if end < 0:
        return line
    pieces = []
    done = 0
    while end >= 0:
        start = line.rfind(b'"', max(0, end - _LONGEST_TIME), end) + 1
        after = end + len(_OFFSET)
        # a string before a colon is a key: no time, and already sorted
        key = line[after : after + 1] == b":" or line[start - 2 : start - 1] == b"\\"
        if start and not key and _TIME_IN_UTC.fullmatch(line, start, end):
            pieces += [line[done:end], b"Z"]
            done = after - 1
        end = line.find(_OFFSET, end + 1)
    return b"".join([*pieces, line[done:]])


def _slowly(value: object, indent: int = 0) -> bytes:
    check(value)
    try:
        return "".join(_pieces(value, indent, "\n" if indent else "")).encode()
    except UnicodeEncodeError as error:
        raise NotCanonical("half a surrogate pair in a string") from error


def _pieces(value: object, indent: int, newline: str) -> Iterator[str]:
    match value:
        case None | True | False:
            yield {None: "null", True: "true", False: "false"}[value]
        case str():
            yield _string(value)
        case int() | float():
            written = number(value)
            # many YAML readers take 1e+30 for a word, and 1.0e+30 for the number
            yield written.replace("e", ".0e") if indent and "." not in written else written
        case dict():
            yield from _braced("{}", [(key, value[key]) for key in sorted(_keys(value))], indent, newline)
        case list() | tuple():
            yield from _braced("[]", [(None, item) for item in value], indent, newline)
        case _:
            raise NotCanonical("a value that JSON cannot hold")


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
