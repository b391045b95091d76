"""Read what the archive has that a dataset lacks: published versions to tag, and the next state of the branch."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import chain

from dandi_mirror import __version__
from dandi_mirror.mirror.format.tree import FORMAT, Listing, version_tree
from dandi_mirror.mirror.format.unchanged_records import UnchangedRecords
from dandi_mirror.mirror.state.known_draft import DraftAssets, content_origin
from dandi_mirror.mirror.state.remembered import hosts_key
from dandi_mirror.mirror.sync import messages
from dandi_mirror.mirror.sync.branch_delta import Larger, branch_delta, only_changed
from dandi_mirror.mirror.sync.carry_over import carried_assets
from dandi_mirror.mirror.sync.context import SyncContext
from dandi_mirror.mirror.sync.dataset_state import DatasetState
from dandi_mirror.mirror.sync.known_assets import KnownAssets
from dandi_mirror.mirror.sync.plan import plan_sync
from dandi_mirror.mirror.sync.text_files import TextFiles
from dandi_mirror.mirror.sync.version_choice import VersionChoice, choose_versions, version_to_follow
from dandi_mirror.mirror.sync.version_reader import VersionReader
from dandi_mirror.mirror.sync.writer import BranchUpdate, VersionToTag
from dandi_mirror.mirror.sync.zarrs import ZarrVersion, branch_modules, with_draft_states, with_published_states
from dandi_mirror.mirror.zarr.gitmodules import gitmodules
from dandi_mirror.model import DRAFT, Asset, Finding, FindingKind, ListedDandiset
from dandi_mirror.repo.git.dataset import Tree

LISTED_EVERY = 86400.0
"""Seconds; the whole listing of a draft that changes is read at least so often."""
SETTLED = frozenset(
    {FindingKind.URL, FindingKind.VANISHED, FindingKind.ALARM, FindingKind.WORKTREE, FindingKind.CONTENT}
)
"""Kinds of findings of the last sync that say nothing about an asset's place in the tree."""


@dataclass(frozen=True, slots=True)
class ArchiveState:
    """What one sync has read."""

    entry: ListedDandiset
    """The Dandiset as the archive listed it when the draft was read."""
    versions: tuple[VersionToTag, ...]
    branch: BranchUpdate | None
    """None if there is nothing for the branch to follow."""
    findings: tuple[Finding, ...]
    cached: Mapping[str, Asset]
    """The assets, by id, that the cache had of the draft."""
    zarrs: ZarrVersion | None = None
    """The version that the branch follows."""
    hosts: str = ""
    """The origins of the content URLs that the sync registers."""

    @property
    def is_small(self) -> bool:
        """Whether little has changed, and the rest was neither read nor loaded."""
        return self.branch is not None and isinstance(self.branch.listing.assets, DraftAssets)


@dataclass(frozen=True, slots=True)
class _Listings:
    entry: ListedDandiset
    choice: VersionChoice
    published: tuple[ZarrVersion, ...]
    draft: ZarrVersion | None
    findings: tuple[Finding, ...]
    cached: Mapping[str, Asset] = field(default_factory=dict)


def read_archive(
    sync: SyncContext, entry: ListedDandiset, state: DatasetState, seen: Callable[[Asset], None]
) -> ArchiveState:
    """Read and admit what is new, and plan the branch; ``seen`` is called with each asset as it comes.

    Other threads read what the dataset holds in the meantime.
    """
    with ThreadPoolExecutor(2, thread_name_prefix="beside") as beside:
        reader = VersionReader(sync.archive, sync.dandiset, sync.hosts, sync.spool, seen)
        listings = _read_listings(sync, entry, state, reader, beside)
    try:
        return _with_trees(sync, state, listings)
    finally:
        if listings.draft and isinstance(listings.draft.listing.assets, DraftAssets):
            listings.draft.listing.assets.known.close()


def cache_key(sync: SyncContext, commit: str) -> str:
    """Everything, besides its listing, that decides how an asset is admitted; and the commit that has its record."""
    hosts = hosts_key(sync.options.hosts) + (" closed" if sync.closed else "")
    return f"{__version__} {FORMAT} {sync.instance.api_url} {hosts} {commit}"


# --- listings ------------------------------------------------------------------------------------------------


