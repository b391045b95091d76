"""The files of a version as a comparison sees them, and their totals.  Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from dandi_mirror.mirror.format.annex_metadata import session_of
from dandi_mirror.mirror.format.record_reader import Record, admit
from dandi_mirror.mirror.state.part_totals import Numbers, PartTotals
from dandi_mirror.mirror.zarr.gitmodules import ZarrModule
from dandi_mirror.zarr_checksum import counts_of

Zarrs = Mapping[str, ZarrModule]
"""The Zarrs of a version with their states, by path."""
NO_ZARRS: Zarrs = {}
_Name = TypeVar("_Name")


@dataclass(frozen=True, slots=True)
class ComparedFile:
    """An asset of a version that is compared."""

    path: str
    size: int
    """Bytes."""
    sha256: str
    subjects: tuple[str, ...]
    session: str
    """Empty if its path names no session."""
    line: bytes = field(repr=False)
    """Its record; empty if only the state of a Zarr is known."""
    zarr: str = ""
    """The id of a Zarr; empty for a file."""
    checksum: str = ""
    """Of a Zarr's state."""

    @property
    def digest(self) -> str:
        """What tells whether two files have the same content; empty if that is not known."""
        return self.sha256 or self.checksum

    @property
    def metadata(self) -> dict[str, object]:
        """Its metadata, as the archive gave it; empty if the record is not valid."""
        record = admit(self.line)
        return record.metadata if isinstance(record, Record) else {}


@dataclass(slots=True)
class VersionTotals:
    """Totals of a version; as counts, so that a change can be added to them."""

    files: int = 0
    size: int = 0
    """Bytes."""
    subjects: Counter[str] = field(default_factory=Counter)
    sessions: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Files by subject and session; without those that have no subject, as the video of a session has none."""
    refused: int = 0
    """Records that are not valid; the other totals do not include them."""
    names: tuple[int, int] | None = None
    """How many subjects and sessions there are, where ``subjects`` and ``sessions`` have only some of them."""

    @classmethod
    def of(cls, known: Numbers) -> VersionTotals:
        """Return the totals of a version of which only the numbers are known."""
        return cls(known.files, known.size, refused=known.refused, names=(known.subjects, known.sessions))

    def numbers(self) -> Numbers:
        """Return the numbers alone."""
        subjects, sessions = self.names or (len(self.subjects), len(self.sessions))
        return Numbers(self.files, self.size, self.refused, subjects, sessions)

    def plus(self, change: VersionTotals, held: VersionTotals) -> VersionTotals:
        """Return the totals after a change, where only the numbers are known before.

        ``held`` has what the version holds of the subjects and sessions that the change concerns.
        """
        subjects, sessions = held.subjects.copy(), held.sessions.copy()
        subjects.update(change.subjects)
        sessions.update(change.sessions)
        before = self.numbers()
        return VersionTotals(
            self.files + change.files, self.size + change.size, +subjects, +sessions, self.refused + change.refused,
            (before.subjects + len(+subjects) - len(held.subjects),
             before.sessions + len(+sessions) - len(held.sessions)),
        )  # fmt: skip

    def add(self, file: ComparedFile, times: int = 1) -> None:
        """Add a file, or remove it with ``times`` -1."""
        self.files += times
        self.size += times * file.size
        for subject in file.subjects:
            _count(self.subjects, subject, times)
        for subject in file.subjects if file.session else ():
            _count(self.sessions, (subject, file.session), times)

    def add_part(self, part: PartTotals, zarrs: Zarrs) -> None:
        """Add what a file of records holds; of a Zarr, the size of the state that ``zarrs`` has."""
        self.files += part.files
        self.size += part.size
        self.refused += part.refused
        self.subjects.update(part.subjects)
        for subject, session, files in part.sessions:
            if subject:  # what a release before remembered also has files without one
                self.sessions[subject, session] += files
        for path, size in part.zarrs:
            if module := zarrs.get(path):
                self.size += counts_of(module.checksum)[1] - size

    def add_names(self, part: PartTotals, wanted: VersionTotals) -> None:
        """Add the files of those subjects and sessions of a file of records that ``wanted`` has, too."""
        for subject in part.subjects.keys() & wanted.subjects.keys():
            self.subjects[subject] += part.subjects[subject]
        for subject, session, files in part.sessions if wanted.sessions else ():
            if (subject, session) in wanted.sessions:
                self.sessions[subject, session] += files

    def copy(self) -> VersionTotals:
        """Return a copy."""
        return replace(self, subjects=Counter(self.subjects), sessions=Counter(self.sessions))

    def facts(self) -> dict[str, int]:
        """Return the four totals by name."""
        known = self.numbers()
        return {"subjects": known.subjects, "sessions": known.sessions, "files": self.files, "bytes": self.size}


def _count(counts: Counter[_Name], name: _Name, times: int) -> None:
    """Add to a count; one that becomes 0 goes, because there may be a hundred thousand others to copy and compare."""
    counts[name] += times
    if not counts[name]:
        del counts[name]


def compared_file(record: Record, zarrs: Zarrs) -> ComparedFile:
    """Return the file of a record; a Zarr in the state that ``zarrs`` has, because its record may lag behind."""
    people = record.metadata.get("wasAttributedTo")
    named = (
        [person.get("identifier") for person in people if isinstance(person, dict)] if isinstance(people, list) else []
    )
    subjects = tuple(sorted({name for name in named if isinstance(name, str)}))
    file = ComparedFile(record.path, record.size, record.sha256, subjects, session_of(record.path), record.line)
    module = zarrs.get(record.path) if record.zarr else None
    return in_state(file, module) if module else file


def in_state(file: ComparedFile, module: ZarrModule) -> ComparedFile:
    """Return a Zarr in the state that a version has."""
    return replace(file, size=counts_of(module.checksum)[1], zarr=module.zarr_id, checksum=module.checksum)


def count(
    lines: Iterable[bytes], totals: VersionTotals, times: int = 1, *, zarrs: Zarrs = NO_ZARRS
) -> dict[str, ComparedFile]:
    """Add the files of records to ``totals``, or remove them with ``times`` -1; return these files by path."""
    files = {}
    for record in map(admit, lines):
        if isinstance(record, Record):
            file = compared_file(record, zarrs)
            totals.add(file, times)
            files[file.path] = file
        else:
            totals.refused += times
    return files


def part_totals(lines: Iterable[bytes]) -> PartTotals:
    """Return what a file of records holds."""
    totals, zarrs = VersionTotals(), list[tuple[str, int]]()
    for record in map(admit, lines):
        if isinstance(record, Record):
            totals.add(compared_file(record, NO_ZARRS))
            zarrs += [(record.path, record.size)] if record.zarr else []
        else:
            totals.refused += 1
    sessions = [(subject, session, files) for (subject, session), files in totals.sessions.items()]
    return PartTotals(totals.files, totals.size, totals.refused, dict(totals.subjects), sessions, zarrs)
