"""Canonical bytes: pinned by hand, and the same whichever way they are made."""

from __future__ import annotations

import json
import math
import re
import struct
import sys
from typing import Any

import orjson
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from dandi_mirror import canonical
from dandi_mirror.archive.http.response import parse
from tests.support.values import JSON, NUMBERS, QUICK, TEXT

pytestmark = pytest.mark.quick

# Each line was written by hand; to change one is to change the format.
VECTORS: list[tuple[Any, str]] = [
    (None, "null"),
    (True, "true"),
    (False, "false"),
    (0, "0"),
    (-1, "-1"),
    (-0.0, "0"),
    (1.0, "1"),
    (1.5, "1.5"),
    (9007199254740991, "9007199254740991"),
    (9007199254740993, "9007199254740992"),
    (2**64, "18446744073709552000"),
    (10**21, "1e+21"),
    (1.5e30, "1.5e+30"),
    (["2024-01-02T03:04:05+00:00"] * 3, '["2024-01-02T03:04:05Z","2024-01-02T03:04:05Z","2024-01-02T03:04:05Z"]'),
    (1e-7, "1e-7"),
    ("", '""'),
    ("/", '"/"'),
    ('"\\', r'"\"\\"'),
    ("\b\f\n\r\t\x00\x1f\x7f", '"\\b\\f\\n\\r\\t\\u0000\\u001f\x7f"'),
    ("\u00e9\u2028\U0001f600", '"\u00e9\u2028\U0001f600"'),
    ("2024-01-02T03:04:05+00:00", '"2024-01-02T03:04:05Z"'),
    ("2024-01-02T03:04:05.678901+00:00", '"2024-01-02T03:04:05.678901Z"'),
    ("2024-01-02T03:04:05Z", '"2024-01-02T03:04:05Z"'),
    ("2024-01-02T03:04:05+01:00", '"2024-01-02T03:04:05+01:00"'),
    ("at 2024-01-02T03:04:05+00:00", '"at 2024-01-02T03:04:05+00:00"'),
    ('"2024-01-02T03:04:05+00:00', r'"\"2024-01-02T03:04:05+00:00"'),
    ([], "[]"),
    ({}, "{}"),
    ([1, [2, {}], "3"], '[1,[2,{}],"3"]'),
    ({"b": 1, "a": [True, None], "": {"z": 0.5, "A": "a"}}, '{"":{"A":"a","z":0.5},"a":[true,null],"b":1}'),
    # by code point; by UTF-16, as RFC 8785 sorts, the last two would change places
    ({"\U0001f600": 1, "\uff21": 2, "\u00e9": 3, "z": 4}, '{"z":4,"\u00e9":3,"\uff21":2,"\U0001f600":1}'),
    # a key is a name, not a time
    (
        {"2024-01-02T03:04:05+00:00": 1, "2024-01-02T03:04:05.5+00:00": 2},
        '{"2024-01-02T03:04:05+00:00":1,"2024-01-02T03:04:05.5+00:00":2}',
    ),
]

# RFC 8785, appendix B: the bits of a double and how it is written.
RFC_NUMBERS = {
    "0000000000000000": "0",
    "8000000000000000": "0",
    "0000000000000001": "5e-324",
    "8000000000000001": "-5e-324",
    "7fefffffffffffff": "1.7976931348623157e+308",
    "ffefffffffffffff": "-1.7976931348623157e+308",
    "4340000000000000": "9007199254740992",
    "c340000000000000": "-9007199254740992",
    "4430000000000000": "295147905179352830000",
    "44b52d02c7e14af5": "9.999999999999997e+22",
    "44b52d02c7e14af6": "1e+23",
    "44b52d02c7e14af7": "1.0000000000000001e+23",
    "444b1ae4d6e2ef4e": "999999999999999700000",
    "444b1ae4d6e2ef4f": "999999999999999900000",
    "444b1ae4d6e2ef50": "1e+21",
    "3eb0c6f7a0b5ed8c": "9.999999999999997e-7",
    "3eb0c6f7a0b5ed8d": "0.000001",
    "41b3de4355555553": "333333333.3333332",
    "41b3de4355555554": "333333333.33333325",
    "41b3de4355555555": "333333333.3333333",
    "41b3de4355555556": "333333333.3333334",
    "41b3de4355555557": "333333333.33333343",
    "becbf647612f3696": "-0.0000033333333333333333",
    "43143ff3c1cb0959": "1424953923781206.2",
}

RFC_EXAMPLE = r"""{
  "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
  "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
  "literals": [null, true, false]
}"""
RFC_CANONICAL = (
    r'{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
    r'"string":"€$\u000f\nA'
    "'"
    r'B\"\\\\\"/"}'
)

ECMASCRIPT = re.compile(r"-?(?:0|[1-9][0-9]{0,20})(?:\.[0-9]*[1-9])?|-?[1-9](?:\.[0-9]*[1-9])?e[+-][1-9][0-9]*")


def plain_id(value: object) -> str:
    """An id without a backslash, which pytest does not find when it is given the name of a test."""
    return re.sub(r"[^ -~]|\\", "_", str(value)[:30])


@pytest.mark.parametrize(("value", "line"), VECTORS, ids=[plain_id(line) for _, line in VECTORS])
def test_these_bytes_never_change(value: Any, line: str) -> None:
    assert canonical.dumps(value) == line.encode()
    assert canonical.dumps([value]) == f"[{line}]".encode()
    assert canonical.dumps({"it": value}) == f'{{"it":{line}}}'.encode()


