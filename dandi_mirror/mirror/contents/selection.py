"""Select files: by path, folder, glob, metadata and age, and within a size limit.  Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from dandi_mirror.errors import UsageError
from dandi_mirror.paths import folders_of
from dandi_mirror.repo.annex.content import AnnexedFile
from dandi_mirror.text import closest

FIELDS = ("subject", "session", "species", "sex", "age", "approach", "technique", "variable", "dandiset")
"""The metadata fields that git-annex has of a mirror's files (docs/format.md)."""
_SPECIAL = re.compile(r"[*?[]")


@dataclass(frozen=True, slots=True)
class FileSelection:
    """Which files of one dataset to select."""

    paths: tuple[str, ...] = ()
    """Files, folders and globs, relative to the top of the dataset; empty selects all files."""
    where: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Conditions on metadata; see :func:`parse_where`."""
    most: int | None = None
    """Most bytes to download in this run; None for no limit."""
    newest: bool = False
    """Whether to take the newest files first, so that the limit is spent on them."""


def parse_where(texts: Iterable[str]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Parse conditions such as ``species:human sex:female session:*``; quotes keep values with spaces together.

    Several patterns of one field are alternatives; a file must meet the conditions of all fields.

    Raises:
        UsageError: a text is not a condition, or names a field that files do not have.
    """
    found: dict[str, tuple[str, ...]] = {}
    for text in texts:
        try:
            words = shlex.split(text)
        except ValueError:
            raise UsageError(f"--where {text!a}: a quote is not closed") from None
        for word in words:
            field, colon, pattern = word.partition(":")
            if not colon or not pattern or field.lower() not in FIELDS:
                raise UsageError(f"--where {word!a}: write FIELD:VALUE, where FIELD is one of {', '.join(FIELDS)}")
            found[field.lower()] = (*found.get(field.lower(), ()), pattern)
    return tuple(found.items())


def meets(where: Iterable[tuple[str, tuple[str, ...]]], fields: Iterable[tuple[str, str]]) -> bool:
    """Whether a file with these (field, value) pairs meets all conditions."""
    pairs = list(fields)
    return all(
        any(_is_like(pattern, value) for name, value in pairs if name == field for pattern in patterns)
        for field, patterns in where
    )


def _is_like(pattern: str, value: str) -> bool:
    """Whether a pattern with a ``*`` matches the entire value, or plain text matches whole words; case is ignored."""
    pattern, value = pattern.casefold(), value.casefold()
    if _SPECIAL.search(pattern):
        return fnmatchcase(value, pattern)
    return re.search(rf"(?<!\w){re.escape(pattern)}(?!\w)", value) is not None


def select(paths: Iterable[str], patterns: Iterable[str]) -> tuple[set[str], list[str]]:
    """Return the paths that files, folders and globs select, and which of the ``patterns`` select nothing."""
    every = list(paths)
    there = set(every)
    chosen: set[str] = set()
    nothing = []
    for text in patterns:
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


def pick_within(files: Iterable[AnnexedFile], times: Mapping[str, str], room: int | None) -> list[AnnexedFile]:
    """Return files that fit into ``room`` bytes together, one for each key, the newest first by ``times`` (by path).

    A file that is too large for the rest of the room is left out; older files may still fit.
    """
    chosen: dict[str, AnnexedFile] = {}
    for file in sorted(files, key=lambda file: times.get(file.path, ""), reverse=True):
        if file.key in chosen or (room is not None and file.size > room):
            continue
        chosen[file.key] = file
        room = None if room is None else room - file.size
    return list(chosen.values())


def nearest(wanted: str, paths: Iterable[str]) -> str:
    """Suggest the file or folder that a mistyped path may mean; empty if nothing is similar.

    That is the same path with other capitals, else a file of the same name in another folder, else the most similar
    name where the path goes wrong.
    """
    wanted, every = wanted.strip("/"), list(paths)
    alike = (place for path in every for place in (path, *folders_of(path)) if place.lower() == wanted.lower())
    if found := next(alike, ""):
        return found
    name = wanted.rpartition("/")[2]
    if same := [path for path in every if path.rpartition("/")[2] == name]:
        return min(same, key=len)
    top, rest = "", wanted.split("/")
    while rest and any(path.startswith(f"{top}{rest[0]}/") for path in every):
        top, rest = f"{top}{rest[0]}/", rest[1:]
    there = {path[len(top) :].partition("/")[0] for path in every if path.startswith(top)}
    near = closest(rest[0], there) if rest else ""
    if not near:
        return ""
    further = "/".join([near, *rest[1:]])
    return next((top + found for found in (further, near) if _is_there(top + found, every)), "")


def _is_there(place: str, paths: Iterable[str]) -> bool:
    """Whether a path is a file or a folder."""
    return any(path == place or path.startswith(f"{place}/") for path in paths)
