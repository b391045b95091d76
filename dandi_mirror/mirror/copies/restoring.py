"""Bring the content of a version from other mirrors, without the archive."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace

from dandi_mirror.archive.content.single import ByteCounter, DownloadOutcome
from dandi_mirror.archive.content.sources import TransferSettings
from dandi_mirror.archive.name_parts import no_version
from dandi_mirror.errors import NotFoundError, PartError, UsageError
from dandi_mirror.mirror.copies.repositories import MirrorRepository, installed_git_dir, present_keys
from dandi_mirror.mirror.copies.versions import commits_of, contents_of_versions
from dandi_mirror.mirror.copies.zarrs import ZarrOfVersions
from dandi_mirror.mirror.fetch.get import Download, GetResult, run_download
from dandi_mirror.mirror.fetch.get_plan import GetPlan
from dandi_mirror.mirror.fetch.zarr_get import MetadataLast, ZarrClone, get_zarr
from dandi_mirror.mirror.state.layout import Mirror
from dandi_mirror.repo.annex.repository import AnnexRepository, KeyLocations, Tracked
from dandi_mirror.repo.git.dataset import TAGS
from dandi_mirror.text import quoted

NOWHERE = "no mirror that answered has this content undamaged"


class FromMirrors(Download):
    """A download that asks other mirrors for all files, whatever they say they have, and never the archive.

    Call :meth:`only` with the UUIDs of the mirrors' repositories.
    """

    def urls_of(self, key: str, facts: KeyLocations) -> list[str]:
        """The URLs at which other mirrors may have a key."""
        return self.mirror_urls(key, facts)

    def may_have(self, uuid: str, facts: KeyLocations) -> bool:
        """All are asked: what this mirror knows of them may be old."""
        return True

    def take(self, outcome: DownloadOutcome) -> Iterator[GetResult]:
        """Take a result of the bulk transfer; of content that no mirror has, this is what is said."""
        error = outcome.error
        if isinstance(error, NotFoundError) or (error and not outcome.item.urls and type(error) is PartError):
            outcome = replace(outcome, error=NotFoundError(NOWHERE))
        yield from super().take(outcome)

    def get_by_git_annex(self, waiting: Callable[[int], None]) -> Iterator[GetResult]:
        """Let git-annex ask mirrors that are reached by ssh."""
        yield from self.by_git_annex(list(self.left), waiting, web=False)


class _MetadataFromMirrors(MetadataLast, FromMirrors):
    """The same for what may open the arrays of a Zarr."""


@dataclass(frozen=True, slots=True)
class RestorePlan:
    """What a version lacks here."""

    clone: AnnexRepository
    choice: GetPlan
    zarrs: tuple[ZarrOfVersions, ...]
    """The Zarrs of the version, also those that are here."""


def plan_restore(mirror: Mirror, dandiset: str, version: str) -> RestorePlan:
    """What a version lacks here.

    Raises:
        UsageError: the mirror has no such version.
    """
    clone = AnnexRepository(mirror.dataset(dandiset).path)
    clone.prepare()
    commits = commits_of(clone.dataset)
    if version not in commits:
        raise UsageError(
            f"{no_version(dandiset, version, clone.path, commits)}; or sync it, or fetch it from a mirror that you "
            f"trust: git -C {quoted(clone.path)} fetch MIRROR/{dandiset} refs/tags/{version}:refs/tags/{version}"
        )
    found = contents_of_versions(clone.dataset, {version: commits[version]})[version]
    tracked = [Tracked(path, key, pointer=False) for path, key in sorted(found.files.items())]
    has = {key: clone.has(key) for key in set(found.files.values())}
    choice = GetPlan(
        missing=[file for file in tracked if not has[file.key]], here=[file for file in tracked if has[file.key]]
    )
    zarrs = tuple(
        ZarrOfVersions(MirrorRepository(dandiset, module.zarr_id), path, {version: module.checksum})
        for path, module in sorted(found.zarrs.items())
    )
    return RestorePlan(clone, choice, zarrs)


def missing_entries(mirror: Mirror, dataset: AnnexRepository, zarr: ZarrOfVersions) -> list[Tracked]:
    """The entries of a Zarr that are not here: neither in its repository nor where it is installed in the dataset.

    Raises:
        NotFoundError, BadManifest: its manifest is missing or damaged.
    """
    here = set(present_keys(installed_git_dir(dataset, zarr.path)))
    if zarr.repository.exists(mirror):
        here |= present_keys(zarr.repository.clone(mirror).git_dir).keys()
    entries = zarr.entries(mirror.manifests, [zarr.newest])
    return [Tracked(path, key, pointer=False) for path, key in entries if key not in here]


def restore(
    clone: AnnexRepository,
    choice: GetPlan,
    access: TransferSettings,
    uuids: Collection[str],
    jobs: int,
    meter: ByteCounter,
) -> Iterator[GetResult]:
    """Bring what a version lacks from the mirrors with these UUIDs; each byte is checked against the key.

    Raises:
        DiskError: the disk is full or not writable.
    """
    clone.read_config()
    work = FromMirrors(clone, choice, access)
    work.only(uuids)
    yield from run_download(work, access, jobs, meter)


def restore_zarr(
    clone: AnnexRepository,
    zarr: ZarrOfVersions,
    missing: Collection[Tracked],
    access: TransferSettings,
    uuids: Collection[str],
    jobs: int,
    meter: ByteCounter,
) -> Iterator[GetResult]:
    """Bring what is missing of a Zarr into its repository, from the mirrors with these UUIDs; metadata come last.

    Raises:
        DiskError: the disk is full or not writable.
    """
    clone.prepare()
    state, keys = ZarrClone.of(clone, TAGS + zarr.newest), {file.key for file in missing}
    if state is None:
        return

    def chunks(clone: AnnexRepository, choice: GetPlan, access: TransferSettings) -> Download:
        work = FromMirrors(clone, choice, access)
        work.only(uuids)
        return work

    def metadata(clone: AnnexRepository, choice: GetPlan, access: TransferSettings) -> Download:
        work = _MetadataFromMirrors(clone, choice, access)
        work.only(uuids)
        return work

    here = [file for file in state.files if file.key and clone.has(file.key)]
    wanted = [file for file in state.files if file.key in keys and not clone.has(file.key)]
    for got in get_zarr(state, GetPlan(missing=wanted, here=here), access, jobs, meter, (chunks, metadata)):
        if got.status != "notneeded":
            yield got
