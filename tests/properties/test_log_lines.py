"""Rules of single lines of git-annex's logs."""

from __future__ import annotations

import pytest

from dandi_mirror.repo.annex import logs
from dandi_mirror.repo.annex.logs import WEB, Stamp

pytestmark = pytest.mark.quick

ASSETS, ZARRS = "a6e52487-2578-5774-9468-ffacf2c4e0de", "873f5018-33b6-5a4c-b967-9d705dd81fae"
EMBARGOED = "889eaa27-6170-5d9d-af68-31acbaed143c"


@pytest.mark.parametrize(
    ("text", "micros"),
    [("1s", 1_000_000), ("1.5s", 1_500_000), ("1.1234567s", 1_123_456), ("0.000001s", 1), ("1", None), ("s", None)],
)
def test_a_time_is_read_to_the_microsecond(text: str, micros: int | None) -> None:
    assert Stamp.parse(text) == (None if micros is None else Stamp(micros))


def test_a_new_line_about_a_thing_is_later_than_the_one_before_by_a_microsecond_at_least() -> None:
    assert [Stamp(5).after(other) for other in (None, Stamp(4), Stamp(5), Stamp(9))] == [
        Stamp(5), Stamp(5), Stamp(6), Stamp(10),
    ]  # fmt: skip
    assert logs.with_presence(b"9s 1 a\n", Stamp(5), {"a": False}) == b"9.000001s 0 a\n"


def test_of_two_lines_of_one_time_the_later_one_counts() -> None:
    assert logs.present(b"1s 1 a\n1s 0 a\n") == {"a": False}
    assert logs.present(b"2s 1 a\n1s 0 a\n") == {"a": True}
    assert logs.fields(b"1s f -a\n1s f +a\n") == {("f", "a")}


def test_a_url_with_spaces_is_one_thing_and_an_unknown_flag_says_nothing() -> None:
    assert logs.present(b"1s 1 http://h/a b\n1s 2 c\n1s 1 \n") == {"http://h/a b": True}


def test_each_field_is_named_once_and_a_value_without_a_field_is_none() -> None:
    assert logs.with_fields(b"", Stamp(0), (), [("f", "b"), ("f", "a"), ("e", "x y")]) == b"0s e +!eCB5 f +a +b\n"
    assert logs.fields(b"1s +a\n") == set()
    assert logs.fields(b"1s f +!Y*Q== +!YQ==\n") == {("f", "!Y*Q=="), ("f", "a")}


def test_a_level_of_trust_replaces_the_remotes_own_lines_only_and_is_later_than_them() -> None:
    assert logs.with_trust(b"", "u", "X", Stamp(5)) == b"u X timestamp=0.000005s\n"
    assert logs.with_trust(b"", "u", "?", Stamp(5)) == b""
    same = b"u ? timestamp=1s\nu X timestamp=2s\n"
    assert logs.with_trust(same, "u", "X", Stamp(5)) == same
    thrice = b"u ? timestamp=1s\n" + same
    assert logs.with_trust(thrice, "u", "X", Stamp(5)) == thrice
    others = b"u2 X timestamp=8s\n\xff u\n"
    log = b"u X timestamp=3s\nu X timestamp=9s\nu \xff ? timestamp=1s\nu X now\n" + others
    assert logs.with_trust(log, "u", "?", Stamp(5)) == others + b"u ? timestamp=9.000001s\n"
    assert logs.with_trust(b"u2 X", "u", "X", Stamp(5)) == b"u2 X\nu X timestamp=0.000005s\n"


def test_a_remote_that_somebody_has_set_up_stays_as_it_is() -> None:
    log = b"v sameas-uuid=u u timestamp=1s\nu name=mine timestamp=1s\n"
    assert logs.with_remote(log, "u", "name=ours", Stamp(5)) == log
    assert logs.with_remote(b"v u\tx", "u", "a=b", Stamp(5)) == b"v u\tx\nu a=b timestamp=0.000005s\n"


def test_two_states_of_a_log_have_together_each_line_once() -> None:
    assert logs.union(b"a b\n", b"c\n\na b\nd e\x0b\n") == b"a b\nc\nd e\x0b\n"
    assert logs.union(b"a", b"b") == b"a\nb\n"
    assert logs.union(b"", b"a\n") == b"a\n"


def test_the_remotes_of_an_archive_have_ids_and_words_that_never_change() -> None:
    api = "https://api.dandiarchive.org/api"
    words = f"autoenable=true cost=300 sameas-name=dandiapi sameas-uuid={WEB} type=web urlinclude=*//"
    assert logs.api_remote(api) == (ASSETS, f"{words}api.dandiarchive.org/api/assets/*")
    assert logs.api_remote(api, "zarr") == (ZARRS, f"{words}api.dandiarchive.org/api/zarr/*")
    embargo = f"api={api} autoenable=true encryption=none externaltype=dandi name=dandi-embargoed type=external"
    assert logs.embargo_remote(api) == (EMBARGOED, embargo)


@pytest.mark.parametrize("below", ["assets", "zarr"])
def test_the_archive_of_a_clone_is_the_one_that_its_remote_names(below: str) -> None:
    log = b"\xff x\n" + logs.with_remote(b"", *logs.api_remote("https://h/api", below), Stamp(1))
    assert logs.api_of(log) == "h/api"
    assert logs.api_of(b"u type=web name=x\n") == logs.api_of(b"") == ""
