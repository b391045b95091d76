"""Write the repositories of those Zarrs of a draft that the settings ask for, when the draft is written."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from dandi_mirror.errors import DiskError, MirrorError
from dandi_mirror.mirror.state.options import Options
from dandi_mirror.mirror.sync.context import SyncContext, check_time_limit
from dandi_mirror.mirror.sync.permissions import set_zarr_permissions
from dandi_mirror.mirror.sync.zarrs import ZarrVersion
from dandi_mirror.mirror.zarr.annex_logs import Sources
from dandi_mirror.mirror.zarr.gitmodules import ZarrModule
from dandi_mirror.mirror.zarr.repository import ZarrRepositories
from dandi_mirror.model import Finding, FindingKind
from dandi_mirror.zarr_checksum import counts_of

AT_ONCE = 2
"""Repositories that are written at the same time."""


def write_repositories(sync: SyncContext, version: ZarrVersion) -> list[Finding]:
    """Write the repositories that are wanted and not there; a finding for each that cannot be written.

    Raises:
        DiskError: the disk is full or not writable.
        OutOfTime: the time limit has come; the next run goes on.
    """
    repositories = ZarrRepositories(sync.mirror.path)
    wanted = [] if sync.mirror.alone else [zarr for zarr in version.modules if is_wanted(sync.options, zarr)]
    missing = [zarr for zarr in wanted if not repositories.is_current(zarr.zarr_id, zarr.checksum)]
    found = []
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="repositories") as pool:
        writing = pool.map(lambda zarr: _write(sync, repositories, version, zarr), missing)
        for done, finding in enumerate(writing, start=1):
            sync.progress(f"repositories of Zarrs: {done:,} of {len(missing):,}")
            found += [finding] if finding else []
    for zarr in version.modules if not sync.mirror.alone else ():
        set_zarr_permissions(sync.mirror.path, zarr.zarr_id, closed=sync.closed)
    return found


def is_wanted(options: Options, zarr: ZarrModule) -> bool:
    """Whether the settings ask for the repository of a Zarr."""
    match options.zarr_repositories:
        case "none":
            return False
        case "small":
            return counts_of(zarr.checksum)[0] <= options.small_entries
    return True


def _write(sync: SyncContext, repositories: ZarrRepositories, version: ZarrVersion, zarr: ZarrModule) -> Finding | None:
    check_time_limit(sync)
    asset = version.listing.assets[zarr.path]
    base = f"{asset.content_url.rstrip('/')}/" if asset.content_url else None
    try:
        repositories.write(zarr.zarr_id, zarr.checksum, Sources(sync.instance.api_url, base, sync.closed))
    except DiskError:
        raise
    except MirrorError as error:
        reason = f"its repository was not written: {error}"
        return Finding(version.listing.entry.version, zarr.path, FindingKind.PENDING, reason, asset.asset_id)
    return None
