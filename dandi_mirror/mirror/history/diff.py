"""Compare the asset records of two versions: which subjects, sessions, files and metadata fields changed.  Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import orjson

from dandi_mirror.mirror.format.annex_metadata import session_of
from dandi_mirror.mirror.history.compared import NO_ZARRS, ComparedFile, VersionTotals, Zarrs, count, in_state

BOOKKEEPING = frozenset({
    "@context", "blobDateModified", "citation", "contentSize", "dateModified", "datePublished", "digest", "doi", "id",
    "identifier", "path", "publishedBy", "url", "version",
})  # fmt: skip
"""Top-level keys of an asset record that follow from its content, path or publication; they do not count as changes."""
SUMMARY = BOOKKEEPING | {"assetsSummary", "manifestLocation", "releaseNotes"}
"""The same for a Dandiset's own record."""
_MAKING = "Metadata generation"
"""What DANDI's client calls the activity that made a record: each has another id, and other times."""


@dataclass(frozen=True, slots=True)
class FieldChange:
    """A field of a record whose values changed; ``old`` or ``new`` is empty if the field was added or removed."""

    name: str
    """The keys from the top of the record, joined by dots; a list counts as its members."""
    old: tuple[str, ...]
    new: tuple[str, ...]

    def facts(self) -> dict[str, object]:
        """Return the change as the value of a JSON record."""
        return {"name": self.name, "old": list(self.old), "new": list(self.new)}


@dataclass(frozen=True, slots=True)
class Pair:
    """An asset before and after."""

    old: ComparedFile
    new: ComparedFile
    fields: tuple[FieldChange, ...] = ()
    """The metadata fields that changed, without :data:`BOOKKEEPING`."""


@dataclass(slots=True)
class Changes:
    """The differences between two versions."""

    added: list[ComparedFile] = field(default_factory=list)
    removed: list[ComparedFile] = field(default_factory=list)
    replaced: list[Pair] = field(default_factory=list)
    """Other content at the same path."""
    renamed: list[Pair] = field(default_factory=list)
    """The same content at another path."""
    edited: list[Pair] = field(default_factory=list)
    """The same content at the same path, with other metadata."""
    dandiset: tuple[FieldChange, ...] = ()
    """Fields of the Dandiset's own record that changed."""
    before: VersionTotals = field(default_factory=VersionTotals)
    after: VersionTotals = field(default_factory=VersionTotals)

    def counts(self) -> dict[str, int]:
        """Return the number of changed files by kind of change, without zeros."""
        kinds = ("added", "removed", "replaced", "renamed", "edited")
        return {kind: len(files) for kind in kinds if (files := getattr(self, kind))}

    def gained(self, what: str) -> list[str]:
        """Return the ``subjects`` or ``sessions`` that only the new version has."""
        return _only(getattr(self.after, what), getattr(self.before, what))

    def lost(self, what: str) -> list[str]:
        """Return the ``subjects`` or ``sessions`` that only the old version has."""
        return _only(getattr(self.before, what), getattr(self.after, what))

    def fields(self) -> dict[str, list[Pair]]:
        """Return the metadata fields that changed, each with the files concerned, the most frequent first."""
        found: dict[str, list[Pair]] = defaultdict(list)
        for pair in (*self.edited, *self.replaced, *self.renamed):
            for change in pair.fields:
                found[change.name].append(pair)
        return dict(sorted(found.items(), key=lambda item: (-len(item[1]), item[0])))

    def __bool__(self) -> bool:
        return bool(self.counts() or self.dandiset)