def test_a_record_for_people_never_changes() -> None:
    value = {"b": [], "a": [1, {"\u2028": "\x85\ufeff"}], "t": "2024-01-02T03:04:05+00:00", "n": {}}
    assert canonical.dumps_yaml(value) == (
        b'{\n  "a": [\n    1,\n    {\n      "\\u2028": "\\u0085\\ufeff"\n    }\n  ],\n'
        b'  "b": [],\n  "n": {},\n  "t": "2024-01-02T03:04:05Z"\n}\n'
    )
    assert canonical.dumps_yaml([1e30, 1.5e30]) == b"[\n  1.0e+30,\n  1.5e+30\n]\n"


@pytest.mark.parametrize(("bits", "text"), RFC_NUMBERS.items())
def test_numbers_are_written_as_in_the_appendix_of_rfc_8785(bits: str, text: str) -> None:
    (double,) = struct.unpack(">d", bytes.fromhex(bits))
    assert canonical.number(double) == text
    assert canonical.dumps({"n": [double]}) == f'{{"n":[{text}]}}'.encode()


def test_the_example_of_rfc_8785_is_written_as_it_says() -> None:
    assert canonical.dumps(orjson.loads(RFC_EXAMPLE)) == RFC_CANONICAL.encode()


def test_what_stands_in_another_order_or_spelling_has_the_same_bytes() -> None:
    one = b'{"b": 10, "a": {"y": 1.0, "x": "\\u0041"}, "t": "2024-01-02T03:04:05+00:00"}'
    two = b'{"t":"2024-01-02T03:04:05Z","a":{"x":"A","y":1},"b":1e1}'
    assert canonical.dumps(orjson.loads(one)) == canonical.dumps(json.loads(two))


@pytest.mark.parametrize(
    "value",
    [
        math.nan,
        math.inf,
        -math.inf,
        10**400,
        "\ud800",
        {"\udcff": 1},
        {1: 2},
        {None: 1},
        b"x",
        3j,
        {1, 2},
    ],
    ids=lambda value: plain_id(repr(value)),
)
def test_what_json_cannot_say_is_refused_wherever_it_stands(value: Any) -> None:
    for whole in (value, [value], {"a": [1, {"b": value}]}, {"a": [None, value, 1.5]}):
        for write in (canonical.dumps, canonical.dumps_yaml):
            with pytest.raises(canonical.NotCanonical):
                write(whole)


def nested(depth: int, braces: str = "list") -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value] if braces == "list" else {"a": value}
    return value


@pytest.mark.parametrize("braces", ["list", "dict"])
def test_how_deep_a_value_may_be_depends_on_nothing_but_the_value(braces: str) -> None:
    assert canonical.dumps(nested(canonical.DEEPEST, braces))
    assert canonical.dumps_yaml(nested(canonical.DEEPEST, braces))

    def further_down(frames: int) -> None:
        if frames:
            further_down(frames - 1)
            return
        canonical.dumps([nested(canonical.DEEPEST - 1, braces), 1.5])
        for depth in (canonical.DEEPEST + 1, 250, 300, 900, 100_000):
            for write in (canonical.dumps, canonical.dumps_yaml):
                with pytest.raises(canonical.NotCanonical):
                    write(nested(depth, braces))

    further_down(0)
    further_down(sys.getrecursionlimit() // 3)


@given(JSON)
@QUICK
def test_the_fast_way_and_the_slow_way_write_the_same(value: Any) -> None:
    assert canonical.dumps(value) == canonical._utc(canonical._slowly(value))


@given(JSON)
@QUICK
def test_what_is_written_is_read_back_and_written_again_the_same(value: Any) -> None:
    line = canonical.dumps(value)
    assert b"\n" not in line
    assert plain(json.loads(line)) == plain(value)
    assert canonical.dumps(orjson.loads(line)) == line
    assert canonical.dumps(parse(line, "")) == line


@given(JSON)
@QUICK
def test_what_people_read_is_yaml_and_json_at_once(value: Any) -> None:
    content = canonical.dumps_yaml(value)
    assert content.endswith(b"\n") and not content.endswith(b"\n\n")
    assert plain(json.loads(content)) == plain(value)
    assert plain(yaml.safe_load(content)) == plain(value)
    assert canonical.dumps(json.loads(content)) == canonical.dumps(value)


@given(st.dictionaries(TEXT, st.none(), max_size=30))
@QUICK
def test_keys_stand_in_the_order_of_their_code_points(value: dict[str, None]) -> None:
    assert list(json.loads(canonical.dumps(value))) == sorted(value)


@given(NUMBERS)
@QUICK
def test_a_number_is_written_as_ecmascript_does_and_read_back_exactly(value: float) -> None:
    try:
        double = float(value)
    except OverflowError:
        return
    text = canonical.number(value)
    assert ECMASCRIPT.fullmatch(text)
    assert float(text) == double


@given(st.datetimes(), st.sampled_from(["+00:00", "Z"]))
@QUICK
def test_a_time_has_one_spelling(moment: Any, zone: str) -> None:
    assert canonical.dumps([moment.isoformat() + zone]) == f'["{moment.isoformat()}Z"]'.encode()


def plain(value: Any) -> Any:
    """Values with every number as the double that it is to JSON, and times as they are spelled."""
    match value:
        case bool():
            return value
        case int() | float():
            return float(value)
        case str():
            return re.sub(r"\A(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?)\+00:00\Z", r"\1Z", value, flags=re.ASCII)
        case dict():
            return {key: plain(item) for key, item in value.items()}
        case list():
            return [plain(item) for item in value]
    return value
