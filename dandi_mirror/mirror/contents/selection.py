"""Which files are wanted: by path, folder, glob, metadata, age, and within a budget.  Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase

from dandi_mirror.errors import UsageError
from dandi_mirror.repo.annex.content import Annexed

FIELDS = ("subject", "session", "species", "sex", "age", "approach", "technique", "variable", "dandiset")
"""What git-annex knows of a mirror's files (docs/format.md)."""
_SPECIAL = re.compile(r"[*?[]")

Where = Mapping[str, tuple[str, ...]]
"""Field → patterns, of which one must fit one of the file's values."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person asks for in one dataset."""

    paths: tuple[str, ...] = ()
    """Files, folders and globs from the top of the dataset; none: all."""
    where: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """See :func:`parse_where`."""
    most: int | None = None
    """Bytes that may come in this run."""
    newest: bool = False
    """Whether the newest come first, and so are those for which the budget is."""


def parse_where(texts: Iterable[str]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Conditions as they are typed: ``species:human sex:female session:*``, values with blanks in quotes.

    Patterns of the same field are alternatives; all fields must fit.

    Raises:
        UsageError: not such a text, or a field that no file has.
    """
    found: dict[str, tuple[str, ...]] = {}
    for text in texts:
        try:
            words = shlex.split(text)
        except ValueError:
            raise UsageError(f"--where {text!a}: a quote that is not closed") from None
        for word in words:
            field, colon, pattern = word.partition(":")
            if not colon or not pattern or field.lower() not in FIELDS:
                raise UsageError(f"--where {word!a}: write FIELD:VALUE with a field of {', '.join(FIELDS)}")
            found[field.lower()] = (*found.get(field.lower(), ()), pattern)
    return tuple(found.items())


def fits(where: Iterable[tuple[str, tuple[str, ...]]], fields: Iterable[tuple[str, str]]) -> bool:
    """Whether a file with these (field, value) pairs meets all conditions."""
    pairs = list(fields)
    return all(
        any(_is_like(pattern, value) for name, value in pairs if name == field for pattern in patterns)
        for field, patterns in where
    )


def _is_like(pattern: str, value: str) -> bool:
    """Whole words of a value, or all of it where the pattern has a ``*``; upper and lower case are one."""
    pattern, value = pattern.casefold(), value.casefold()
    if _SPECIAL.search(pattern):
        return fnmatchcase(value, pattern)
    return re.search(rf"(?<!\w){re.escape(pattern)}(?!\w)", value) is not None


def matching(paths: Iterable[str], asked: Iterable[str]) -> tuple[set[str], list[str]]:
    """Which paths are meant by files, folders and globs, and what of ``asked`` means none."""
    every = list(paths)
    there = set(every)
    chosen: set[str] = set()
    nothing = []
    for text in asked:
        plain = text.strip("/")
        if plain in {"", "."}:
            found = there
        elif plain in there:
            found = {plain}
        else:
            found = {path for path in every if path.startswith(plain + "/")}
            if not found and _SPECIAL.search(plain):
                found = {path for path in every if fnmatchcase(path, plain) or fnmatchcase(path, plain + "/*")}
        chosen |= found
        nothing += [] if found else [text]
    return chosen, nothing


def pick(files: Iterable[Annexed], times: Mapping[str, str], room: int | None) -> list[Annexed]:
    """Files of distinct keys that fit into ``room`` bytes together, the newest first (by ``times`` of their paths).

    One that is too large for what is left is passed over, and older ones after it may still fit.
    """
    chosen: dict[str, Annexed] = {}
    for file in sorted(files, key=lambda file: times.get(file.path, ""), reverse=True):
        if file.key in chosen or (room is not None and file.size > room):
            continue
        chosen[file.key] = file
        room = None if room is None else room - file.size
    return list(chosen.values())


def nearest(wanted: str, paths: Iterable[str]) -> str:
    """The file or folder that somebody may have meant who typed a path that is none; empty if none is near.

    A file of that name elsewhere, else what is spelt nearly so where the path goes wrong.
    """
    wanted, every = wanted.strip("/"), list(paths)
    name = wanted.rpartition("/")[2]
    if same := [path for path in every if path.rpartition("/")[2] == name]:
        return min(same, key=len)
    top, rest = "", wanted.split("/")
    while rest and any(path.startswith(f"{top}{rest[0]}/") for path in every):
        top, rest = f"{top}{rest[0]}/", rest[1:]
    there = {path[len(top) :].partition("/")[0] for path in every if path.startswith(top)}
    near = get_close_matches(rest[0], there, 1) if rest else []
    if not near:
        return ""
    further = "/".join([near[0], *rest[1:]])
    return next((top + found for found in (further, near[0]) if _is_there(top + found, every)), "")


def _is_there(place: str, paths: Iterable[str]) -> bool:
    return any(path == place or path.startswith(f"{place}/") for path in paths)
