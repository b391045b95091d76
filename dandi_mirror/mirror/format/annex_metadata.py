"""git-annex metadata of an asset, so that ``git annex find --metadata`` and ``git annex view`` work."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

LONGEST_VALUE = 200  # characters; longer values are prose, by which nobody selects files
MOST_VALUES = 64  # of one field

_SESSION = re.compile(r"(?:^|[_/])ses-([^_/.]+)")


def annex_fields(metadata: dict[str, object], path: str) -> tuple[tuple[str, str], ...]:
    """The (field, value) pairs of an asset's record, each once.

    ``subject``, ``species``, ``sex``, ``age`` from its participants, ``session`` from its path, ``approach``,
    ``technique`` and ``variable`` from its measurements.  Only short lines of text are taken.
    """
    named = _named_values(metadata, path)
    pairs = {
        pair: None for field, value in named if isinstance(value, str) and (pair := _selectable(field, value))
    }  # in the record's order
    return tuple(pairs if len(pairs) <= MOST_VALUES else _at_most(sorted(pairs)))


def _named_values(metadata: dict[str, object], path: str) -> list[tuple[str, object]]:
    values: list[tuple[str, object]] = []
    for participant in _objects(metadata.get("wasAttributedTo")):
        values += [
            ("subject", participant.get("identifier")),
            ("species", _inner(participant.get("species"), "name")),
            ("sex", _inner(participant.get("sex"), "name")),
            ("age", _inner(participant.get("age"), "value")),
        ]
    values += [("approach", approach.get("name")) for approach in _objects(metadata.get("approach"))]
    values += [("technique", technique.get("name")) for technique in _objects(metadata.get("measurementTechnique"))]
    variables = metadata.get("variableMeasured")
    for variable in variables if isinstance(variables, list) else ():
        values.append(("variable", variable.get("value") if isinstance(variable, dict) else variable))
    if session := session_of(path):
        values.append(("session", session))
    return values


def session_of(path: str) -> str:
    """The session in a path, from ``ses-…`` in one of its parts; empty if there is none."""
    found = _SESSION.search(path)
    return found[1] if found else ""


def _objects(value: object) -> list[dict[str, object]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _inner(value: object, name: str) -> object:
    return value.get(name) if isinstance(value, dict) else None


@lru_cache(maxsize=1 << 16)
def shared_pair(field: str, value: str) -> tuple[str, str]:
    """The pair, as one object for equal values: thousands of assets share most of them."""
    return field, value


@lru_cache(maxsize=1 << 16)
def _selectable(field: str, value: str) -> tuple[str, str] | None:
    """The pair, if its value is a short line of text."""
    short = len(value) <= LONGEST_VALUE and value.isprintable() and not value.isspace() and value != ""
    return shared_pair(field, value) if short else None


def _at_most(pairs: list[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    count = {field: 0 for field, _ in pairs}
    for field, value in pairs:
        count[field] += 1
        if count[field] <= MOST_VALUES:
            yield field, value