def _read_listings(
    sync: SyncContext, entry: ListedDandiset, state: DatasetState, reader: VersionReader, beside: Executor
) -> _Listings:
    choice, findings = VersionChoice(), list[Finding]()
    if sync.options.versions != "draft":
        listed, strange = sync.archive.versions(sync.dandiset)
        findings += [Finding(name, "", FindingKind.REFUSED, f"a version called {name}") for name in strange]
        newest = entry.published.version if entry.published else ""
        choice = choose_versions(listed, newest, state.tags, state.version, sync.options)
    published = []
    for wanted in choice.to_read:
        sync.progress(f"listing {wanted.version}")
        if listing := reader.published(wanted, is_new=wanted.version not in state.tags):
            published.append(with_published_states(sync, listing))
        else:
            findings.append(Finding(wanted.version, "", FindingKind.HELD, "not tagged: it waits for its DOI"))
    found = _Listings(entry, choice, tuple(published), None, (*findings, *choice.findings))
    return _with_draft(sync, state, found, reader, beside) if sync.options.branch == DRAFT else found


def _with_draft(
    sync: SyncContext, state: DatasetState, found: _Listings, reader: VersionReader, beside: Executor
) -> _Listings:
    sync.progress("listing the draft")
    known = _known(sync, state, beside)
    fresh, draft = reader.draft(found.entry, known)
    # the versions were listed earlier: the next run sees one published since then, and so another embargo
    entry = replace(fresh, published=found.entry.published, embargo_status=found.entry.embargo_status)
    followed = with_draft_states(sync, draft)
    if known is None or isinstance(followed.listing.assets, DraftAssets):
        return replace(found, entry=entry, draft=followed)
    known.close()
    return replace(found, entry=entry, draft=followed, cached=known.loaded())


def _known(sync: SyncContext, state: DatasetState, beside: Executor) -> KnownAssets | None:
    """The assets of the draft as it is mirrored; None if the cache has those of another state."""
    cache = sync.mirror.asset_cache(sync.dandiset)
    if sync.options.mode != "auto" or not state.branch or not cache.fits(cache_key(sync, state.branch)):
        return None
    return KnownAssets(cache, sync.hosts, beside, by_key=_listed_lately(sync))


def _listed_lately(sync: SyncContext) -> bool:
    """Whether a sync has read the whole listing not long ago; a time in the future, from a wrong clock, is not."""
    return 0 <= time.time() - sync.mirror.asset_cache(sync.dandiset).listed() < LISTED_EVERY


# --- trees and plan ------------------------------------------------------------------------------------------


def _with_trees(sync: SyncContext, state: DatasetState, listings: _Listings) -> ArchiveState:
    if small := _small_change(sync, state, listings):
        return small
    listings = _all_loaded(listings)
    old = sync.dataset.tree(state.branch)
    texts = TextFiles(sync.archive, sync.dataset, sync.spool, state.branch, fetch=not sync.options.dry_run)
    findings = list(listings.findings)
    versions = []
    ready: dict[str, ZarrVersion] = {}
    for version in listings.published:
        found, waiting = _version_findings(version, texts, sync.closed)
        findings += found
        if not waiting:
            modules = gitmodules(version.modules)
            tree = version_tree(
                sync.instance, sync.dandiset, version.listing, texts.entries, sync.spool, modules=modules
            )
            versions.append(VersionToTag(version.listing, tree))
            ready[version.listing.entry.version] = version
    followed = listings.draft
    if followed:
        findings += _listing_findings(followed, sync.closed)
        findings += _text_findings(followed.listing, texts)
    else:
        followed = ready.get(version_to_follow(listings.choice.settled, state.version, ready))
    branch = _branch_update(sync, state, followed, texts, old, listings.cached) if followed else None
    hosts = registered_hosts([*(version.listing for version in versions), *([branch.listing] if branch else [])])
    return ArchiveState(listings.entry, tuple(versions), branch, tuple(findings), listings.cached, followed, hosts)


