"""Which metadata of a Zarr may be present while some of its chunks are missing; no input or output.

Who reads a Zarr takes a missing chunk for one that was never written, and gives the fill value without an error.  Where
an array's own metadata is missing, opening it fails.  So metadata that can open arrays *covers* all that is below its
folder: it may be present only if all of that is.  Chunks that a state does not list are fill values by right.

git-annex has one object for equal contents.  So metadata with equal bytes may be present only if everything that any of
them covers is.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

V3 = "zarr.json"
"""The metadata of an array or a group of format 3; only its content says which."""
ARRAY = ".zarray"
CONSOLIDATED = ".zmetadata"
_COVERING = frozenset({ARRAY, CONSOLIDATED, V3})


class ZarrNodeKind(Enum):
    """What the content of a ``zarr.json`` says."""

    ARRAY = "array"
    GROUP = "group"
    """It opens nothing below it, so it covers nothing."""
    CONSOLIDATED = "consolidated"
    """A group that has the metadata of all arrays below it."""


class KeyedEntry(NamedTuple):
    """An entry of a state, as its repository has it."""

    path: str
    key: str
    """The git-annex key."""


@dataclass(frozen=True, slots=True)
class Part:
    """A folder with metadata that covers what is below."""

    folder: str
    """Relative to the Zarr; empty for its top."""
    is_array: bool
    """False for a group with consolidated metadata."""
    chunks: int
    """Entries that are covered."""
    missing: int
    """How many of these are not here."""
    keys: tuple[str, ...]
    """Of the metadata that covers them."""


@dataclass(frozen=True, slots=True)
class Survey:
    """What a set of present keys means to somebody who opens the Zarr."""

    parts: tuple[Part, ...]
    """By folder."""
    held: Mapping[str, tuple[str, ...]]
    """The keys of metadata that must not be present; of each, the folders that are not whole."""
    covering: frozenset[str]
    """The keys of all metadata that cover something; they come last."""

    @property
    def arrays(self) -> list[Part]:
        """The arrays."""
        return [part for part in self.parts if part.is_array]


def node_kind(content: bytes) -> ZarrNodeKind:
    """What a ``zarr.json`` describes; what cannot be read as a group counts as an array, which covers all below it."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return ZarrNodeKind.ARRAY
    if not isinstance(found, dict) or found.get("node_type") != "group":
        return ZarrNodeKind.ARRAY
    return ZarrNodeKind.GROUP if found.get("consolidated_metadata") is None else ZarrNodeKind.CONSOLIDATED


def may_cover(path: str) -> bool:
    """Whether an entry can be metadata that opens an array."""
    return path.rpartition("/")[2] in _COVERING


def survey(
    members: Iterable[KeyedEntry],
    here: Callable[[str], bool],
    kinds: Mapping[str, ZarrNodeKind] | None = None,
    refused: int = 0,
) -> Survey:
    """Decide what may be present.

    Args:
        members: the entries of one state, in any order by which all of a folder stand together.
        here: whether the content of a key is present.
        kinds: what the contents of ``zarr.json`` say, by key; one that is not in it covers all below it.
        refused: entries of the state that are not among the members, as no repository can have them.
    """
    members, kinds = list(members), kinds or {}
    covering = frozenset(key for path, key in members if _covers(path, key, kinds))
    # content that is also some metadata comes last, so nothing can be whole before it
    walk = _Walk(covering, lambda key: key not in covering and here(key), kinds, refused)
    parts = tuple(sorted(walk.parts(members), key=lambda part: part.folder))
    held: dict[str, list[str]] = {}
    for part in parts:
        for key in part.keys if part.missing else ():
            held.setdefault(key, []).append(part.folder)
    return Survey(parts, {key: tuple(folders) for key, folders in held.items()}, covering)


def _covers(path: str, key: str, kinds: Mapping[str, ZarrNodeKind]) -> bool:
    return may_cover(path) and not (path.endswith(V3) and kinds.get(key) is ZarrNodeKind.GROUP)


@dataclass(slots=True)
class _Folder:
    """What was seen of a folder."""

    begin: str
    """Its path with a slash; empty for the top."""
    chunks: int = 0
    missing: int = 0
    names: dict[str, str] = field(default_factory=dict)
    """The keys of its covering metadata by name."""
    has_parts: bool = False


class _Walk:
    """One pass over the entries of a state."""

    def __init__(
        self, covering: frozenset[str], here: Callable[[str], bool], kinds: Mapping[str, ZarrNodeKind], refused: int
    ) -> None:
        self._covering = covering
        self._here = here
        self._kinds = kinds
        self._refused = refused
        self._open = [_Folder("")]

    def parts(self, members: Iterable[KeyedEntry]) -> Iterator[Part]:
        """Yield each folder with covering metadata, when all below it was seen."""
        for path, key in members:
            above = path[: path.rfind("/") + 1]
            yield from self._close(above)
            self._enter(above)
            folder = self._open[-1]
            if _covers(path, key, self._kinds):
                folder.names[path[len(above) :]] = key
            else:
                folder.chunks += 1
                folder.missing += not self._here(key)
        yield from self._close(None)

    def _enter(self, above: str) -> None:
        while (begin := self._open[-1].begin) != above:
            self._open.append(_Folder(above[: above.index("/", len(begin)) + 1]))

    def _close(self, above: str | None) -> Iterator[Part]:
        """Leave the folders that the next entry is not in."""
        while self._open and (above is None or not above.startswith(self._open[-1].begin)):
            folder = self._open.pop()
            if folder.names:
                yield self._part(folder)
            if self._open:
                parent = self._open[-1]
                parent.chunks += folder.chunks
                parent.missing += folder.missing
                parent.has_parts |= folder.has_parts or bool(folder.names)

    def _part(self, folder: _Folder) -> Part:
        is_array = ARRAY in folder.names or (V3 in folder.names and self._is_array(folder))
        # an entry that was refused may belong to an array that consolidated metadata name
        refused = 0 if is_array and folder.begin else self._refused
        missing = folder.missing + refused
        return Part(folder.begin[:-1], is_array, folder.chunks + refused, missing, tuple(folder.names.values()))

    def _is_array(self, folder: _Folder) -> bool:
        kind = self._kinds.get(folder.names[V3])
        return not folder.has_parts if kind is None else kind is ZarrNodeKind.ARRAY
