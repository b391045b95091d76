"""Hold a share of the content of a mirror's Dandisets: read what there is, plan, give up and fetch."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping

from dandi_mirror.archive.content.single import ByteCounter
from dandi_mirror.archive.content.sources import TransferSettings
from dandi_mirror.errors import PartError
from dandi_mirror.mirror.contents.selection import meets
from dandi_mirror.mirror.copies.claims import add_wanted
from dandi_mirror.mirror.copies.places import Knowledge, RepositoryCopies, read_copies
from dandi_mirror.mirror.copies.planner import HoldKey, plan_hold
from dandi_mirror.mirror.copies.repositories import MirrorRepository, held_size, present_keys
from dandi_mirror.mirror.copies.shares import (
    LEAST,
    WANTED,
    HoldResult,
    Share,
    ToHold,
    Where,
    fetched,
    name_of,
    no_room,
    path_of,
)
from dandi_mirror.mirror.copies.table import copies_of
from dandi_mirror.mirror.copies.versions import VersionContents, commits_of, contents_of_versions
from dandi_mirror.mirror.copies.zarr_holding import (
    WriteZarr,
    fetch_zarr,
    keys_of_zarr_here,
    wanted_keys,
    zarr_to_hold,
    zarrs_that_meet,
)
from dandi_mirror.mirror.copies.zarrs import zarrs_of_versions
from dandi_mirror.mirror.fetch.get import Download, run_download
from dandi_mirror.mirror.fetch.get_plan import GetPlan
from dandi_mirror.model import DRAFT
from dandi_mirror.repo.annex import content
from dandi_mirror.repo.annex.keys import size_of
from dandi_mirror.repo.annex.locations import read_numcopies, wanted_expression
from dandi_mirror.repo.annex.repository import AnnexRepository, Tracked
from dandi_mirror.repo.git.dataset import ANNEX
from dandi_mirror.text import redacted


def plan_share(
    known: Knowledge, dandisets: Iterable[str], pledge: int, where: Where = (), *, give_up: bool = True
) -> Share:
    """Plan what the mirror holds of these Dandisets within ``pledge`` bytes; writes nothing but git-annex's set-up.

    Content of other Dandisets of the mirror counts, too, and stays.  ``where`` limits what is fetched.  Without
    ``give_up``, the plan gives up nothing.

    Raises:
        MirrorError: a repository cannot be read.
    """
    held = [one for dandiset in dandisets for one in _to_hold(known, dandiset, where)]
    keys = [key for one in held for key in one.keys]
    beside = held_size(known.mirror) - sum(key.size for key in keys if key.here)
    numcopies = max([LEAST, *(one.needed for one in held)]) if give_up else 1 << 30
    uuid = "".join(sorted(one.copies.uuid for one in held))
    return Share(tuple(held), plan_hold(keys, max(0, pledge - beside), numcopies, uuid))


def _to_hold(known: Knowledge, dandiset: str, where: Where) -> Iterator[ToHold]:
    """The dataset of a Dandiset, and the repositories of its Zarrs."""
    copies = read_copies(known, MirrorRepository(dandiset))
    commits = commits_of(copies.dataset)
    contents = contents_of_versions(copies.dataset, commits)
    draft = _year(copies.dataset.seconds(commits[DRAFT])) if DRAFT in commits else 9999
    years = {version: draft if version == DRAFT else 2000 + int(version[2:4]) for version in commits}
    dataset = _dataset_to_hold(dandiset, copies, commits, contents, years, where)
    yield dataset
    zarrs = zarrs_of_versions(dandiset, contents)
    meant = zarrs_that_meet(where, copies.dataset, commits) if where and zarrs else None
    for zarr in zarrs:
        yield zarr_to_hold(known, dataset, zarr, years, fetchable=meant is None or zarr.path in meant)


def _dataset_to_hold(
    dandiset: str,
    copies: RepositoryCopies,
    commits: dict[str, str],
    contents: Mapping[str, VersionContents],
    years: Mapping[str, int],
    where: Where,
) -> ToHold:
    clone = AnnexRepository(copies.dataset.path)
    clone.prepare()
    paths: dict[str, str] = {}
    first: dict[str, str] = {}
    for version, found in contents.items():
        for path, key in found.files.items():
            paths[key] = path
            first.setdefault(key, version)
    here = present_keys(clone.git_dir)
    branch = copies.dataset.ref(ANNEX)
    wanted = wanted_expression(copies.dataset, branch, clone.uuid)
    fetchable = _fetchable(clone, commits, paths, where, wanted)
    sources = copies.archives | {place.uuid for place in copies.elsewhere}
    keys = tuple(
        HoldKey(
            f"{dandiset}/{key}",
            here.get(key, size_of(key)),
            key in here,
            copies_of(copies.locations.get(key, frozenset()), copies.elsewhere),
            years.get(version := first.get(key, DRAFT), 9999),
            version != DRAFT,
            key in fetchable and bool(copies.locations.get(key, frozenset()) & sources),
        )
        for key in sorted({*paths, *here})
    )
    numcopies = read_numcopies(copies.dataset, branch)
    return ToHold(MirrorRepository(dandiset), clone, copies, paths, keys, numcopies, wanted)


def _year(seconds: int) -> int:
    return time.gmtime(seconds).tm_year


def _fetchable(
    clone: AnnexRepository, commits: dict[str, str], paths: dict[str, str], where: Where, wanted: str
) -> set[str]:
    """The keys that may be fetched: those that ``where`` means, and that git-annex wants here if a person said so."""
    found = set(paths)
    if where:
        fields = clone.fields(found)
        found = {key for key in found if meets(where, fields[key])}
    return found if wanted in {"", WANTED} else found & wanted_keys(clone, commits.values())


def give_up(share: Share, may_go: Callable[[ToHold, list[str]], Iterable[str]]) -> Iterator[HoldResult]:
    """Give up what the plan says, if git-annex finds enough copies elsewhere.

    ``may_go`` looks at the copies in other mirrors, and returns the keys that are there.
    """
    for held, planned in share.by_repository(share.plan.give_up):
        keys = keys_of_zarr_here(held) if held.zarr and planned else list(map(name_of, planned))
        proved = set(may_go(held, keys)) if keys else set()
        if held.zarr and len(proved) < len(keys):
            why = f"copies of {len(keys) - len(proved):,} of its {len(keys):,} files could not be proved"
            yield _stays(held, held.zarr.newest, why)
            continue
        yield from (_stays(held, key, "a copy in another mirror could not be proved") for key in keys
                    if key not in proved)  # fmt: skip
        wanted = [key for key in keys if key in proved]
        for key, reason in content.drop(held.clone.path, wanted, held.needed) if wanted else ():
            if reason:
                yield _stays(held, key, redacted(reason)[:300])
            else:
                yield HoldResult(held.repository.dandiset, path_of(held, key), key, size_of(key), "give up")


def _stays(held: ToHold, key: str, why: str) -> HoldResult:
    where, code = held.repository.dandiset, PartError.exit_code
    return HoldResult(where, path_of(held, key), key, size_of(key), "give up", "impossible", why, code)


def _no_room(held: ToHold, size: int, left: int) -> HoldResult:
    zarr, why = held.zarr, no_room(size, max(0, left))
    assert zarr
    where, code = held.repository.dandiset, PartError.exit_code
    return HoldResult(where, zarr.path, zarr.newest, size, "fetch", "impossible", why, code)


def fetch_share(
    share: Share, pledge_left: int, write: WriteZarr, access: TransferSettings, jobs: int, meter: ByteCounter
) -> Iterator[HoldResult]:
    """Fetch what the plan says, at most ``pledge_left`` bytes, by the bulk engine.

    Raises:
        DiskError: the disk is full or not writable.
    """
    left = pledge_left
    for held, planned in share.by_repository(share.plan.fetch):
        missing = []
        for key in planned:
            if key.size <= left:
                left -= key.size
                missing.append(Tracked(path_of(held, name_of(key)), name_of(key), pointer=False))
            elif held.zarr:
                # what the plan gives up in its favour has stayed
                yield _no_room(held, key.size, left)
        if held.zarr:
            yield from fetch_zarr(held, write, access, jobs, meter) if missing else ()
            continue
        if held.wanted == "" and (missing or any(key.here for key in held.keys)):
            add_wanted(held.clone)
        work = Download(held.clone, GetPlan(missing=missing), access)
        for got in run_download(work, access, jobs, meter) if missing else ():
            yield fetched(held, got.path, got)