def _small_change(sync: SyncContext, state: DatasetState, listings: _Listings) -> ArchiveState | None:
    """What is to be done where little of a large draft has changed; None if everything must be looked at."""
    followed = listings.draft
    if not followed or not state.branch or listings.published or not isinstance(followed.listing.assets, DraftAssets):
        return None
    listing, totals, then = followed.listing, followed.listing.assets.totals, sync.mirror.index.get(sync.dandiset)
    hosts = " ".join(sorted(totals.hosts))
    if then is None or then.hosts != hosts or not {found.kind for found in then.findings} <= SETTLED:
        return None
    if sync.closed or sync.options.accepted or totals.zarrs or totals.without_url:
        return None
    changed = only_changed(listing)
    texts = TextFiles(
        sync.archive, sync.dataset, sync.spool, state.branch, fetch=not sync.options.dry_run, only=changed.assets
    )
    findings = [*listings.findings, *_text_findings(changed, texts)]
    try:
        branch = branch_delta(sync.instance, sync.dandiset, sync.dataset, sync.spool, listing, texts, state.branch)
    except Larger:
        return None
    return ArchiveState(listings.entry, (), branch, tuple(findings), {}, followed, hosts)


def _all_loaded(listings: _Listings) -> _Listings:
    """The listings with all assets of the draft, also those that were not read."""
    draft = listings.draft
    if not draft or not isinstance(draft.listing.assets, DraftAssets):
        return listings
    assets = draft.listing.assets
    whole = replace(draft, listing=replace(draft.listing, assets=dict(assets)))
    return replace(listings, draft=whole, cached=assets.before())


def _version_findings(version: ZarrVersion, texts: TextFiles, closed: bool) -> tuple[list[Finding], int]:
    """What is wrong with a published version, and how many of its assets keep it from being tagged."""
    name = version.listing.entry.version
    missing = list(_text_findings(version.listing, texts))
    waiting = sum(refusal.kind is FindingKind.PENDING for refusal in version.listing.refusals) + len(missing)
    findings = [*_listing_findings(version, closed), *missing]
    if waiting:
        reason = f"not tagged: {waiting} of its assets cannot be written yet"
        findings.append(Finding(name, "", FindingKind.HELD, reason))
    return findings, waiting


def _text_findings(listing: Listing, texts: TextFiles) -> Iterator[Finding]:
    """Get the text files of a version; a finding for each that does not come."""
    for asset, reason in texts.fetch(listing):
        yield Finding(listing.entry.version, asset.path, FindingKind.TEXT, reason, asset.asset_id)


def _listing_findings(found: ZarrVersion, closed: bool) -> Iterator[Finding]:
    """The refused assets and entries, and assets whose content only the API gives though nothing is embargoed."""
    listing, version = found.listing, found.listing.entry.version
    yield from found.findings
    yield from (refusal.finding(version) for refusal in listing.refusals)
    for asset in listing.assets.values():
        if asset.content_url is None and not closed:
            yield Finding(version, asset.path, FindingKind.URL, no_url_reason(asset.unknown_host), asset.asset_id)


def no_url_reason(unknown_host: str) -> str:
    """Why git-annex is given no content URL of an asset; ``unknown_host`` as in :class:`.Asset`."""
    if unknown_host:
        return (
            f"host {unknown_host} is not known to serve this archive's content; if it does, add it to content-hosts "
            "in dandi-mirror.toml"
        )
    return "its record has no content URL that git-annex may use; git-annex asks the archive's API instead"


def _branch_update(
    sync: SyncContext,
    state: DatasetState,
    version: ZarrVersion,
    texts: TextFiles,
    old: Tree,
    cached: Mapping[str, Asset],
) -> BranchUpdate:
    listing = version.listing
    carried = carried_assets(sync.dataset, old, listing, sync.spool)
    unchanged = UnchangedRecords(sync.dataset, old, sync.spool) if cached else None
    modules = branch_modules(sync.dataset, old, version, carried)
    tree = version_tree(sync.instance, sync.dandiset, listing, texts.entries, sync.spool, carried, unchanged, modules)
    counts = messages.VersionCounts.of(chain(listing.assets.values(), carried))
    return BranchUpdate(sync.options.branch, state.branch, listing, tree, old, plan_sync(old, tree.entries), counts)


def registered_hosts(listings: Iterable[Listing]) -> str:
    """The origins of the content URLs of some listings, as one string."""
    urls = (asset.content_url for listing in listings for asset in listing.assets.values())
    return " ".join(sorted({content_origin(url) for url in urls if url}))
