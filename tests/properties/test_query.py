"""A query: what is typed becomes conditions, which an index of three files answers."""

from __future__ import annotations

import sqlite3

import pytest

from dandi_mirror.errors import UsageError
from dandi_mirror.mirror.search.index import _TABLES
from dandi_mirror.mirror.search.query import MOST_TERMS, OPERATORS, Term, parse_query

pytestmark = pytest.mark.quick

MOUSE, VIDEO, NOTES = 1, 2, 3


@pytest.fixture(scope="module")
def index() -> sqlite3.Connection:
    database = sqlite3.connect(":memory:")
    for statement in _TABLES:
        database.execute(statement)
    dandisets = [
        (1, "000123", "Hippocampus", "2023-05-01T10:00:00", "2024-06-01T10:00:00", "2024-02-01T10:00:00"),
        (2, "000200", "Sleep of a human", "2025-05-01T10:00:00", "2025-06-01T10:00:00", ""),
    ]
    database.executemany("INSERT INTO dandiset VALUES (?, ?, '', ?, ?, ?, ?)", dandisets)
    about = [(1, "Hippocampus", "place cells", "Doe, Jane", "mice that run"), (2, "Sleep of a human", "", "", "")]
    database.executemany(
        "INSERT INTO about (rowid, name, keyword, contributor, description) VALUES (?, ?, ?, ?, ?)", about
    )
    for number, dandiset, path, kind, species in (
        (MOUSE, 1, "sub-a/ecephys.nwb", "application/x-nwb", "Mus musculus"),
        (VIDEO, 2, "sub-b/night.mp4", "video/mp4", "Human"),
        (NOTES, 2, "notes.txt", "text/plain", ""),
    ):
        database.execute(
            "INSERT INTO asset (number, dandiset, path, type) VALUES (?, ?, ?, ?)", (number, dandiset, path, kind)
        )
        database.execute("INSERT INTO words (rowid, path, species) VALUES (?, ?, ?)", (number, path, species))
    return database


def files(index: sqlite3.Connection, *query: str) -> set[int]:
    """The files that a query finds."""
    conditions = [term.of_asset() for term in parse_query(query)]
    where = " AND ".join(condition for condition, _ in conditions)
    values = [value for _, some in conditions for value in some]
    return {number for (number,) in index.execute(f"SELECT number FROM asset WHERE {where}", values)}


def dandisets(index: sqlite3.Connection, query: str) -> set[str] | None:
    """The Dandisets that a condition finds; None if it is about files only."""
    ((where, values),) = [term.of_dandiset() for term in parse_query([query])]
    return {name for (name,) in index.execute(f"SELECT id FROM dandiset WHERE {where}", values)} if where else None


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("ecephys", {MOUSE}), ("ECE", {MOUSE}), ("phys", set()), ("hippocampus", {MOUSE}), ("human", {VIDEO, NOTES}),
        ("species:human", {VIDEO}), ("path:human", set()), ("name:human", {VIDEO, NOTES}), ("name:musculus", set()),
        ("contributor:jane", {MOUSE}), ("keyword:cells", {MOUSE}), ("keywords:cells", {MOUSE}),
        ("description:run", {MOUSE}), ("description:cells", set()), ("file_type:nwb", {MOUSE}),
        ("file_type:NWB", {MOUSE}), ("file_type:video", {VIDEO}), ("file_type:text", {NOTES}),
        ("file_type:image", set()), ("file_type:VIDEO/mp", {VIDEO}), ("file_type:mp4", set()),
        ("dandiset:000200", {VIDEO, NOTES}), ("DANDI:000200@draft/x", {VIDEO, NOTES}),
        ("dandiset:000200/x", {VIDEO, NOTES}), ("dandiset:200", set()),
        ("created_after:2024-01-01", {VIDEO, NOTES}), ("created_before:2024-01-01", {MOUSE}),
        ("modified_after:2024-06-01", {MOUSE, VIDEO, NOTES}), ("modified_before:2024-06-01", set()),
        ("published_after:2024-01-01", {MOUSE}), ("published_before:2030-01-01", {MOUSE}),
        ('"mus musculus"', {MOUSE}), ('"musculus mus"', set()), ('species:"mus mus"', {MOUSE}),
        ("human night", {VIDEO}), ('path:a/b" OR "x', set()), ("a\x00b", set()),
    ],
)  # fmt: skip
def test_a_query_finds_the_files_that_meet_all_of_its_conditions(
    query: str, found: set[int], index: sqlite3.Connection
) -> None:
    assert files(index, query) == found


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("hippocampus", {"000123"}), ("species:human", None), ("file_type:nwb", None), ("dandiset:000200", {"000200"}),
        ("name:sleep", {"000200"}), ("published_before:2030-01-01", {"000123"}),
        ("created_after:2024-01-01", {"000200"}),
    ],
)  # fmt: skip
def test_a_condition_about_dandisets_finds_them_and_one_about_files_none(
    query: str, found: set[str] | None, index: sqlite3.Connection
) -> None:
    assert dandisets(index, query) == found


