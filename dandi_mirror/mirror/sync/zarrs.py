"""The Zarrs of a version: which state each has, as a gitlink, or why it has to wait."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from dandi_mirror.archive.api.zarrs import ListedZarr, ZarrListing, list_zarrs
from dandi_mirror.errors import MirrorError
from dandi_mirror.mirror.format.admission import Refusal
from dandi_mirror.mirror.format.tree import Carried, Listing
from dandi_mirror.mirror.state.known_draft import DraftAssets
from dandi_mirror.mirror.state.remembered import ZarrTotals
from dandi_mirror.mirror.sync.context import SyncContext
from dandi_mirror.mirror.zarr.gitmodules import ZarrModule, gitmodules, read_gitmodules, refuse_module
from dandi_mirror.mirror.zarr.state import StateBuilder, ZarrState
from dandi_mirror.model import Asset, Finding, FindingKind
from dandi_mirror.repo.git.dataset import Dataset
from dandi_mirror.repo.git.dataset import Tree as OldTree
from dandi_mirror.repo.git.stream import GITLINK
from dandi_mirror.zarr_checksum import counts_of, is_checksum

if TYPE_CHECKING:
    # what lists Zarrs and reads their manifests takes a sixth of the time of all imports, and most Dandisets have none
    from dandi_mirror.mirror.zarr.manifest_format import Header
    from dandi_mirror.mirror.zarr.manifests import Manifests

NAMED = 20
"""So many refused entries of a Zarr are named, and the others counted."""
_NOT_LISTED = "the archive does not list it among the Zarrs of this Dandiset"
_OTHER_STATE = "the archive has another state of it now than this version"
_UNKNOWN = "0" * 40
"""The commit of a state that nobody has listed yet, in a dry run."""


@dataclass(frozen=True, slots=True)
class ZarrVersion:
    """A version with the states of its Zarrs."""

    listing: Listing
    """Without the Zarrs that have to wait, which are among its refusals."""
    modules: tuple[ZarrModule, ...] = ()
    findings: tuple[Finding, ...] = ()
    """The entries of Zarrs that may not reach git."""
    totals: ZarrTotals = field(default_factory=ZarrTotals)
    """What its Zarrs are together."""
    key: str = ""
    """What the archive listed for all Zarrs of the Dandiset, see :meth:`.ZarrListing.key`."""


@dataclass(slots=True)
class _Wanted:
    """For each Zarr of a version, by its path: its id and checksum, or why it has to wait."""

    states: dict[str, tuple[str, str]] = field(default_factory=dict)
    waiting: dict[str, str] = field(default_factory=dict)


def with_draft_states(sync: SyncContext, listing: Listing) -> ZarrVersion:
    """A draft, with the states that the archive lists for its Zarrs now.

    Raises:
        DiskError: a manifest cannot be written.
        OutOfTime: the time limit has come.
    """
    if isinstance(listing.assets, DraftAssets) and not listing.assets.totals.zarrs:
        return ZarrVersion(listing)
    zarrs = _zarrs(listing)
    if not zarrs:
        return ZarrVersion(listing)
    from dandi_mirror.mirror.sync.zarr_listing import changing

    sync.progress("listing the Zarrs")
    listed, wanted = list_zarrs(sync.archive, sync.dandiset), _Wanted()
    for asset in zarrs:
        zarr = listed.get(asset.zarr)
        if zarr and zarr.checksum:
            wanted.states[asset.path] = asset.zarr, zarr.checksum
        else:
            wanted.waiting[asset.path] = changing(zarr) if zarr else _NOT_LISTED
    _list_missing(sync, zarrs, wanted, listed)
    return replace(_with_states(sync, listing, wanted), key=listed.key())


def with_published_states(sync: SyncContext, listing: Listing) -> ZarrVersion:
    """A published version, with the states that its records name: these are the same whenever it is read.

    Raises as :func:`with_draft_states`.
    """
    zarrs, wanted = _zarrs(listing), _Wanted()
    for asset in zarrs:
        if is_checksum(asset.zarr_checksum):
            wanted.states[asset.path] = asset.zarr, asset.zarr_checksum
        else:
            wanted.waiting[asset.path] = "its record names no state of it"
    named = dict(wanted.states)
    if any(not sync.knows_zarr(state) for state in named.values()):
        listed = list_zarrs(sync.archive, sync.dandiset)
        for path, (zarr_id, checksum) in named.items():
            zarr = listed.get(zarr_id)
            if not sync.knows_zarr((zarr_id, checksum)) and (zarr is None or zarr.checksum != checksum):
                _wait(wanted, path, _OTHER_STATE)
        _list_missing(sync, zarrs, wanted, listed)
        for path in [path for path, state in wanted.states.items() if state != named[path]]:
            _wait(wanted, path, _OTHER_STATE)
    return _with_states(sync, listing, wanted)


def _zarrs(listing: Listing) -> list[Asset]:
    return [asset for asset in listing.assets.values() if asset.zarr]


def _wait(wanted: _Wanted, path: str, reason: str) -> None:
    del wanted.states[path]
    wanted.waiting[path] = reason


def _list_missing(sync: SyncContext, zarrs: Iterable[Asset], wanted: _Wanted, listed: ZarrListing) -> None:
    """List the states that have no manifest yet; where a Zarr has changed meanwhile, its newer state counts."""
    missing: dict[str, ListedZarr] = {}
    urls: dict[str, str | None] = {}
    for asset in zarrs:
        state = wanted.states.get(asset.path)
        if state and not sync.mirror.manifests.has(*state) and (zarr := listed.get(asset.zarr)):
            missing[asset.zarr], urls[asset.zarr] = zarr, asset.content_url
    if not missing or not sync.lists_zarrs:
        return
    from dandi_mirror.mirror.sync.zarr_listing import list_new

    found = list_new(sync, missing, urls)
    for path, (zarr_id, _) in list(wanted.states.items()):
        checksum, reason = found.get(zarr_id, ("", ""))
        if checksum:
            wanted.states[path] = zarr_id, checksum
        elif reason:
            _wait(wanted, path, reason)


def _with_states(sync: SyncContext, listing: Listing, wanted: _Wanted) -> ZarrVersion:
    """The version with the states that have a manifest; the other Zarrs become refusals."""
    headers = dict(_headers(sync, wanted))
    assets: dict[str, Asset] = {}
    refusals = list(listing.refusals)
    for path, asset in listing.assets.items():
        if not asset.zarr:
            assets[path] = asset
        elif reason := refuse_module(path):
            record = None if asset.record is None else sync.spool.get(asset.record)
            refusals.append(Refusal(FindingKind.REFUSED, path, reason, asset.asset_id, asset.size, None, record))
        elif header := headers.get(path):
            assets[path] = replace(asset, size=header.state.size)
        else:
            refusals.append(Refusal(FindingKind.PENDING, path, wanted.waiting[path], asset.asset_id, asset.size))
    held = {path: headers[path] for path in assets if path in headers}
    states = {path: header.state for path, header in held.items()}
    return ZarrVersion(
        replace(
            listing, assets=assets, refusals=tuple(refusals),
            zarrs={path: state.commit for path, state in states.items()},
        ),
        tuple(ZarrModule(path, state.zarr_id, state.checksum) for path, state in states.items()),
        tuple(_refused(sync.mirror.manifests, listing, states)),
        _totals(held.values(), len(wanted.waiting)),
    )  # fmt: skip


def _totals(held: Iterable[Header], pending: int) -> ZarrTotals:
    found = ZarrTotals(pending=pending)
    for header in held:
        state = header.state
        found = found.plus(ZarrTotals(1, state.entries, state.size, 0, int(header.listed != "s3")))
    return found


def _headers(sync: SyncContext, wanted: _Wanted) -> Iterator[tuple[str, Header]]:
    """The header of each state's manifest, by path."""
    from dandi_mirror.mirror.zarr.manifest_format import Header

    for path, (zarr_id, checksum) in wanted.states.items():
        if commit := sync.zarr_commits.get((zarr_id, checksum)):
            yield path, Header(ZarrState(zarr_id, checksum, commit, *counts_of(checksum), 0), "s3", "")
            continue
        try:
            if not sync.lists_zarrs and not sync.mirror.manifests.has(zarr_id, checksum):
                yield path, Header(ZarrState(zarr_id, checksum, _UNKNOWN, 0, 0, 0), "s3", "")
            else:
                yield path, sync.mirror.manifests.header(zarr_id, checksum)
        except MirrorError as error:
            wanted.waiting[path] = str(error)


