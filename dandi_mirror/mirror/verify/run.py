"""Verify many Dandisets: in threads, until the time is over, and with shares that go on where the last run ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

from dandi_mirror.archive.api.client import ArchiveClient
from dandi_mirror.config import Sibling
from dandi_mirror.errors import DiskError, MirrorError, TemporaryError, exit_code, uncaught
from dandi_mirror.mirror.state.layout import Mirror
from dandi_mirror.mirror.state.options import Pace
from dandi_mirror.mirror.state.verified import Damage, Verification
from dandi_mirror.mirror.sync.superdataset import SUPERDATASET
from dandi_mirror.mirror.verify import memories, secrets
from dandi_mirror.mirror.verify.dataset import Checks, DatasetToVerify, verify_dataset
from dandi_mirror.mirror.verify.differences import Difference, DifferenceKind, exit_code_of, repair_command
from dandi_mirror.mirror.verify.repair import DatasetRepair, MirrorRepair, Step
from dandi_mirror.mirror.verify.sample import Window
from dandi_mirror.mirror.verify.zarr_manifests import check_orphans
from dandi_mirror.model import Instance, ListedDandiset

_TOO_LATE = "not verified: the time limit came before it; the next run begins with it"


@dataclass(frozen=True, slots=True)
class Verified:
    """What a verification found in one Dandiset, or in the mirror itself."""

    dandiset: str
    """An id, or ``superdataset`` for the mirror itself."""
    differences: tuple[Difference, ...] = ()
    failure: str = ""
    """Why it could not be verified to the end; empty if it was."""
    exit_code: int = 0
    deferred: bool = False
    """Whether the time limit came before it."""

    @property
    def status(self) -> str:
        """In DataLad's words."""
        return "impossible" if self.deferred else "error" if self.exit_code else "ok"

    @property
    def repair(self) -> str:
        """What to type to repair it."""
        content = any(found.kind is DifferenceKind.CONTENT for found in self.differences)
        return repair_command("" if self.dandiset == SUPERDATASET else self.dandiset, content=content)


def verify_many(
    mirror: Mirror,
    dandisets: list[str],
    instance: Instance,
    checks: Checks,
    archive: ArchiveClient | None,
    entries: Mapping[str, ListedDandiset | None],
    pace: Pace,
    damaged: Mapping[str, Damage] | None = None,
) -> Iterator[Verified]:
    """Yield what was found in each Dandiset, those first that were not verified for longest; the mirror itself last.

    ``entries`` are what the archive lists, if that was read; after the deadline of ``pace`` no Dandiset is begun.
    ``damaged`` are those of which to compare also all that found them damaged before.
    """
    before, every = mirror.verifications.read(), damaged or {}

    def work(dandiset: str) -> Verified:
        if pace.deadline is not None and time.monotonic() >= pace.deadline:
            return Verified(dandiset, failure=_TOO_LATE, exit_code=TemporaryError.exit_code, deferred=True)
        then, wanted = before.get(dandiset, Verification(0, "")), checks.with_all_of(every.get(dandiset))
        chosen = DatasetToVerify(
            mirror, dandiset, instance, Window(then.urls, wanted.urls), Window(then.content, wanted.content)
        )
        found = _collected(dandiset, lambda: verify_dataset(chosen, wanted, archive, entries.get(dandiset)))
        _remember(mirror, chosen, wanted, found)
        return found

    oldest_first = sorted(dandisets, key=lambda name: (before[name].ended if name in before else 0.0, name))
    with ThreadPoolExecutor(pace.jobs, thread_name_prefix="verify") as pool:
        yield from pool.map(work, oldest_first)
    if not mirror.alone:
        yield _collected(SUPERDATASET, lambda: _verify_mirror(mirror, instance, checks))


def repair_many(
    mirror: Mirror,
    found: Iterable[Verified],
    checks: Checks,
    archive: ArchiveClient,
    told: Callable[[str, str], None],
    siblings: tuple[Sibling, ...] = (),
    *,
    dry_run: bool = False,
) -> Iterator[Verified]:
    """Repair what was found, one Dandiset after the other, and yield what a second verification finds.

    ``told`` is called with a Dandiset and each step before it is done; with ``dry_run``, no step is done.  What the
    archive does not have any more is looked for at the ``siblings``.
    """
    before, damaged = mirror.verifications.read(), mirror.verifications.damaged()
    for one in found:
        then, after = before.get(one.dandiset, Verification(0, "")), checks.with_all_of(damaged.get(one.dandiset))
        after = after.of_repair()
        windows = Window(then.urls, after.urls), Window(then.content, after.content)
        chosen = DatasetToVerify(mirror, one.dandiset, archive.instance, *windows)
        if one.dandiset == SUPERDATASET and not dry_run:
            # the datasets may have other commits since
            one = _verify_again(chosen, after, archive)
        if not one.differences or one.deferred:
            yield one
            continue
        repair = MirrorRepair if one.dandiset == SUPERDATASET else DatasetRepair
        steps = repair(archive, chosen, checks.options, one.differences, siblings).steps()
        failure, code = _repair(steps, partial(told, one.dandiset), dry_run=dry_run)
        again = one if dry_run else _verify_again(chosen, after, archive)
        if one.dandiset != SUPERDATASET and not dry_run:
            _remember(mirror, chosen, after, again)
        yield replace(again, failure=failure or again.failure, exit_code=exit_code({again.exit_code, code}))


def _repair(steps: Iterator[Step], told: Callable[[str], None], *, dry_run: bool) -> tuple[str, int]:
    """Do the steps, or only tell them; why one failed, and its exit code."""
    try:
        for step in steps:
            told(step.title)
            if not dry_run and isinstance(said := step.do(), str) and said:
                told(said)
    except MirrorError as error:
        return str(error), error.exit_code
    return "", 0


def _verify_again(chosen: DatasetToVerify, checks: Checks, archive: ArchiveClient) -> Verified:
    if chosen.dandiset == SUPERDATASET:
        return _collected(SUPERDATASET, lambda: _verify_mirror(chosen.mirror, chosen.instance, checks))
    return _collected(chosen.dandiset, lambda: verify_dataset(chosen, checks, archive, None))


def _verify_mirror(mirror: Mirror, instance: Instance, checks: Checks) -> Iterator[Difference]:
    yield from memories.check_superdataset(mirror, instance)
    yield from memories.check_index(mirror)
    yield from memories.check_caches(mirror)
    yield from check_orphans(mirror)
    yield from secrets.check_own_files(mirror, checks.keys)


def _collected(dandiset: str, check: Callable[[], Iterator[Difference]]) -> Verified:
    """What was found; also if a check failed after some had been found."""
    found: list[Difference] = []
    failure, code = "", 0
    try:
        found.extend(check())
    except MirrorError as error:
        failure, code = str(error), error.exit_code
    except Exception as error:
        # a defect of this program: it is this Dandiset's, and the others go on
        failure, code = uncaught(error)
    codes = {exit_code_of(found), code}
    return Verified(dandiset, tuple(sorted(set(found))), failure, exit_code(codes))


def _remember(mirror: Mirror, chosen: DatasetToVerify, checks: Checks, found: Verified) -> None:
    """Remember a verification that came to its end; a mirror that cannot be written is verified all the same."""
    if found.failure or not mirror.own.is_folder():
        return
    now = Verification(
        time.time(), checks.how, len(found.differences), found.exit_code, chosen.urls.end, chosen.content.end
    )
    try:
        mirror.verifications.put(chosen.dandiset, now)
    except DiskError:
        return
