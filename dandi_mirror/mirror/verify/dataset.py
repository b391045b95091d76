"""Verify one dataset: the repository by itself, its records and logs, the archive, and what else was asked for."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path

from dandi_mirror.archive.api.client import ArchiveClient
from dandi_mirror.archive.http.session import Session
from dandi_mirror.errors import CredentialsError, NotFoundError
from dandi_mirror.mirror.copies.leaving import leaving
from dandi_mirror.mirror.format.admission import ContentHosts
from dandi_mirror.mirror.format.record_spool import Spool
from dandi_mirror.mirror.state.layout import Mirror
from dandi_mirror.mirror.state.members import NotAMember, check_place
from dandi_mirror.mirror.state.options import Options
from dandi_mirror.mirror.state.verified import Damage
from dandi_mirror.mirror.sync.context import SyncContext
from dandi_mirror.mirror.verify import content, repository, secrets
from dandi_mirror.mirror.verify.annex_logs import check_logs
from dandi_mirror.mirror.verify.archive import check_with_archive
from dandi_mirror.mirror.verify.aside import check_aside
from dandi_mirror.mirror.verify.differences import Difference, DifferenceKind, fixed_by_sync
from dandi_mirror.mirror.verify.other_mirror import check_against
from dandi_mirror.mirror.verify.permissions import check_permissions, check_zarr_permissions
from dandi_mirror.mirror.verify.records import RecordsOfDataset
from dandi_mirror.mirror.verify.sample import NONE, Window
from dandi_mirror.mirror.verify.urls import check_leaving, check_urls, urls_of_keys, urls_of_leaving, urls_of_zarrs
from dandi_mirror.mirror.verify.zarr_content import check_zarr_locations, content_folders, folders_of_zarrs
from dandi_mirror.mirror.verify.zarr_manifests import check_manifests
from dandi_mirror.mirror.verify.zarr_repositories import ZarrChecks, bases_of
from dandi_mirror.mirror.verify.zarr_states import ZarrsOfDataset, named_states
from dandi_mirror.model import Instance, ListedDandiset, is_version_id
from dandi_mirror.repo.annex.repository import AnnexRepository
from dandi_mirror.repo.git.dataset import TAGS, Dataset
from dandi_mirror.repo.git.process import DamagedError
from dandi_mirror.repo.git.reader import ObjectReader


@dataclass(frozen=True, slots=True)
class Checks:
    """What to compare, besides the repository, its records and its logs."""

    options: Options
    """As a sync has them; the mode is ``verify``."""
    archive: bool = True
    """Whether to ask the archive for every version and the draft."""
    urls: float = 0.0
    """The share of the URLs that are asked, from 0 to 1."""
    content: float = 0.0
    """The share of the content that is hashed, from 0 to 1."""
    against: str = ""
    """The path or URL of another mirror."""
    keys: tuple[str, ...] = field(default=(), repr=False)
    """API keys that must not stand anywhere."""
    threads: int = 2
    """Files that are hashed at a time."""

    def of_repair(self) -> Checks:
        """What is compared after a repair: all instead of a share of the content, and of the URLs all or none."""
        return replace(self, urls=1.0 if self.urls == 1 else 0.0, content=1.0 if self.content else 0.0)

    def with_all_of(self, damage: Damage | None) -> Checks:
        """These checks, and all that may have found a damage that is remembered: only so is it found whole again."""
        how = damage.how if damage else ""
        urls, content = (1.0 if f"{name}:" in how else share for name, share in self._shares.items())
        return replace(self, urls=urls, content=content)

    @property
    def _shares(self) -> dict[str, float]:
        return {"urls": self.urls, "content": self.content}

    @property
    def how(self) -> str:
        """The same in words, for what the mirror remembers."""
        words = ["repository", *(["archive"] if self.archive else [])]
        words += [f"{name}:{share:g}" for name, share in self._shares.items() if share]
        return " ".join([*words, *(["against"] if self.against else [])])


@dataclass(frozen=True, slots=True)
class DatasetToVerify:
    """One dataset, and where its shares of URLs and content begin."""

    mirror: Mirror
    dandiset: str
    instance: Instance
    urls: Window = NONE
    content: Window = NONE

    @property
    def dataset(self) -> Dataset:
        """Its repository.

        Raises:
            NotAMember: another repository is at its path.
        """
        return self.mirror.dataset(self.dandiset)

    @property
    def branch(self) -> str:
        """The branch that syncs keep."""
        has_draft = self.dataset.ref("refs/heads/draft")
        return "draft" if has_draft or not self.dataset.ref("refs/heads/published") else "published"


def verify_dataset(
    chosen: DatasetToVerify, checks: Checks, archive: ArchiveClient | None, entry: ListedDandiset | None
) -> Iterator[Difference]:
    """The differences of one dataset; ``entry`` is its entry in the archive's list, if that was read.

    Raises:
        LockedError: a run is at work there.
        TemporaryError: the archive does not answer; what was found before has been yielded.
    """
    try:
        check_place(Path(chosen.mirror.folder(chosen.dandiset)))
    except NotAMember as error:
        yield Difference(DifferenceKind.REFS, "", str(error), "move it away, and sync the Dandiset")
        return
    with chosen.mirror.look(chosen.dandiset) as killed:
        yield from (aside := [*check_aside(chosen.mirror, chosen.dandiset)])
        if not chosen.dataset.exists():
            # git would take the repository around it
            if not aside:
                yield Difference(DifferenceKind.OBJECTS, ".git", "the dataset has no git repository, or a part of one")
            return
        damage = [*repository.check_files(chosen.dataset), *repository.check_objects(chosen.dataset)]
        yield from damage
        yield from repository.check_left_behind(chosen.dataset, chosen.dandiset, killed)
        yield from check_permissions(chosen.dataset)
        yield from secrets.check_settings(chosen.dataset, checks.keys)
        if any(found.kind is not DifferenceKind.WORKTREE for found in damage):
            return  # what follows reads the objects
        try:
            yield from _verify_readable(chosen, checks, archive, entry)
        except DamagedError as error:
            yield Difference(DifferenceKind.OBJECTS, "", error.why)


def _verify_readable(
    chosen: DatasetToVerify, checks: Checks, archive: ArchiveClient | None, entry: ListedDandiset | None
) -> Iterator[Difference]:
    dataset, identifier = chosen.dataset, chosen.instance.identifier(chosen.dandiset)
    refs = [*repository.check_refs(dataset, chosen.branch, identifier)]
    yield from refs
    yield from secrets.check_objects_for_secrets(dataset, checks.keys)
    hosts = ContentHosts(chosen.instance, checks.options.hosts)
    with dataset.reader() as reader:
        found = RecordsOfDataset(dataset, reader)
        for where, commit in _commits(chosen):
            yield from found.check(commit, chosen.instance, chosen.dandiset, where)
        yield from check_logs(dataset, reader, found.uses, hosts)
        if uuid := content.uuid_of(dataset):
            yield from content.check_locations(dataset.git_dir, uuid, reader, found.uses)
        yield from _verify_zarrs(chosen, checks, found.zarrs, hosts)
        if archive and chosen.urls.share:
            yield from _verify_urls(chosen, archive.session, reader, found, hosts)
    if chosen.content.share:
        for git_dir in content_folders(chosen.mirror, dataset, found.zarrs.branch):
            yield from content.check_content(git_dir, dataset.path, chosen.content, checks.threads)
    if checks.against:
        yield from check_against(dataset, chosen.dandiset, checks.against)
    if archive and checks.archive:
        yield from _ask_archive(chosen, checks, archive, entry, found.zarrs.known_commits(), broken=bool(refs))


def _verify_urls(
    chosen: DatasetToVerify, session: Session, reader: ObjectReader, found: RecordsOfDataset, hosts: ContentHosts
) -> Iterator[Difference]:
    bases = bases_of(chosen.mirror, chosen.dandiset, hosts) if found.zarrs.branch else {}
    of_zarrs = urls_of_zarrs(chosen.mirror.manifests, found.zarrs.branch, bases, chosen.urls)
    of_files = urls_of_keys(reader, found.etags, hosts, chosen.urls)
    yield from check_urls(session, chain(of_files, of_zarrs), AnnexRepository(chosen.dataset.path).has)
    until = leaving(chosen.mirror, chosen.dandiset).until
    yield from check_leaving(session, urls_of_leaving(reader, until, hosts), until, chosen.dataset.path)


def _verify_zarrs(
    chosen: DatasetToVerify, checks: Checks, zarrs: ZarrsOfDataset, hosts: ContentHosts
) -> Iterator[Difference]:
    zarrs.earlier = named_states(chosen.dataset)
    if not zarrs.states() or chosen.mirror.alone:
        return
    yield from check_manifests(chosen.mirror.manifests, zarrs, chosen.content)
    yield from ZarrChecks(chosen.mirror, chosen.dandiset, zarrs, hosts, checks.options, chosen.content).check()
    yield from check_zarr_locations(chosen.mirror, chosen.dataset, zarrs.branch)
    yield from check_zarr_permissions(chosen.dataset, folders_of_zarrs(chosen.mirror, zarrs.branch))


def _commits(chosen: DatasetToVerify) -> Iterator[tuple[str, str]]:
    """The commits whose files have records: the branch and the tagged versions."""
    # a tag that no sync made is a difference, whatever it leads to, and there may be thousands of them
    refs, light = chosen.dataset.refs(), chosen.dataset.light_tags()
    for ref, oid in sorted(refs.items()):
        if ref == f"refs/heads/{chosen.branch}":
            yield chosen.branch, oid
        elif is_version_id(version := ref.removeprefix(TAGS)) and version not in light:
            yield version, f"{oid}^{{commit}}"


def _ask_archive(
    chosen: DatasetToVerify,
    checks: Checks,
    archive: ArchiveClient,
    entry: ListedDandiset | None,
    zarrs: Mapping[tuple[str, str], str],
    *,
    broken: bool,
) -> Iterator[Difference]:
    try:
        entry = entry or archive.dandiset(chosen.dandiset)
    except (NotFoundError, CredentialsError) as error:
        what = f"the archive does not show the Dandiset any more: {error}"
        yield fixed_by_sync(DifferenceKind.DRAFT, "", what, "nothing; the mirror keeps what it has")
        return
    if not entry.is_open and not archive.session.has_token:
        what = "the Dandiset is embargoed, and no API key was given, so the archive was not asked for it"
        yield fixed_by_sync(DifferenceKind.DRAFT, "", what, "dandi-mirror login, then verify again with --embargoed")
        return
    options = replace(checks.options, mode="verify", versions=_versions(chosen, checks.options))
    with closing(Spool(Path(tempfile.gettempdir()))) as spool:
        closed = not entry.is_open
        sync = SyncContext(
            archive, chosen.mirror, chosen.dandiset, options, spool, closed, zarr_commits=zarrs, read_only=True
        )
        for found in check_with_archive(sync, entry):
            if not (broken and found.kind is DifferenceKind.TAG):  # the repository's own checks have named it
                yield found


def _versions(chosen: DatasetToVerify, options: Options) -> str:
    then = chosen.mirror.index.get(chosen.dandiset)
    return then.versions if then and then.versions else "all" if chosen.branch == "draft" else options.versions
