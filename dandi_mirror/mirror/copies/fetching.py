"""Fetch what other mirrors say they have: of each Dandiset, and of those of its Zarrs of which they have content."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from dandi_mirror.config import Sibling
from dandi_mirror.errors import MirrorError, PartError, TemporaryError
from dandi_mirror.mirror.copies.claims import FetchedClaims, ReadUrl, fetch_repository, had, own_uuid
from dandi_mirror.mirror.copies.repositories import MirrorRepository
from dandi_mirror.mirror.copies.zarrs import RepositoryWriter, ZarrOfVersions, zarrs_of_dataset
from dandi_mirror.mirror.state.layout import Mirror
from dandi_mirror.mirror.sync.dandiset import failed, repair_after_crash
from dandi_mirror.repo.annex.locations import read_locations
from dandi_mirror.repo.annex.log_writer import record_presence
from dandi_mirror.repo.annex.repository import AnnexRepository
from dandi_mirror.repo.git import mirrors
from dandi_mirror.repo.git.dataset import ANNEX
from dandi_mirror.text import some


def fetch_claims(
    mirror: Mirror,
    dandisets: Iterable[str],
    siblings: Collection[Sibling],
    read_url: ReadUrl,
    hosts: frozenset[str] = frozenset(),
) -> Iterator[FetchedClaims]:
    """Fetch the location logs of other mirrors, of each Dandiset; the failure of one does not stop the others.

    ``hosts`` are those of the settings at which content may be.
    """
    away: set[str] = set()
    absent: dict[str, list[str]] = {sibling.name: [] for sibling in siblings}
    dandisets = list(dandisets)
    for dandiset in dandisets:
        for sibling in siblings:
            if sibling.name in away:
                continue
            result = FetchedClaims(dandiset, sibling.name)
            try:
                with mirror.lock(dandiset) as killed:
                    if killed:
                        dataset = mirror.dataset(dandiset)
                        repair_after_crash(dataset, dataset.head_branch(), killed)
                    if fetch_repository(mirror, sibling, MirrorRepository(dandiset), read_url, result):
                        _fetch_zarrs(mirror, sibling, read_url, hosts, result)
                    else:
                        absent[sibling.name].append(dandiset)
            except MirrorError as error:
                # it was tried for minutes; the other datasets would take as long each
                away |= {sibling.name} if isinstance(error, TemporaryError) else set()
                result.status, result.message, result.exit_code = failed(dandiset, error)
            yield result
    yield from (lost for one in siblings if (lost := _lost(mirror, one, dandisets, absent[one.name])))


def _lost(
    mirror: Mirror, sibling: Sibling, dandisets: Collection[str], absent: Collection[str]
) -> FetchedClaims | None:
    """What a mirror should have and does not: its folder is not there, or it had these when it was last fetched."""
    known = mirror.copies.read().uuids
    had_before = [dandiset for dandiset in absent if (sibling.name, MirrorRepository(dandiset).name) in known]
    if absent and len(absent) == len(dandisets):
        why = f"{sibling.url} has none of the Dandisets of this mirror; is its url right, and is its disk there?"
    elif had_before:
        why = f"it had {some(had_before, 3)} at the last fetch, and does not have that any more; ask whoever runs it"
    else:
        return None
    return FetchedClaims("", sibling.name, "error", why, exit_code=PartError.exit_code)


def _fetch_zarrs(
    mirror: Mirror, sibling: Sibling, read_url: ReadUrl, hosts: frozenset[str], result: FetchedClaims
) -> None:
    """Fetch what a mirror says it has of the Zarrs of a Dandiset; one that fails does not stop the others.

    Raises:
        TemporaryError: it does not answer.
        PartError: some failed.
    """
    dandiset = result.dandiset
    dataset = AnnexRepository(mirror.dataset(dandiset).path)
    zarrs = zarrs_of_dataset(dandiset, dataset.dataset)
    there = _zarrs_there(sibling, zarrs)
    known, writing, failures = mirror.copies.read(), RepositoryWriter(mirror, dataset, dandiset, hosts), []
    for zarr in zarrs:
        name, before = zarr.repository.name, (sibling.name, zarr.repository.name) in known.uuids
        try:
            found = name in there if there is not None else _is_there(dataset, sibling, zarr.repository, read_url)
            if found:
                writing.write(zarr)
                found = fetch_repository(mirror, sibling, zarr.repository, read_url, result)
            if before and not found:
                _forget(mirror, sibling, zarr.repository, result)
        except TemporaryError:
            raise
        except MirrorError as error:
            failures.append(f"{zarr.path}: {error}")
    if failures:
        raise PartError(f"{len(failures)} of its Zarrs could not be fetched; the first: {failures[0]}")


def _zarrs_there(sibling: Sibling, zarrs: Collection[ZarrOfVersions]) -> frozenset[str] | None:
    """The Zarrs of which a mirror has content; None if it has to be asked for each."""
    return mirrors.zarrs_there(sibling, [(zarr.repository.name, zarr.repository.place) for zarr in zarrs])


def _is_there(dataset: AnnexRepository, sibling: Sibling, repository: MirrorRepository, read_url: ReadUrl) -> bool:
    """Whether a mirror behind a web server has a repository of a Zarr that git-annex knows."""
    return bool(own_uuid(dataset, sibling, repository, read_url))


def _forget(mirror: Mirror, sibling: Sibling, repository: MirrorRepository, result: FetchedClaims) -> None:
    """Note that a mirror no longer has content of a Zarr."""
    uuid = mirror.copies.read().uuids[sibling.name, repository.name]
    if repository.exists(mirror):
        clone = repository.clone(mirror)
        clone.prepare()
        held = had(read_locations(clone.dataset, clone.dataset.ref(ANNEX)), uuid)
        record_presence(clone, {key: {uuid: False} for key in held})
        result.gone += len(held)
        result.status = "ok" if held else result.status
    mirror.copies.forget_repository(sibling.name, repository.name)