def compare_records(
    old: Iterable[bytes],
    new: Iterable[bytes],
    changes: Changes,
    zarrs: tuple[Zarrs, Zarrs] = (NO_ZARRS, NO_ZARRS),
) -> None:
    """Add the differences between two sets of records to ``changes``; :func:`pair_renamed` finds renames afterwards.

    ``changes.after`` must include the old records already; ``zarrs`` are those of both.
    """
    old_lines, new_lines = set(old), set(new)
    before = count(old_lines - new_lines, changes.after, -1, zarrs=zarrs[0])
    after = count(new_lines - old_lines, changes.after, zarrs=zarrs[1])
    changes.removed += [file for path, file in before.items() if path not in after]
    changes.added += [file for path, file in after.items() if path not in before]
    for path in sorted(before.keys() & after.keys()):
        pair = _pair(before[path], after[path])
        if pair.old.digest != pair.new.digest:
            changes.replaced.append(pair)
        elif pair.fields:
            changes.edited.append(pair)


def add_states(changes: Changes, old: Zarrs, new: Zarrs) -> None:
    """Add the Zarrs that have another state, while their records are the same: these may lag behind."""
    known = {pair.new.path for pair in changes.replaced} | {pair.new.path for pair in changes.edited}
    for path in sorted(old.keys() & new.keys() - known):
        if old[path] != new[path]:
            bare = ComparedFile(path, 0, "", (), session_of(path), b"")
            pair = Pair(in_state(bare, old[path]), in_state(bare, new[path]))
            changes.replaced.append(pair)
            changes.after.size += pair.new.size - pair.old.size


def pair_renamed(changes: Changes) -> None:
    """Turn removed and added files with the same content into renamed ones, and sort everything by path.

    Among several files with the same content, the same name pairs first, then the same folder.
    """
    gone: dict[tuple[str, int], list[ComparedFile]] = defaultdict(list)
    for file in sorted(changes.removed, key=_by_path):
        if file.digest:
            gone[file.digest, file.size].append(file)
    added = []
    for file in sorted(changes.added, key=_by_path):
        if candidates := gone.get((file.digest, file.size)):
            old = min(candidates, key=lambda other: _distance(other.path, file.path))
            candidates.remove(old)
            changes.renamed.append(_pair(old, file))
        else:
            added.append(file)
    paths = {pair.old.path for pair in changes.renamed}
    changes.added = added
    changes.removed = sorted((file for file in changes.removed if file.path not in paths), key=_by_path)
    changes.replaced.sort(key=lambda pair: pair.new.path)
    changes.edited.sort(key=lambda pair: pair.new.path)


def field_changes(
    old: Mapping[str, object], new: Mapping[str, object], besides: frozenset[str]
) -> tuple[FieldChange, ...]:
    """Return the fields in which two records differ; ``besides`` are top-level keys to leave out."""
    before, after = _leaves(old, besides), _leaves(new, besides)
    names = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    return tuple(FieldChange(name, tuple(before.get(name, ())), tuple(after.get(name, ()))) for name in names)


def _leaves(record: Mapping[str, object], besides: frozenset[str]) -> dict[str, list[str]]:
    """Return the values of a record by field, flattened."""
    found: dict[str, list[str]] = defaultdict(list)
    for key, value in record.items():
        if key == "wasGeneratedBy" and isinstance(value, list):
            value = [one for one in value if not (isinstance(one, dict) and one.get("name") == _MAKING)]
        if key not in besides:
            for name, leaf in _below(key, value):
                found[name].append(leaf)
    return found


def _below(name: str, value: object) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _below(f"{name}.{key}", inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _below(name, inner)
    elif value is not None:
        yield name, value if isinstance(value, str) else orjson.dumps(value).decode()


def _pair(old: ComparedFile, new: ComparedFile) -> Pair:
    return Pair(old, new, field_changes(old.metadata, new.metadata, BOOKKEEPING))


def _by_path(file: ComparedFile) -> str:
    return file.path


def _distance(old: str, new: str) -> tuple[bool, bool, str]:
    """Return how different two paths are, for the choice between candidates of a rename."""
    (old_folder, _, old_name), (folder, _, name) = old.rpartition("/"), new.rpartition("/")
    return old_name != name, old_folder != folder, old


def _only(these: Counter[object], those: Counter[object]) -> list[str]:
    names = sorted(these.keys() - those.keys(), key=str)
    return ["/".join(name) if isinstance(name, tuple) else str(name) for name in names]