def _refused(manifests: Manifests, listing: Listing, states: Mapping[str, ZarrState]) -> Iterator[Finding]:
    """The entries that count for a Zarr's checksum and may not reach git."""
    for path, state in states.items():
        if not state.refused:
            continue
        found: list[tuple[str, str]] = []
        building = StateBuilder(state.zarr_id, on_refused=lambda entry, reason: found.append((entry, reason)))  # noqa: B023
        for entry in manifests.read(state.zarr_id, state.checksum):
            building.add(entry)
        version, asset_id = listing.entry.version, listing.assets[path].asset_id
        for name, reason in found[:NAMED]:
            yield Finding(version, f"{path}/{name}", FindingKind.REFUSED, f"an entry of a Zarr: {reason}", asset_id)
        if (more := len(found) - NAMED) > 0:
            yield Finding(
                version, path, FindingKind.REFUSED, f"{more:,} more of its entries are not safe in git", asset_id
            )


def branch_modules(dataset: Dataset, old: OldTree, version: ZarrVersion, carried: Iterable[Carried]) -> bytes:
    """The content of a branch's ``.gitmodules``; Zarrs that are ``carried`` stay as the branch has them."""
    modules = list(version.modules)
    before = [asset.path for asset in carried if asset.entry.mode == GITLINK]
    if before and ".gitmodules" in old:
        with dataset.reader() as reader:
            (content,) = reader.read([old[".gitmodules"][1]])
        known = read_gitmodules(content or b"")
        modules += [known[path] for path in before if path in known]
    return gitmodules(modules)
