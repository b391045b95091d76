"""Parse a search query: from words and operators to conditions on the search index.  Pure.

The archive's operators mean the same here as there.  They apply to the asset's record if it has the field, else to its
Dandiset.  What the user types never becomes part of an SQL statement.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from difflib import get_close_matches

from dandi_mirror.errors import UsageError
from dandi_mirror.mirror.search.columns import FIELDS, ZARR

MOST_TERMS = 32
_OF_ASSET = ("path", *FIELDS)
_OF_DANDISET = ("name", "keyword", "contributor", "description")
_DATES = tuple(f"{what}_{side}" for what in ("created", "modified", "published") for side in ("after", "before"))
_TYPES = {"nwb": "application/x-nwb", "image": "image/", "text": "text/", "video": "video/", "zarr": ZARR}
OPERATORS = (*_OF_ASSET, "file_type", "dandiset", *_OF_DANDISET, *_DATES)
_ALIASES = {"dandi": "dandiset", "keywords": "keyword", "ses": "session", "sub": "subject"}

_TERM = re.compile(r'(?:([A-Za-z][A-Za-z_]*):(?=\S))?(?:"([^"]*)(?:"|$)|(\S+))')
_WHOLE = re.compile(r'([A-Za-z][A-Za-z_]*):([^":]*)')


@dataclass(frozen=True, slots=True)
class Term:
    """One condition of a query; a result meets all of them."""

    text: str
    """The text to look for."""
    operator: str = ""
    """One of :data:`OPERATORS`; empty looks in all fields."""

    @property
    def match(self) -> str:
        """The expression for SQLite's full-text search: one phrase, whose last word may be a beginning."""
        phrase = '"' + self.text.replace('"', '""').replace("\0", " ") + '"*'
        return f"{self.operator} : {phrase}" if self.operator in (*_OF_ASSET, *_OF_DANDISET) else phrase

    @property
    def in_assets(self) -> bool:
        """Whether the condition applies to an asset's own words."""
        return self.operator == "" or self.operator in _OF_ASSET

    @property
    def in_dandisets(self) -> bool:
        """Whether the condition applies to a Dandiset's own words, and so to all its assets."""
        return self.operator == "" or self.operator in _OF_DANDISET

    def of_asset(self) -> tuple[str, list[str]]:
        """Return the condition on an asset in SQL, and its values."""
        if self.operator == "file_type":
            prefix = _TYPES.get(self.text.lower(), self.text)
            return "lower(substr(asset.type, 1, ?)) = lower(?)", [str(len(prefix)), prefix]
        within, values = self.of_dandiset()
        whole = f"asset.dandiset IN (SELECT number FROM dandiset WHERE {within})" if within else ""
        own = "asset.number IN (SELECT rowid FROM words WHERE words MATCH ?)" if self.in_assets else ""
        both = [condition for condition in (own, whole) if condition]
        return f"({' OR '.join(both)})", [*([self.match] if own else []), *values]

    def of_dandiset(self) -> tuple[str, list[str]]:
        """Return the condition on a Dandiset in SQL, and its values; empty if it applies only to assets."""
        if self.operator == "dandiset":
            return "dandiset.id = ?", [self.text]
        if self.operator in _DATES:
            what, _, side = self.operator.rpartition("_")
            sign = "dandiset.{} >= ?" if side == "after" else "dandiset.{0} < ? AND dandiset.{0} != ''"
            return sign.format(what), [self.text]
        if self.in_dandisets:
            return "dandiset.number IN (SELECT rowid FROM about WHERE about MATCH ?)", [self.match]
        return "", []


def parse_query(arguments: Iterable[str]) -> list[Term]:
    """Parse the arguments of a search into conditions.

    Double quotes keep words together, and keep a colon from making an operator.  Among several arguments, one with
    spaces after its operator was quoted for the shell and is one condition; a single argument may be a whole query.

    Raises:
        UsageError: there is no such operator or its value is not valid; there are no words, or too many.
    """
    typed = [argument.encode(errors="replace").decode() for argument in arguments]
    terms = [term for argument in typed for term in _terms(argument, alone=len(typed) == 1)]
    if not terms:
        raise UsageError("nothing to search for; give some words, or an operator, for example species:mouse")
    if len(terms) > MOST_TERMS:
        raise UsageError(f"a search takes at most {MOST_TERMS} words, not {len(terms)}; leave some out")
    return terms


def _terms(text: str, *, alone: bool) -> Iterator[Term]:
    whole = None if alone else _WHOLE.fullmatch(text)
    if whole and whole[2].strip() and _known(whole[1]):
        yield _term(whole[1], whole[2])
        return
    for found in _TERM.finditer(text):
        word = found[2] if found[2] is not None else found[3]
        if word.strip():
            yield _term(found[1] or "", word)


def _known(operator: str) -> str:
    name = operator.lower()
    name = _ALIASES.get(name, name)
    return name if name in OPERATORS else ""


def _term(typed: str, value: str) -> Term:
    value = value.strip()
    if not typed:
        return Term(value)
    name = _known(typed)
    if not name:
        raise UsageError(_unknown(typed, value))
    if name in _DATES:
        return Term(_day(name, value), name)
    if name == "dandiset":
        return Term(value.partition("@")[0].partition("/")[0], name)
    return Term(value, name)


def _unknown(typed: str, value: str) -> str:
    as_text = f"""to search for it as text, write '"{typed}:{value}"' with both quotes"""
    if typed.lower() == "owner":
        return f"a mirror does not know the owners of Dandisets; contributor:{value} finds people by name; {as_text}"
    near = get_close_matches(typed.lower(), (*OPERATORS, *_ALIASES), 1, 0.6)
    hint = f"did you mean {_known(near[0])}:{value}?" if near else f"the operators are {', '.join(OPERATORS)};"
    return f"no search operator is called {typed!r}; {hint} {as_text}"


def _day(operator: str, value: str) -> str:
    try:
        return date.fromisoformat(value).isoformat()
    except ValueError:
        raise UsageError(f"{operator}:{value} is not a date; write it as {operator}:2024-01-31") from None
