"""How many copies there are of a Dandiset's content, as the mirror knows."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from dandi_mirror.errors import MirrorError
from dandi_mirror.mirror.copies.leaving import NOTHING, Leaving, leaving
from dandi_mirror.mirror.copies.places import Knowledge, read_copies
from dandi_mirror.mirror.copies.repositories import MirrorRepository
from dandi_mirror.mirror.copies.table import Amount, CoverageRow, Place, tabulate
from dandi_mirror.mirror.copies.versions import commits_of, contents_of_versions, keys_of_versions
from dandi_mirror.mirror.copies.zarrs import copies_of_zarr, count_zarr, zarrs_of_versions
from dandi_mirror.mirror.state.layout import Mirror
from dandi_mirror.repo.annex.repository import AnnexRepository


@dataclass(frozen=True, slots=True)
class Coverage:
    """The copies of one Dandiset's content."""

    dandiset: str
    rows: tuple[CoverageRow, ...] = ()
    """One for each version, and one for all of them if there are several."""
    places: tuple[Place, ...] = ()
    leaving: Leaving = NOTHING
    """What is leaving the archive and is not here."""
    failure: str = ""
    """Why it could not be read; empty if it was."""
    exit_code: int = 0


def coverage(
    mirror: Mirror, dandisets: Iterable[str], siblings: Collection[str], prove_days: int
) -> Iterator[Coverage]:
    """The copies of each Dandiset's content; ``siblings`` are the names of the mirrors in the settings."""
    known = Knowledge.of(mirror, siblings, prove_days)
    for dandiset in dandisets:
        try:
            yield _coverage(known, dandiset)
        except MirrorError as error:
            yield Coverage(dandiset, failure=str(error), exit_code=error.exit_code)


def _coverage(known: Knowledge, dandiset: str) -> Coverage:
    found = read_copies(known, MirrorRepository(dandiset))
    contents = contents_of_versions(found.dataset, commits_of(found.dataset))
    rows = tabulate(keys_of_versions(contents), found.locations, found.places, found.archives)
    places, dataset = {place.name: place for place in found.places}, AnnexRepository(found.dataset.path)
    for zarr in zarrs_of_versions(dandiset, contents):
        copies = copies_of_zarr(known, dataset, zarr)
        counted: dict[frozenset[str], CoverageRow] = {}
        for row in rows:
            if checksums := zarr.checksums(row.version):
                if checksums not in counted:
                    counted[checksums] = count_zarr(zarr, checksums, copies, known.mirror.manifests)
                row.add(counted[checksums])
        for place in copies.places if copies else ():
            places.setdefault(place.name, place)
    for row in rows:
        row.places = {name: row.places.get(name, Amount()) for name in places}
    return Coverage(dandiset, tuple(rows), tuple(places.values()), leaving(known.mirror, dandiset, known.now))