@pytest.mark.parametrize(
    ("typed", "terms"),
    [
        (["a b"], [Term("a"), Term("b")]),
        (['"a b" c'], [Term("a b"), Term("c")]),
        (['"a b'], [Term("a b")]),
        (["species:mouse", "x"], [Term("mouse", "species"), Term("x")]),
        (["Sub:1 SES:2"], [Term("1", "subject"), Term("2", "session")]),
        (["species:mus musculus"], [Term("mus", "species"), Term("musculus")]),
        (["species:mus musculus", "x"], [Term("mus musculus", "species"), Term("x")]),
        (["species: mouse", "x"], [Term("mouse", "species"), Term("x")]),
        (["see: mouse", "x"], [Term("see:"), Term("mouse"), Term("x")]),
        (['species:"mus musculus" run', "x"], [Term("mus musculus", "species"), Term("run"), Term("x")]),
        (["species:", "x"], [Term("species:"), Term("x")]),
        (['"species:mouse"'], [Term("species:mouse")]),
        (['"" x " "'], [Term("x")]),
        (["1:2"], [Term("1:2")]),
        (["DANDI:000123@0.1/sub-1"], [Term("000123", "dandiset")]),
        (["created_after:20240131"], [Term("2024-01-31", "created_after")]),
        (["a\udc80b"], [Term("a?b")]),
    ],
)
def test_what_is_typed_is_read_as_conditions(typed: list[str], terms: list[Term]) -> None:
    assert parse_query(typed) == terms


def test_what_cannot_be_asked_names_what_can() -> None:
    for typed, words in (
        ("speces:mouse", """no search operator is called 'speces'; did you mean species:mouse? to search for it as """
         """text, write '"speces:mouse"' with both quotes"""),
        ("Keywrds:x", "did you mean keyword:x?"),
        ("zzz:x", f"the operators are {', '.join(OPERATORS)}; to search"),
        ("Owner:jane", "a mirror does not know the owners of Dandisets; contributor:jane finds people by name; to "
         """search for it as text, write '"Owner:jane"' with both quotes"""),
        ("created_after:soon", "created_after:soon is not a date; write it as created_after:2024-01-31"),
        (" ", "nothing to search for; give some words, or an operator, for example species:mouse"),
        ("x " * (MOST_TERMS + 1), f"a search takes at most {MOST_TERMS} words, not {MOST_TERMS + 1}; leave some out"),
    ):  # fmt: skip
        with pytest.raises(UsageError) as error:
            parse_query([typed])
        assert words in str(error.value), typed
    assert len(parse_query(["x " * MOST_TERMS])) == MOST_TERMS


def test_the_expression_of_a_word_is_a_phrase_whatever_is_in_it() -> None:
    assert Term('a"b\0c').match == '"a""b c"*'
    assert Term("a", "path").match == 'path : "a"*' and Term("a", "name").match == 'name : "a"*'
    assert Term("a", "dandiset").match == '"a"*'
