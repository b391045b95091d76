"""How many copies there are of the content of each version, and where.  Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from dandi_mirror.repo.annex.keys import size_of

MOST = 3
"""This many copies and more are one column."""
ALL_VERSIONS = "all"
"""In place of a version: all versions together, in which each key counts once."""


@dataclass(frozen=True, slots=True)
class Place:
    """A repository that may hold copies."""

    name: str
    """``here``, or the name of a sibling in the settings."""
    uuid: str
    proved: float | None = None
    """When a challenge last proved that it has what it claims, in seconds since 1970; None: never."""
    counts: bool = True
    """Whether what it claims counts as a copy."""
    why_not: str = ""
    """Why it does not count."""


@dataclass(slots=True)
class Amount:
    """Some content."""

    keys: int = 0
    size: int = 0
    """Bytes."""

    def add(self, size: int, keys: int = 1) -> None:
        """Count one more key, or more."""
        self.keys += keys
        self.size += size


@dataclass(slots=True)
class CoverageRow:
    """The copies of one version's content."""

    version: str
    total: Amount = field(default_factory=Amount)
    copies: tuple[Amount, ...] = ()
    """What has 0, 1, 2, and 3 or more copies."""
    archive: Amount = field(default_factory=Amount)
    """What the archive has: it is no copy."""
    places: dict[str, Amount] = field(default_factory=dict)
    """What each place has, by its name; also of places that do not count."""
    elsewhere: Amount = field(default_factory=Amount)
    """What only repositories have that are no siblings: it does not count."""
    zarrs: int = 0
    """How many Zarrs of the version are counted here, with each of their entries as a key."""

    @classmethod
    def empty(cls, version: str) -> CoverageRow:
        """A row in which nothing is counted yet."""
        return cls(version, copies=tuple(Amount() for _ in range(MOST + 1)))

    def count(
        self, content: Iterable[tuple[int, frozenset[str]]], places: Collection[Place], archives: frozenset[str]
    ) -> None:
        """Count content: of each the bytes, and the UUIDs that have it, as recorded."""
        known = {place.uuid for place in places}
        for place in places:
            self.places.setdefault(place.name, Amount())
        for size, holders in content:
            self.total.add(size)
            self.copies[min(MOST, copies_of(holders, places))].add(size)
            if holders & archives:
                self.archive.add(size)
            for place in places:
                if place.uuid in holders:
                    self.places[place.name].add(size)
            if not holders & known and holders - archives:
                self.elsewhere.add(size)

    def add(self, other: CoverageRow) -> None:
        """Count what another row has counted, too."""
        for name, amount in other.places.items():
            self.places.setdefault(name, Amount()).add(amount.size, amount.keys)
        for mine, more in zip(self._amounts(), other._amounts(), strict=True):
            mine.add(more.size, more.keys)
        self.zarrs += other.zarrs

    def _amounts(self) -> tuple[Amount, ...]:
        return (self.total, *self.copies, self.archive, self.elsewhere)


def tabulate(
    versions: Mapping[str, Collection[str]],
    locations: Mapping[str, frozenset[str]],
    places: Collection[Place],
    archives: Collection[str],
) -> list[CoverageRow]:
    """Count the copies of each version's keys, and of all versions together.

    ``versions``: version → keys.  ``locations``: key → UUIDs that have its content, as recorded.  ``places`` are the
    repositories that are known, and ``archives`` the UUIDs of the remotes that ask the archive.
    """
    every = {key for keys in versions.values() for key in keys}
    rows = {**versions, ALL_VERSIONS: every} if len(versions) != 1 else versions
    return [_row(version, keys, locations, places, frozenset(archives)) for version, keys in rows.items()]


def copies_of(holders: frozenset[str], places: Collection[Place]) -> int:
    """How many copies count of a key that the repositories ``holders`` have."""
    return sum(place.counts and place.uuid in holders for place in places)


def _row(
    version: str,
    keys: Collection[str],
    locations: Mapping[str, frozenset[str]],
    places: Collection[Place],
    archives: frozenset[str],
) -> CoverageRow:
    row = CoverageRow.empty(version)
    row.count(((size_of(key), locations.get(key, frozenset())) for key in set(keys)), places, archives)
    return row
