"""Hold the Zarrs of a mirror's Dandisets: each whole or not at all, with the metadata of arrays last.

A part of a Zarr is of little use to anybody, and most Zarrs are many small files.  So the planner sees two things of a
Zarr: what is here of it, and what is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial

from dandi_mirror.archive.content.single import ByteCounter
from dandi_mirror.archive.content.sources import TransferSettings
from dandi_mirror.mirror.contents.selection import meets
from dandi_mirror.mirror.copies.claims import add_wanted
from dandi_mirror.mirror.copies.places import Knowledge, RepositoryCopies, read_copies
from dandi_mirror.mirror.copies.planner import HoldKey
from dandi_mirror.mirror.copies.repositories import present_keys
from dandi_mirror.mirror.copies.shares import WANTED, HoldResult, ToHold, Where, fetched
from dandi_mirror.mirror.copies.table import ALL_VERSIONS, copies_of
from dandi_mirror.mirror.copies.zarrs import ZarrOfVersions
from dandi_mirror.mirror.fetch.get_plan import GetPlan
from dandi_mirror.mirror.fetch.zarr_get import ZarrClone, get_zarr
from dandi_mirror.mirror.format.annex_metadata import annex_fields
from dandi_mirror.mirror.format.record_reader import Record, records_at
from dandi_mirror.mirror.zarr.arrays import may_cover
from dandi_mirror.model import DRAFT
from dandi_mirror.repo.annex.keys import size_of
from dandi_mirror.repo.annex.locations import read_numcopies, wanted_expression
from dandi_mirror.repo.annex.logs import WEB
from dandi_mirror.repo.annex.repository import AnnexRepository, Tracked
from dandi_mirror.repo.git.dataset import ANNEX, TAGS, Dataset
from dandi_mirror.repo.git.process import git
from dandi_mirror.zarr_checksum import counts_of

WriteZarr = Callable[[ZarrOfVersions], AnnexRepository]
"""Writes the repository of a Zarr if need be."""
_HERE = "here"
_MISSING = "missing"


def zarrs_that_meet(where: Where, dataset: Dataset, commits: Mapping[str, str]) -> set[str]:
    """The paths of Zarrs whose records meet conditions, in the newest version that has them."""
    found: dict[str, bool] = {}
    for commit in commits.values():
        records = (record for record in records_at(dataset, commit) if isinstance(record, Record) and record.zarr)
        for record in records:
            found[record.path] = meets(where, set(annex_fields(record.metadata, record.path)))
    return {path for path, fits in found.items() if fits}


def zarr_to_hold(
    known: Knowledge, dataset: ToHold, zarr: ZarrOfVersions, years: Mapping[str, int], *, fetchable: bool
) -> ToHold:
    """What the planner has to know of a Zarr; ``fetchable``: whether the conditions of the user let it be fetched.

    Raises:
        GitError, DamagedError, NotFoundError, BadManifest: its repository or a manifest cannot be read.
    """
    repository, key = zarr.repository, partial(_key, zarr, years)
    clone = repository.clone(known.mirror)
    if not (repository.exists(known.mirror) and (known.is_claimed(repository) or repository.has_content(known.mirror))):
        counts = [counts_of(checksum) for checksum in zarr.checksums(ALL_VERSIONS)]
        count, size = sum(count for count, _ in counts), sum(size for _, size in counts)
        nobody = RepositoryCopies(clone.dataset, "", {}, (), frozenset({WEB}))
        unit = key(_MISSING, size, 0, available=fetchable, count=count)
        return ToHold(repository, clone, nobody, {}, (unit,), dataset.numcopies, "", zarr)
    clone.prepare()
    copies, branch = read_copies(known, repository), clone.dataset.ref(ANNEX)
    wanted = wanted_expression(clone.dataset, branch, clone.uuid)
    every = {name for _, name in zarr.entries(known.mirror.manifests, zarr.checksums(ALL_VERSIONS))}
    here = present_keys(clone.git_dir)
    missing = frozenset(every - here.keys())
    if wanted not in {"", WANTED}:
        missing &= wanted_keys(clone, [TAGS + checksum for checksum in zarr.checksums(ALL_VERSIONS)])
    units = []
    if here:
        units.append(key(_HERE, sum(here.values()), _fewest(copies, here), available=False, count=len(here)))
    if missing:
        sources = copies.archives | {place.uuid for place in copies.elsewhere}
        available = fetchable and any(copies.locations.get(name, frozenset()) & sources for name in missing)
        size = sum(map(size_of, missing))
        units.append(key(_MISSING, size, _fewest(copies, missing), available=available, count=len(missing)))
    numcopies = max(dataset.numcopies, read_numcopies(clone.dataset, branch))
    return ToHold(repository, clone, copies, {}, tuple(units), numcopies, wanted, zarr, missing)


def _key(
    zarr: ZarrOfVersions, years: Mapping[str, int], name: str, size: int, elsewhere: int, *, available: bool, count: int
) -> HoldKey:
    """The content of a Zarr that is here, or that is missing: the planner takes either as one file."""
    version = next(iter(zarr.states))
    return HoldKey(
        f"{zarr.repository.name}/{name}", size, name == _HERE, elsewhere, years.get(version, 9999), version != DRAFT,
        available, count, is_zarr=True,
    )  # fmt: skip


def _fewest(copies: RepositoryCopies, keys: Iterable[str]) -> int:
    """How many copies elsewhere there are of each of some keys at least."""
    holders = {copies.locations.get(key, frozenset()) for key in keys}
    return min(copies_of(those, copies.elsewhere) for those in holders)


def wanted_keys(clone: AnnexRepository, commits: Iterable[str]) -> set[str]:
    """The keys of commits that git-annex wants here, by the expression that a person has set."""
    asked = ("annex", "find", "--want-get", "--not", "--in=here", "--format=${key}\\n")
    listed = [git(clone.path, *asked, f"--branch={commit}") for commit in commits]
    return {line for text in listed for line in text.decode(errors="replace").splitlines()}


def keys_of_zarr_here(held: ToHold) -> list[str]:
    """The keys of a Zarr that are here: first the metadata of arrays, so that no array opens that is not whole."""
    assert held.zarr
    here, first = present_keys(held.clone.git_dir), set()
    for checksum in held.zarr.checksums(ALL_VERSIONS):
        files = held.clone.tracked(held.clone.listing(TAGS + checksum))
        first |= {file.key for file in files if may_cover(file.path)}
    return sorted(here, key=lambda key: (key not in first, key))


def fetch_zarr(
    held: ToHold, write: WriteZarr, access: TransferSettings, jobs: int, meter: ByteCounter
) -> Iterator[HoldResult]:
    """Fetch what is missing of a Zarr into its repository, which is made if need be; the metadata of arrays last.

    Raises:
        MirrorError: the repository cannot be made.
        DiskError: the disk is full or not writable.
    """
    assert held.zarr
    clone = write(held.zarr)
    clone.prepare()
    if held.wanted == "":
        add_wanted(clone)
    for checksum in dict.fromkeys(held.zarr.states.values()):
        if not (zarr := ZarrClone.of(clone, TAGS + checksum)):
            continue
        files = [file for file in zarr.files if file.key]
        has = {key: clone.has(key) for key in {file.key for file in files}}
        missing = [file for file in files if not has[file.key] and _may_come(held, file)]
        here = [file for file in files if has[file.key]]
        for got in get_zarr(zarr, GetPlan(missing=missing, here=here), access, jobs, meter):
            if got.status != "notneeded":
                yield fetched(held, f"{held.zarr.path}/{got.path}", got)


def _may_come(held: ToHold, file: Tracked) -> bool:
    return held.missing is None or file.key in held.missing
