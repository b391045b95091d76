"""What changed between two versions, as people count it: pure, from asset records to subjects, sessions and files."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import orjson

from dandi_mirror.mirror.format.annex_metadata import session_of
from dandi_mirror.mirror.format.record_reader import Record, admit

BOOKKEEPING = frozenset({
    "@context", "blobDateModified", "citation", "contentSize", "dateModified", "datePublished", "digest", "doi", "id",
    "identifier", "path", "publishedBy", "url", "version",
})  # fmt: skip
"""Keys at the top of a record that follow from its content, its place or its publication: no change of their own."""
SUMMARY = BOOKKEEPING | {"assetsSummary", "manifestLocation", "releaseNotes"}
"""The same of a Dandiset's own record."""


@dataclass(frozen=True, slots=True)
class File:
    """An asset, as far as versions are compared."""

    path: str
    size: int
    """Bytes."""
    sha256: str
    subjects: tuple[str, ...]
    session: str
    """Empty if its path names none."""
    line: bytes = field(repr=False)
    """Its record."""

    @property
    def metadata(self) -> dict[str, object]:
        """What the archive says of it."""
        record = admit(self.line)
        return record.metadata if isinstance(record, Record) else {}


@dataclass(slots=True)
class Totals:
    """What a version holds; counts, so that a change can be added to them."""

    files: int = 0
    size: int = 0
    """Bytes."""
    subjects: Counter[str] = field(default_factory=Counter)
    sessions: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By subject and session."""
    refused: int = 0
    """Records that cannot be used; they count in nothing else."""

    def add(self, file: File, times: int = 1) -> None:
        """Count a file, or with -1 count it no more."""
        self.files += times
        self.size += times * file.size
        for subject in file.subjects:
            self.subjects[subject] += times
        if file.session:
            for subject in file.subjects or ("",):
                self.sessions[subject, file.session] += times

    def copy(self) -> Totals:
        """The same, to be changed by itself; without what is counted no more."""
        return Totals(self.files, self.size, +self.subjects, +self.sessions, self.refused)

    def facts(self) -> dict[str, int]:
        """The four numbers by their names."""
        subjects, sessions = len(+self.subjects), len(+self.sessions)
        return {"subjects": subjects, "sessions": sessions, "files": self.files, "bytes": self.size}


@dataclass(frozen=True, slots=True)
class FieldChange:
    """A field of a record whose values changed; ``old`` or ``new`` is empty where it came or went."""

    name: str
    """Keys from the top of the record, with dots; lists count as their members."""
    old: tuple[str, ...]
    new: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Pair:
    """An asset before and after."""

    old: File
    new: File
    fields: tuple[FieldChange, ...] = ()
    """What changed of its metadata, but for bookkeeping."""


@dataclass(slots=True)
class Changes:
    """What leads from one version to another."""

    added: list[File] = field(default_factory=list)
    removed: list[File] = field(default_factory=list)
    replaced: list[Pair] = field(default_factory=list)
    """Other content at the same path."""
    renamed: list[Pair] = field(default_factory=list)
    """The same content at another path."""
    edited: list[Pair] = field(default_factory=list)
    """The same content at the same path, with other metadata."""
    dandiset: tuple[FieldChange, ...] = ()
    """Of the Dandiset's own record."""
    before: Totals = field(default_factory=Totals)
    after: Totals = field(default_factory=Totals)

    def counts(self) -> dict[str, int]:
        """How many files changed, by what became of them; those of which there are some."""
        kinds = ("added", "removed", "replaced", "renamed", "edited")
        return {kind: len(files) for kind in kinds if (files := getattr(self, kind))}

    def come(self, what: str) -> list[str]:
        """The ``subjects`` or ``sessions`` that only the new version has."""
        return _only(getattr(self.after, what), getattr(self.before, what))

    def gone(self, what: str) -> list[str]:
        """The ``subjects`` or ``sessions`` that only the old version has."""
        return _only(getattr(self.before, what), getattr(self.after, what))

    def fields(self) -> dict[str, list[Pair]]:
        """The metadata fields that changed, each with the files that it changed in, the commonest first."""
        found: dict[str, list[Pair]] = defaultdict(list)
        for pair in (*self.edited, *self.replaced, *self.renamed):
            for change in pair.fields:
                found[change.name].append(pair)
        return dict(sorted(found.items(), key=lambda item: (-len(item[1]), item[0])))

    def __bool__(self) -> bool:
        return bool(self.counts() or self.dandiset)


def file_of(record: Record) -> File:
    """The file that a record is of."""
    people = record.metadata.get("wasAttributedTo")
    named = (
        [person.get("identifier") for person in people if isinstance(person, dict)] if isinstance(people, list) else []
    )
    subjects = tuple(sorted({name for name in named if isinstance(name, str)}))
    return File(record.path, record.size, record.sha256, subjects, session_of(record.path), record.line)


def count(lines: Iterable[bytes], totals: Totals, times: int = 1) -> dict[str, File]:
    """The files that records are of, by path, added to ``totals``; or with -1 taken off."""
    files = {}
    for record in map(admit, lines):
        if isinstance(record, Record):
            file = file_of(record)
            totals.add(file, times)
            files[file.path] = file
        else:
            totals.refused += times
    return files


def compare(old: Iterable[bytes], new: Iterable[bytes], changes: Changes) -> None:
    """Add what two sets of records differ in to ``changes``; renames are found by :func:`pair_renamed` at the end.

    ``after`` must count the old records already.
    """
    old_lines, new_lines = set(old), set(new)
    before = count(old_lines - new_lines, changes.after, -1)
    after = count(new_lines - old_lines, changes.after)
    changes.removed += [file for path, file in before.items() if path not in after]
    changes.added += [file for path, file in after.items() if path not in before]
    for path in sorted(before.keys() & after.keys()):
        pair = _pair(before[path], after[path])
        if pair.old.sha256 != pair.new.sha256:
            changes.replaced.append(pair)
        elif pair.fields:
            changes.edited.append(pair)


def pair_renamed(changes: Changes) -> None:
    """Take what was only renamed from what was added and removed, and sort all by path.

    Of several files with the same content, those with the same name belong together, then those in the same folder.
    """
    gone: dict[tuple[str, int], list[File]] = defaultdict(list)
    for file in sorted(changes.removed, key=_by_path):
        if file.sha256:
            gone[file.sha256, file.size].append(file)
    added = []
    for file in sorted(changes.added, key=_by_path):
        if candidates := gone.get((file.sha256, file.size)):
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
    """The fields in which two records differ, ``besides`` some keys at their top."""
    before, after = _leaves(old, besides), _leaves(new, besides)
    names = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    return tuple(FieldChange(name, tuple(before.get(name, ())), tuple(after.get(name, ()))) for name in names)


def _leaves(record: Mapping[str, object], besides: frozenset[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for key, value in record.items():
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


def _pair(old: File, new: File) -> Pair:
    return Pair(old, new, field_changes(old.metadata, new.metadata, BOOKKEEPING))


def _by_path(file: File) -> str:
    return file.path


def _distance(old: str, new: str) -> tuple[bool, bool, str]:
    (old_folder, _, old_name), (folder, _, name) = old.rpartition("/"), new.rpartition("/")
    return old_name != name, old_folder != folder, old


def _only(these: Counter[object], those: Counter[object]) -> list[str]:
    names = sorted((+these).keys() - (+those).keys(), key=str)
    return ["/".join(name) if isinstance(name, tuple) else str(name) for name in names]
