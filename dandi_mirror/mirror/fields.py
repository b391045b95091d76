"""git-annex metadata of an asset, so that ``git annex find --metadata`` and ``git annex view`` work."""

from __future__ import annotations

import re
from collections.abc import Iterator

LONGEST_VALUE = 200  # characters; longer ones are prose, not something to select by
MOST_VALUES = 64  # of one field

_SESSION = re.compile(r"(?:^|[_/])ses-([^_/.]+)")


def annex_fields(metadata: dict[str, object], path: str) -> tuple[tuple[str, str], ...]:
    """The (field, value) pairs of an asset's record, sorted and each once.

    ``subject``, ``species``, ``sex``, ``age`` from its participants, ``session`` from its path, ``approach``,
    ``technique`` and ``variable`` from what was measured.  What is not a short line of text is left out.
    """
    pairs: set[tuple[str, str]] = set()
    for participant in _objects(metadata.get("wasAttributedTo")):
        pairs |= _pair("subject", participant.get("identifier"))
        pairs |= _pair("species", _named(participant.get("species")))
        pairs |= _pair("sex", _named(participant.get("sex")))
        age = participant.get("age")
        pairs |= _pair("age", age.get("value") if isinstance(age, dict) else None)
    for field, source in (("approach", "approach"), ("technique", "measurementTechnique")):
        for item in _objects(metadata.get(source)):
            pairs |= _pair(field, item.get("name"))
    variables = metadata.get("variableMeasured")
    for item in variables if isinstance(variables, list) else []:
        pairs |= _pair("variable", item.get("value") if isinstance(item, dict) else item)
    session = _SESSION.search(path)
    if session:
        pairs |= _pair("session", session[1])
    return tuple(_at_most(sorted(pairs)))


def _objects(value: object) -> Iterator[dict[str, object]]:
    for item in value if isinstance(value, list) else []:
        if isinstance(item, dict):
            yield item


def _named(value: object) -> object:
    return value.get("name") if isinstance(value, dict) else None


def _pair(field: str, value: object) -> set[tuple[str, str]]:
    if not isinstance(value, str) or not value.strip() or len(value) > LONGEST_VALUE:
        return set()
    return {(field, value)} if value.isprintable() else set()


def _at_most(pairs: list[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    count = {field: 0 for field, _ in pairs}
    for field, value in pairs:
        count[field] += 1
        if count[field] <= MOST_VALUES:
            yield field, value
