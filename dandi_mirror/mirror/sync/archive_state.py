"""Read what the archive has that a dataset lacks: published versions to tag, and the next state of the branch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import chain

from dandi_mirror import __version__
from dandi_mirror.mirror.format.tree import FORMAT, Listing, version_tree
from dandi_mirror.mirror.format.unchanged_records import UnchangedRecords
from dandi_mirror.mirror.state.remembered import hosts_key
from dandi_mirror.mirror.sync import messages
from dandi_mirror.mirror.sync.carry_over import carried_assets
from dandi_mirror.mirror.sync.context import SyncContext
from dandi_mirror.mirror.sync.dataset_state import DatasetState
from dandi_mirror.mirror.sync.plan import plan_sync
from dandi_mirror.mirror.sync.text_files import TextFiles
from dandi_mirror.mirror.sync.version_choice import VersionChoice, choose_versions, version_to_follow
from dandi_mirror.mirror.sync.version_reader import VersionReader
from dandi_mirror.mirror.sync.writer import BranchUpdate, VersionToTag
from dandi_mirror.model import DRAFT, Asset, DandisetRow, Finding, Kind
from dandi_mirror.repo.git.dataset import Tree


@dataclass(frozen=True, slots=True)
class ArchiveState:
    """What one sync has read."""

    row: DandisetRow
    """The Dandiset as the archive listed it when the draft was read."""
    versions: tuple[VersionToTag, ...]
    branch: BranchUpdate | None
    """None if there is nothing for the branch to follow."""
    findings: tuple[Finding, ...]
    cached: Mapping[str, Asset]
    """The assets, by id, that the cache had of the draft."""


@dataclass(frozen=True, slots=True)
class _Listings:
    row: DandisetRow
    choice: VersionChoice
    published: tuple[Listing, ...]
    draft: Listing | None
    findings: tuple[Finding, ...]
    cached: Mapping[str, Asset] = field(default_factory=dict)


def read_archive(
    sync: SyncContext, row: DandisetRow, state: DatasetState, seen: Callable[[Asset], None]
) -> ArchiveState:
    """Read and admit what is new, and plan the branch; ``seen`` is called with each asset as it comes.

    Other threads read what the dataset holds in the meantime.
    """
    with ThreadPoolExecutor(2, thread_name_prefix="beside") as beside:
        tree = beside.submit(sync.dataset.tree, state.branch)
        reader = VersionReader(sync.archive, sync.dandiset, sync.hosts, sync.spool, seen)
        listings = _read_listings(sync, row, state, reader, beside)
        return _with_trees(sync, state, listings, tree.result())


def cache_key(sync: SyncContext, commit: str) -> str:
    """Everything, besides its listing, that decides how an asset is admitted; and the commit that has its record."""
    hosts = hosts_key(sync.options.hosts) + (" closed" if sync.closed else "")
    return f"{__version__} {FORMAT} {sync.instance.api_url} {hosts} {commit}"


# --- listings ------------------------------------------------------------------------------------------------


def _read_listings(
    sync: SyncContext, row: DandisetRow, state: DatasetState, reader: VersionReader, beside: Executor
) -> _Listings:
    choice, findings = VersionChoice(), list[Finding]()
    if sync.options.versions != "draft":
        listed, strange = sync.archive.versions(sync.dandiset)
        findings += [Finding(name, "", Kind.REFUSED, f"a version called {name}") for name in strange]
        newest = row.published.version if row.published else ""
        choice = choose_versions(listed, newest, state.tags, state.version, sync.options)
    published = []
    for wanted in choice.to_read:
        sync.progress(f"listing {wanted.version}")
        if listing := reader.published(wanted, is_new=wanted.version not in state.tags):
            published.append(listing)
        else:
            findings.append(Finding(wanted.version, "", Kind.HELD, "not tagged: it waits for its DOI"))
    found = _Listings(row, choice, tuple(published), None, (*findings, *choice.findings))
    return _with_draft(sync, state, found, reader, beside) if sync.options.branch == DRAFT else found


def _with_draft(
    sync: SyncContext, state: DatasetState, found: _Listings, reader: VersionReader, beside: Executor
) -> _Listings:
    sync.progress("listing the draft")
    cached = _load_cache(sync, state, beside)
    fresh, draft = reader.draft(found.row, cached)
    # the versions were listed earlier: the next run sees one published since then, and so another embargo
    row = replace(fresh, published=found.row.published, embargo_status=found.row.embargo_status)
    return replace(found, row=row, draft=draft, cached=cached.result() if cached else {})


def _load_cache(sync: SyncContext, state: DatasetState, beside: Executor) -> Future[dict[str, Asset]] | None:
    """Begin to load the assets of the draft as it is mirrored; None if the cache has those of another state."""
    cache = sync.mirror.asset_cache(sync.dandiset)
    fits = sync.options.mode == "auto" and state.branch and cache.fits(cache_key(sync, state.branch))
    return beside.submit(cache.load, sync.hosts) if fits else None


# --- trees and plan ------------------------------------------------------------------------------------------


def _with_trees(sync: SyncContext, state: DatasetState, listings: _Listings, old: Tree) -> ArchiveState:
    texts = TextFiles(sync.archive, sync.dataset, sync.spool, state.branch, fetch=not sync.options.dry_run)
    findings = list(listings.findings)
    versions = []
    for listing in listings.published:
        found, waiting = _version_findings(listing, texts, sync.closed)
        findings += found
        if not waiting:
            tree = version_tree(sync.instance, sync.dandiset, listing, texts.entries, sync.spool)
            versions.append(VersionToTag(listing, tree))
    followed = listings.draft
    if followed:
        findings += _listing_findings(followed, sync.closed)
        findings += _text_findings(followed, texts)
    else:
        ready = {version.listing.row.version: version.listing for version in versions}
        followed = ready.get(version_to_follow(listings.choice.settled, state.version, ready))
    branch = _branch_update(sync, state, followed, texts, old, listings.cached) if followed else None
    return ArchiveState(listings.row, tuple(versions), branch, tuple(findings), listings.cached)


def _version_findings(listing: Listing, texts: TextFiles, closed: bool) -> tuple[list[Finding], int]:
    """What is wrong with a published version, and how many of its assets keep it from being tagged."""
    name = listing.row.version
    missing = list(_text_findings(listing, texts))
    waiting = sum(refusal.kind in {Kind.PENDING, Kind.ZARR} for refusal in listing.refusals) + len(missing)
    findings = [*_listing_findings(listing, closed), *missing]
    if waiting:
        reason = f"not tagged: {waiting} of its assets cannot be written yet"
        findings.append(Finding(name, "", Kind.HELD, reason))
    return findings, waiting


def _text_findings(listing: Listing, texts: TextFiles) -> Iterator[Finding]:
    """Get the text files of a version; a finding for each that does not come."""
    for asset, reason in texts.fetch(listing):
        yield Finding(listing.row.version, asset.path, Kind.TEXT, reason, asset.asset_id)


def _listing_findings(listing: Listing, closed: bool) -> Iterator[Finding]:
    """The refused assets, and those whose content only the API gives though the Dandiset is not embargoed."""
    version = listing.row.version
    yield from (refusal.finding(version) for refusal in listing.refusals)
    for asset in listing.assets.values():
        if asset.content_url is None and not closed:
            yield Finding(version, asset.path, Kind.URL, no_url_reason(asset.unknown_host), asset.asset_id)


def no_url_reason(unknown_host: str) -> str:
    """Why git-annex is given no content URL of an asset; ``unknown_host`` as in :class:`.Asset`."""
    if unknown_host:
        return (
            f"host {unknown_host} is not known to serve this archive's content; if it does, add it to content-hosts "
            "in dandi-mirror.toml"
        )
    return "its record has no content URL that git-annex may use; git-annex asks the archive's API instead"


def _branch_update(
    sync: SyncContext, state: DatasetState, listing: Listing, texts: TextFiles, old: Tree, cached: Mapping[str, Asset]
) -> BranchUpdate:
    carried = carried_assets(sync.dataset, old, listing, sync.spool)
    unchanged = UnchangedRecords(sync.dataset, old, sync.spool) if cached else None
    tree = version_tree(sync.instance, sync.dandiset, listing, texts.entries, sync.spool, carried, unchanged)
    counts = messages.Counts.of(chain(listing.assets.values(), carried))
    return BranchUpdate(sync.options.branch, state.branch, listing, tree, old, plan_sync(old, tree.entries), counts)


def registered_hosts(state: ArchiveState) -> str:
    """The origins of the content URLs that a sync registers, as one string."""
    listings: Iterable[Listing] = (version.listing for version in state.versions)
    if state.branch:
        listings = [state.branch.listing]
    urls = (asset.content_url for listing in listings for asset in listing.assets.values())
    return " ".join(sorted({url[: url.index("/", len("https://"))] for url in urls if url}))
