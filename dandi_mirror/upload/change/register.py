"""Change the assets of a draft: add, replace, rename, remove; none twice, even if an answer is lost."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import islice

from dandi_mirror.archive.api.dandiset_changes import Source, create_asset, delete_asset, replace_asset
from dandi_mirror.archive.http.pool import AT_ONCE
from dandi_mirror.archive.http.retrying_client import RequestRefused
from dandi_mirror.archive.http.session import Session
from dandi_mirror.errors import CredentialsError, MirrorError, NotFoundError, PartError

IN_THE_WAY = 409
"""The HTTP status if another asset has the path, or if the path would be both a file and a folder."""


@dataclass(frozen=True, slots=True)
class AssetChange:
    """An asset to be made; with ``instead_of``, it takes the place of one (a replacement, or a rename)."""

    metadata: Mapping[str, object]
    """Its record; ``path`` is where it will be."""
    blob: str
    """The blob's id; empty for a Zarr."""
    instead_of: str = ""
    """The id of the asset that goes; empty for a new path."""
    zarr: str = ""
    """The Zarr's id; empty for a blob."""

    @property
    def path(self) -> str:
        """Where it will be."""
        return str(self.metadata["path"])

    @property
    def source(self) -> Source:
        """What it is made of."""
        return Source(self.blob, self.zarr)


@dataclass(frozen=True, slots=True)
class AssetRemoval:
    """An asset to be taken out of the draft."""

    asset_id: str
    path: str


@dataclass(frozen=True, slots=True)
class Registered:
    """A change that the archive has made."""

    change: AssetChange | AssetRemoval
    asset_id: str
    """Of the asset that is there now; empty after a removal."""


@dataclass(frozen=True, slots=True)
class Unregistered:
    """A change that failed."""

    change: AssetChange | AssetRemoval
    error: MirrorError


def register_assets(
    session: Session, dandiset: str, changes: Iterable[AssetChange | AssetRemoval], *, jobs: int = AT_ONCE
) -> Iterator[Registered | Unregistered]:
    """Change a draft, several assets at a time, and tell of each what became of it.

    Changes are made first, then removals; so what is killed between leaves nothing out.  What something is in the
    way of (a path that is yet to be renamed or removed, a file where a folder is to be) comes after that.  Two assets
    that swap contents are two replacements, not two renames.

    Raises:
        CredentialsError: the archive does not let who asks; nothing else is asked.
    """
    removals: list[AssetRemoval] = []
    blocked: list[Unregistered] = []

    def made() -> Iterator[AssetChange]:
        for change in changes:
            if isinstance(change, AssetRemoval):
                removals.append(change)
            else:
                yield change

    with ThreadPoolExecutor(jobs, thread_name_prefix="register") as pool:
        yield from _put_off(_all(pool, session, dandiset, made(), jobs), blocked)
        while blocked or removals:
            before = len(blocked)
            again, blocked = [failed.change for failed in blocked], []
            yield from _all(pool, session, dandiset, removals, jobs)
            for change in again:
                # one after the other: one may be in the way of the next
                yield from _put_off(iter([_one(session, dandiset, change)]), blocked)
            if len(blocked) == before and not removals:
                yield from blocked
                return
            removals = []


def _put_off(
    outcomes: Iterator[Registered | Unregistered], blocked: list[Unregistered]
) -> Iterator[Registered | Unregistered]:
    """All but those that something is in the way of."""
    for outcome in outcomes:
        error = outcome.error if isinstance(outcome, Unregistered) else None
        if isinstance(outcome, Unregistered) and isinstance(error, RequestRefused) and error.status == IN_THE_WAY:
            blocked.append(outcome)
        else:
            yield outcome


def _all(
    pool: ThreadPoolExecutor, session: Session, dandiset: str, changes: Iterable[AssetChange | AssetRemoval], jobs: int
) -> Iterator[Registered | Unregistered]:
    """What became of each, in the order in which they end."""
    rest = iter(changes)
    under_way: set[Future[Registered | Unregistered]] = set()
    try:
        while True:
            more = islice(rest, 2 * jobs - len(under_way))
            under_way |= {pool.submit(_one, session, dandiset, change) for change in more}
            if not under_way:
                return
            done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()
    finally:
        for future in under_way:
            future.cancel()


def _one(session: Session, dandiset: str, change: AssetChange | AssetRemoval) -> Registered | Unregistered:
    """Make one change.

    Raises:
        CredentialsError: no other one would fare better.
    """
    try:
        if isinstance(change, AssetRemoval):
            delete_asset(session, dandiset, change.asset_id)
            return Registered(change, "")
        if not change.instead_of:
            return Registered(change, create_asset(session, dandiset, change.metadata, change.source))
        asset_id = replace_asset(session, dandiset, change.instead_of, change.metadata, change.source)
        return Registered(change, asset_id)
    except CredentialsError:
        raise
    except NotFoundError:
        error = PartError(f"{change.path} was changed in the archive meanwhile; sync, and run the command again")
        return Unregistered(change, error)
    except MirrorError as error:
        return Unregistered(change, error)
