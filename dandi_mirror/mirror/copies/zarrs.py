"""The Zarrs of a Dandiset, over all its versions: their keys, and how many copies there are of these.

Of most Zarrs nobody has content.  That is known without starting git, and then the manifest is not read, either.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from dandi_mirror.mirror.copies.places import HERE, Knowledge, RepositoryCopies, read_copies
from dandi_mirror.mirror.copies.repositories import MirrorRepository, installed_git_dir, present_keys
from dandi_mirror.mirror.copies.table import ALL_VERSIONS, Amount, CoverageRow, Place
from dandi_mirror.mirror.copies.versions import VersionContents, commits_of, contents_of_versions
from dandi_mirror.mirror.locate.zarr_mirrors import all_sources
from dandi_mirror.mirror.state.copies import KnownCopies
from dandi_mirror.mirror.state.layout import Mirror
from dandi_mirror.mirror.sync.permissions import set_zarr_permissions
from dandi_mirror.mirror.zarr.annex_logs import Sources, annexed
from dandi_mirror.mirror.zarr.manifests import Manifests
from dandi_mirror.mirror.zarr.repository import ZarrRepositories
from dandi_mirror.model import is_asset_id
from dandi_mirror.repo.annex.keys import size_of
from dandi_mirror.repo.annex.logs import WEB
from dandi_mirror.repo.annex.repository import AnnexRepository
from dandi_mirror.repo.git.dataset import TAGS, Dataset
from dandi_mirror.zarr_checksum import counts_of

_ARCHIVE = frozenset({WEB})


@dataclass(slots=True)
class ZarrOfVersions:
    """A Zarr, with the state that each version has."""

    repository: MirrorRepository
    path: str = ""
    """In the newest version that has it."""
    states: dict[str, str] = field(default_factory=dict)
    """Version → checksum, oldest version first."""

    @property
    def newest(self) -> str:
        """The state in the newest version that has the Zarr."""
        return next(reversed(self.states.values()))

    def checksums(self, version: str) -> frozenset[str]:
        """The states in a version, or in all of them."""
        return frozenset(state for name, state in self.states.items() if version in {name, ALL_VERSIONS})

    def entries(self, manifests: Manifests, checksums: Iterable[str]) -> Iterator[tuple[str, str]]:
        """The entries of states that git can have, as (path, key); each once.

        Raises:
            NotFoundError, BadManifest: a manifest is missing or damaged.
        """
        several, seen = list(checksums), set[tuple[str, str]]()
        for checksum in several:
            for _, key, entry in annexed(manifests.entries(self.repository.zarr_id, checksum)):
                if (entry.path, key) not in seen:
                    yield entry.path, key
                if len(several) > 1:
                    seen.add((entry.path, key))


def zarrs_of_versions(dandiset: str, contents: Mapping[str, VersionContents]) -> list[ZarrOfVersions]:
    """The Zarrs that any version has, by their ids; ``contents`` have the oldest version first."""
    found: dict[str, ZarrOfVersions] = {}
    for version, content in contents.items():
        for path, module in content.zarrs.items():
            zarr = found.setdefault(module.zarr_id, ZarrOfVersions(MirrorRepository(dandiset, module.zarr_id)))
            zarr.path = path
            zarr.states[version] = module.checksum
    return [found[zarr_id] for zarr_id in sorted(found)]


def zarrs_of_dataset(dandiset: str, dataset: Dataset) -> list[ZarrOfVersions]:
    """The Zarrs of a dataset.

    Raises:
        GitError, DamagedError: the dataset cannot be read.
    """
    return zarrs_of_versions(dandiset, contents_of_versions(dataset, commits_of(dataset)))


def claimed_repositories(
    mirror: Mirror, dandisets: Iterable[str], sibling: str, known: KnownCopies
) -> Iterator[MirrorRepository]:
    """The repositories of these Dandisets and of their Zarrs that another mirror is known to have."""
    names = {name for (who, name) in known.uuids if who == sibling}
    some_zarrs = any(map(is_asset_id, names))
    for dandiset in dandisets:
        if dandiset in names:
            yield MirrorRepository(dandiset)
        zarrs = zarrs_of_dataset(dandiset, mirror.dataset(dandiset)) if some_zarrs else ()
        yield from (zarr.repository for zarr in zarrs if zarr.repository.name in names)


def copies_of_zarr(known: Knowledge, dataset: AnnexRepository, zarr: ZarrOfVersions) -> RepositoryCopies | None:
    """What is known of copies of a Zarr; None if nobody but the archive has content of it.

    Content of the Zarr that is installed in the ``dataset`` is here, too.

    Raises:
        GitError, DamagedError: its repository cannot be read.
    """
    repository = zarr.repository
    installed = present_keys(installed_git_dir(dataset, zarr.path))
    if not repository.exists(known.mirror):
        return _installed_only(dataset, installed) if installed else None
    if not (installed or known.is_claimed(repository) or repository.has_content(known.mirror)):
        return None
    found = read_copies(known, repository)
    return _with_installed(found, installed) if installed else found


def _installed_only(dataset: AnnexRepository, keys: Collection[str]) -> RepositoryCopies:
    locations = {key: _ARCHIVE | {HERE} for key in keys}
    return RepositoryCopies(dataset.dataset, HERE, locations, (Place(HERE, HERE),), _ARCHIVE)


def _with_installed(found: RepositoryCopies, keys: Collection[str]) -> RepositoryCopies:
    uuid = found.uuid or HERE
    places = found.places if found.uuid else (Place(HERE, HERE), *found.places)
    here = {key: found.locations.get(key, _ARCHIVE) | {uuid} for key in keys}
    return replace(found, uuid=uuid, places=places, locations={**found.locations, **here})


def count_zarr(
    zarr: ZarrOfVersions, checksums: frozenset[str], copies: RepositoryCopies | None, manifests: Manifests
) -> CoverageRow:
    """Count the entries of some states of a Zarr.

    Raises:
        NotFoundError, BadManifest: a manifest is missing or damaged.
    """
    row = CoverageRow.empty("")
    row.zarrs = 1
    count, size = (sum(numbers) for numbers in zip(*map(counts_of, checksums), strict=True))
    if copies is None and len(checksums) == 1:
        for amount in (row.total, row.copies[0], row.archive):
            amount.add(size, count)
        return row
    places, archives = (copies.places, copies.archives) if copies else ((), _ARCHIVE)
    locations = copies.locations if copies else {}
    entries = zarr.entries(manifests, sorted(checksums))
    row.count(((size_of(key), locations.get(key, _ARCHIVE)) for _, key in entries), places, archives)
    if len(checksums) == 1:
        _count_refused(row, Amount(count - row.total.keys, size - row.total.size))
    return row


def _count_refused(row: CoverageRow, rest: Amount) -> None:
    """Count the entries that no repository can have; the archive has them."""
    for amount in (row.total, row.copies[0], row.archive):
        amount.add(rest.size, rest.keys)


class RepositoryWriter:
    """Writes the repositories of a Dandiset's Zarrs where they are needed: a sync writes those of small Zarrs only."""

    def __init__(self, mirror: Mirror, dataset: AnnexRepository, dandiset: str, hosts: frozenset[str]) -> None:
        """``hosts`` are those of the settings at which content may be."""
        self._mirror = mirror
        self._repositories = ZarrRepositories(mirror.path)
        self._where = (dataset, mirror, dandiset, hosts)
        self._sources: Callable[[str], Sources] | None = None

    def write(self, zarr: ZarrOfVersions) -> AnnexRepository:
        """The repository of a Zarr, with the states that versions have; it is not read by others under an embargo.

        Raises:
            NotFoundError, BadManifest: a manifest is missing or damaged.
            DiskError, GitError, IntegrityError, LockedError: it cannot be written.
        """
        zarr_id, repository = zarr.repository.zarr_id, zarr.repository
        there = repository.exists(self._mirror)
        dataset = self._repositories.dataset(zarr_id)
        if not there or not all(dataset.ref(TAGS + checksum) for checksum in zarr.states.values()):
            if self._sources is None:
                self._sources = all_sources(*self._where)
            sources = self._sources(zarr_id)
            self._repositories.write(zarr_id, zarr.newest, sources)
            set_zarr_permissions(self._mirror.path, zarr_id, closed=sources.embargoed)
        return repository.clone(self._mirror)
