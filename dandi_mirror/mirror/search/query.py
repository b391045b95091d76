"""What somebody types who searches: pure, from words and operators to conditions on the search index.

The archive's own operators mean here what they mean there, of the asset where its record says it and else of its
Dandiset.  What is typed never reaches SQLite as syntax.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from difflib import get_close_matches

from dandi_mirror.errors import UsageError
from dandi_mirror.mirror.search.index_rows import FIELDS

MOST_TERMS = 32
_OF_ASSET = ("path", *FIELDS)
_OF_DANDISET = ("name", "keyword", "contributor", "description")
_DATES = tuple(f"{what}_{side}" for what in ("created", "modified", "published") for side in ("after", "before"))
_TYPES = {"nwb": "application/x-nwb", "image": "image/", "text": "text/", "video": "video/"}
OPERATORS = (*_OF_ASSET, "file_type", "dandiset", *_OF_DANDISET, *_DATES)
_ALIASES = {"dandi": "dandiset", "keywords": "keyword", "ses": "session", "sub": "subject"}

_TERM = re.compile(r'(?:([A-Za-z][A-Za-z_]*):(?=\S))?(?:"([^"]*)(?:"|$)|(\S+))')
_WHOLE = re.compile(r'([A-Za-z][A-Za-z_]*):([^":]*)')


@dataclass(frozen=True, slots=True)
class Term:
    """One condition; all of them must hold."""

    text: str
    """What is looked for."""
    operator: str = ""
    """One of :data:`OPERATORS`, or empty: anywhere."""

    @property
    def match(self) -> str:
        """As full text wants it: one phrase, whose last word may go on."""
        phrase = '"' + self.text.replace('"', '""').replace("\0", " ") + '"*'
        return f"{self.operator} : {phrase}" if self.operator in (*_OF_ASSET, *_OF_DANDISET) else phrase

    @property
    def in_assets(self) -> bool:
        """Whether an asset's own words are looked at."""
        return self.operator == "" or self.operator in _OF_ASSET

    @property
    def in_dandisets(self) -> bool:
        """Whether a Dandiset's own words are looked at, which then count for all of its assets."""
        return self.operator == "" or self.operator in _OF_DANDISET

    def of_asset(self) -> tuple[str, list[str]]:
        """The condition on an asset, in SQL, and its values."""
        if self.operator == "file_type":
            prefix = _TYPES.get(self.text.lower(), self.text)
            return "lower(substr(asset.type, 1, ?)) = lower(?)", [str(len(prefix)), prefix]
        within, values = self.of_dandiset()
        whole = f"asset.dandiset IN (SELECT number FROM dandiset WHERE {within})" if within else ""
        own = "asset.number IN (SELECT rowid FROM words WHERE words MATCH ?)" if self.in_assets else ""
        both = [condition for condition in (own, whole) if condition]
        return f"({' OR '.join(both)})", [*([self.match] if own else []), *values]

    def of_dandiset(self) -> tuple[str, list[str]]:
        """The condition on a Dandiset, in SQL, and its values; empty if it can only hold of an asset."""
        if self.operator == "dandiset":
            return "dandiset.id = ?", [self.text]
        if self.operator in _DATES:
            what, _, side = self.operator.rpartition("_")
            sign = "dandiset.{} >= ?" if side == "after" else "dandiset.{0} < ? AND dandiset.{0} != ''"
            return sign.format(what), [self.text]
        if self.in_dandisets:
            return "dandiset.number IN (SELECT rowid FROM about WHERE about MATCH ?)", [self.match]
        return "", []


def parse(arguments: Iterable[str]) -> list[Term]:
    """The conditions in what was typed.

    ``"…"`` keeps words together, and keeps a colon from making an operator.  Of several arguments, one with blanks
    behind its operator was quoted for the shell, and is one condition; a single one may be a whole query.

    Raises:
        UsageError: an operator or its value that there is not; nothing to look for, or too much.
    """
    typed = [argument.encode(errors="replace").decode() for argument in arguments]
    terms = [term for argument in typed for term in _terms(argument, alone=len(typed) == 1)]
    if not terms:
        raise UsageError("nothing to search for; name words, or an operator as species:mouse")
    if len(terms) > MOST_TERMS:
        raise UsageError(f"{len(terms)} words are more than a search takes; name at most {MOST_TERMS}")
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
        return f"a mirror does not know who owns a Dandiset; contributor:{value} finds who is named in it; {as_text}"
    near = get_close_matches(typed.lower(), (*OPERATORS, *_ALIASES), 1, 0.6)
    hint = f"did you mean {_known(near[0])}:{value}?" if near else f"there are {', '.join(OPERATORS)}"
    return f"no search operator is called {typed!r}; {hint} {as_text}"


def _day(operator: str, value: str) -> str:
    try:
        return date.fromisoformat(value).isoformat()
    except ValueError:
        raise UsageError(f"{operator}:{value} names no day; write {operator}:2024-01-31") from None
