"""Sync many Dandisets in one run: which of them have changed, in what order, and until when."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Container, Iterator, Mapping
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from operator import itemgetter

from dandi_mirror.archive.api.client import ArchiveClient
from dandi_mirror.archive.api.entries import DandisetListing
from dandi_mirror.errors import TemporaryError
from dandi_mirror.mirror.state.damage import held_dandisets, refuse_other_folder, without_repository
from dandi_mirror.mirror.state.layout import Mirror
from dandi_mirror.mirror.state.options import Options, Pace
from dandi_mirror.mirror.state.remembered import Memory, says
from dandi_mirror.mirror.sync.dandiset import Task, deferred, nothing_to_do, unchanged_report, without_collection
from dandi_mirror.mirror.sync.executors import executor, portable
from dandi_mirror.mirror.sync.recheck import due
from dandi_mirror.mirror.sync.superdataset import SUPERDATASET, is_registered, register_in_superdataset
from dandi_mirror.mirror.sync.zarr_changes import changed_zarrs
from dandi_mirror.model import Report

GRACE = 3.0
"""Seconds after the time limit in which Dandisets that have begun may still finish."""
ENDING = 1.0
"""Seconds after an interruption in which they may; what takes longer is ended, and the next run does it."""


@dataclass(frozen=True, slots=True)
class MirrorState:
    """What the mirror has, from its index and refs."""

    memory: Memory
    restored: bool
    """Whether the index was lost, and the memory comes from the datasets."""
    unchanged: Mapping[str, Report] = field(default_factory=dict)
    """The reports of the Dandisets that need no sync as long as the archive lists them as before."""


@dataclass(frozen=True, slots=True)
class Listed:
    """What the archive lists, and what the mirror had at that time."""

    entries: DandisetListing
    here: MirrorState
    ids: list[str]
    """All Dandisets that the archive lists or the mirror has, in order."""


def list_all(archive: ArchiveClient, mirror: Mirror, options: Options) -> Listed:
    """Read the list of all Dandisets, and look at the mirror in the meantime.

    Raises:
        TemporaryError: the archive lists nothing at all, as one does that is in trouble.
    """
    with without_collection(), ThreadPoolExecutor(1, thread_name_prefix="beside") as beside:
        looking = beside.submit(_look, mirror, options)
        entries = archive.dandisets(embargoed=options.embargoed)
        if not entries and (held := mirror.dandisets()):
            raise TemporaryError(
                f"{archive.instance.api_url} lists no Dandiset at all, and {len(held)} are mirrored; "
                "nothing was done, run the command again later"
            )
        held = held_dandisets(mirror, besides=entries)
        return Listed(entries, looking.result(), sorted({*entries, *held}))


def _look(mirror: Mirror, options: Options) -> MirrorState:
    (memory, restored), lost = mirror.remembered(), without_repository(mirror)
    known = {dandiset: then for dandiset, then in memory.dandisets.items() if dandiset not in lost}
    looked = ((dandiset, unchanged_report(mirror, then, options, dandiset)) for dandiset, then in known.items())
    return MirrorState(memory, restored, {dandiset: report for dandiset, report in looked if report})


def sync_many(
    archive: ArchiveClient,
    mirror: Mirror,
    dandisets: list[str],
    options: Options,
    pace: Pace,
    listed: Listed | None = None,
) -> Iterator[Report]:
    """Yield a report for each Dandiset, in their order; then one for the superdataset, if something is wrong with it.

    ``listed`` is the list of all Dandisets, if the caller has read it.  If one Dandiset fails, the others go on.

    Raises:
        UsageError: the folder is something else, or the scheduler cannot be used.
        DiskError: its disk lacks what a mirror needs.
    """
    here = listed.here if listed else MirrorState(*mirror.remembered())
    with without_collection():
        settled, tasks = _divide(archive, mirror, dandisets, options, listed.entries if listed else None, pace, here)
    if any(pace.scheduler or task.entry for task in tasks) or not is_registered(mirror, here.memory):
        refuse_other_folder(mirror, str(archive.instance.dataset_id()))
    if tasks:
        mirror.check_disk()  # also in a dry run, which says what a run would do
    if not options.dry_run:
        yield from _mend_index(mirror, here)
    waiting = deque(dandisets)
    futures: Mapping[str, Future[Report]] = {}
    try:
        with _at_work(archive, mirror, tasks, pace) as futures:
            while waiting:
                yield settled.get(waiting[0]) or _outcome(waiting[0], futures[waiting[0]], pace)
                waiting.popleft()
    except KeyboardInterrupt:
        # a Dandiset that is complete has to be reported now: the next run finds nothing new in it
        wait(futures.values(), ENDING)
        reports = [futures[dandiset].result() for dandiset in waiting if _ended(futures, dandiset)]
        yield from (report for report in reports if report.status == "ok")
        raise
    if not options.dry_run and (
        trouble := register_in_superdataset(archive.instance, mirror, None if tasks else here.memory)
    ):
        yield trouble


def _mend_index(mirror: Mirror, here: MirrorState) -> Iterator[Report]:
    """Make a lost or spoilt index anew of what the datasets remember; a report if it was spoilt."""
    if here.memory.spoilt:
        aside = mirror.index.set_aside()
        why = f"{mirror.index} was damaged; it was made anew, and the damaged one is kept as {aside.name}"
        yield Report(SUPERDATASET, "ok", why)
    if here.restored:
        mirror.make_own()
        mirror.index.restore(here.memory.dandisets)


def _divide(
    archive: ArchiveClient,
    mirror: Mirror,
    dandisets: list[str],
    options: Options,
    entries: DandisetListing | None,
    pace: Pace,
    here: MirrorState,
) -> tuple[dict[str, Report], list[Task]]:
    """The reports of the Dandisets that need no sync, and the tasks for the others in the order in which they begin."""
    memory = here.memory.dandisets
    known = {dandiset: memory[dandiset] for dandiset in dandisets if dandiset in memory}
    again = due({dandiset: then.verified for dandiset, then in known.items()}, time.time(), pace.recheck_days)
    until = None if pace.deadline is None else time.time() + pace.deadline - time.monotonic()
    as_before = _as_before(archive, mirror, dandisets, options, entries, here, again) if entries is not None else {}
    settled: dict[str, Report] = {}
    tasks = []
    for dandiset in dandisets:
        found = as_before.get(dandiset)
        if found and dandiset not in again:
            settled[dandiset] = found
            continue
        missing = entries is not None and dandiset not in entries
        task = Task(dandiset, options, entries.get(dandiset) if entries else None, missing, until)
        if dandiset in again and options.mode == "auto":
            task = replace(task, options=replace(options, mode="force"))
        tasks.append((_turn(task, found is None, dandiset in known, pace), task))
    return settled, [task for _, task in sorted(tasks, key=itemgetter(0))]


def _as_before(
    archive: ArchiveClient,
    mirror: Mirror,
    dandisets: list[str],
    options: Options,
    entries: DandisetListing,
    here: MirrorState,
    again: Container[str],
) -> dict[str, Report]:
    """The reports of the Dandisets in which neither the list entry nor a Zarr has changed.

    Of those that are read ``again`` in any case, the Zarrs are not looked at.
    """
    looked = ((dandiset, _settled(mirror, dandiset, entries, here, options)) for dandiset in dandisets)
    found = {dandiset: report for dandiset, report in looked if report}
    zarrs = {name: here.memory.dandisets[name].zarrs for name in found if name in entries and name not in again}
    changed = changed_zarrs(archive, {name: key for name, key in zarrs.items() if key})
    return {dandiset: report for dandiset, report in found.items() if dandiset not in changed}


def _settled(
    mirror: Mirror, dandiset: str, entries: DandisetListing, here: MirrorState, options: Options
) -> Report | None:
    """The report of a Dandiset that needs no sync, because mirror and archive are as after the last one; else None."""
    if not (found := here.unchanged.get(dandiset)):
        return None
    then = here.memory.dandisets[dandiset]
    if dandiset not in entries or then.absent:
        return found if dandiset not in entries and then.absent else None
    if says(entries.unread(dandiset), then.entry):
        return found
    # the archive may write the same facts in another way
    entry = entries[dandiset]
    return nothing_to_do(mirror, entry, then, options, dandiset) if entry else None


def _turn(task: Task, changed: bool, known: bool, pace: Pace) -> tuple[object, ...]:
    """The place of a task in the run: changed Dandisets first, then new ones, then those that are only rechecked.

    Large ones come first, so that the run does not end with waiting for them; under a time limit they come last, so
    that they do not keep the others from being synced.
    """
    size = task.entry.draft.asset_count if task.entry else 0
    return not changed, not known, size if pace.deadline else -size, task.dandiset


@contextmanager
def _at_work(
    archive: ArchiveClient, mirror: Mirror, tasks: list[Task], pace: Pace
) -> Iterator[Mapping[str, Future[Report]]]:
    """Begin the tasks; those that have not begun when the block ends never begin."""
    if not tasks:
        yield {}
        return
    if pace.scheduler and not tasks[0].options.dry_run:
        mirror.make_own()
    with executor(archive, mirror, pace) as submit:
        yield {task.dandiset: submit(portable(task) if pace.scheduler else task) for task in tasks}


def _ended(futures: Mapping[str, Future[Report]], dandiset: str) -> bool:
    """Whether a task came to its end, with a report."""
    future = futures.get(dandiset)
    return future is not None and future.done() and not future.cancelled() and future.exception() is None


def _left(pace: Pace) -> float | None:
    return None if pace.deadline is None else max(0.0, pace.deadline + GRACE - time.monotonic())


def _outcome(dandiset: str, future: Future[Report], pace: Pace) -> Report:
    try:
        return future.result(_left(pace))
    except (CancelledError, TimeoutError):
        if pace.deadline is not None and time.monotonic() >= pace.deadline:
            return deferred(dandiset)
        why = "the scheduler has dropped it"
    except Exception as error:
        # raised by the cluster, not by the task: its worker has died
        why = f"no worker came to its end ({error or 'it does not say why'})"
    return Report(dandiset, "error", f"{why}; run the command again", TemporaryError.exit_code)
