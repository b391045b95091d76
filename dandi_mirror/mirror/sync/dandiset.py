"""Sync one Dandiset: decide whether there is anything to do, hold the lock, and report what went wrong."""

from __future__ import annotations

import gc
import logging
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from dandi_mirror.archive.api.client import ArchiveClient
from dandi_mirror.errors import (
    CredentialsError,
    DiskError,
    IntegrityError,
    LockedError,
    MirrorError,
    NotFoundError,
    PartError,
    TemporaryError,
    uncaught,
)
from dandi_mirror.files.own import OwnPath
from dandi_mirror.mirror.state.damage import damage_of, refuse_other_folder
from dandi_mirror.mirror.state.layout import Mirror
from dandi_mirror.mirror.state.options import Options
from dandi_mirror.mirror.state.remembered import (
    NOTHING,
    Failure,
    RememberedDandiset,
    entry_fingerprint,
    hosts_key,
    published_in,
)
from dandi_mirror.mirror.sync.context import OutOfTime, SyncContext
from dandi_mirror.mirror.sync.superdataset import register_in_superdataset
from dandi_mirror.mirror.sync.zarr_changes import changed_zarrs
from dandi_mirror.model import ABSENT, Finding, FindingKind, Instance, ListedDandiset, Report
from dandi_mirror.repo.annex.initialise_in_mirror import mark_as_initialised
from dandi_mirror.repo.git import worktree
from dandi_mirror.repo.git.dataset import TAGS, Dataset
from dandi_mirror.repo.git.lock import UnfinishedRun

_ABSENT = {
    FindingKind.GONE: "the archive does not have it any more (404); the mirror keeps what it has",
    FindingKind.FORBIDDEN: "the archive does not show it any more (401, 403); the mirror keeps what it has",
    FindingKind.EMBARGOED: "it is embargoed, and the run was started without --embargoed; the mirror keeps what it has",
}


@dataclass(frozen=True, slots=True)
class Task:
    """One Dandiset to sync."""

    dandiset: str
    options: Options
    entry: ListedDandiset | None = None
    """What the archive's list of Dandisets says about it, if the run has just read that list."""
    missing: bool = False
    """Whether a list of all Dandisets has just left it out, though it is mirrored."""
    until: float | None = None
    """The time after which the sync does not begin, in seconds since 1970; None: it may always begin."""


def sync_dandiset(
    archive: ArchiveClient, mirror: Mirror, dandiset: str, options: Options, entry: ListedDandiset | None = None
) -> Report:
    """Bring one Dandiset up to date and register it in the superdataset; the report says what went wrong.

    A clone that is a mirror alone has no superdataset, and uses git-annex with the person's own settings.
    """
    if mirror.alone:
        mark_as_initialised(mirror.dataset(dandiset))
    report = sync_one(archive, mirror, Task(dandiset, options, entry))
    trouble = None if options.dry_run or mirror.alone else register_in_superdataset(archive.instance, mirror)
    return with_trouble(report, trouble) if trouble else report


def with_trouble(report: Report, trouble: Report) -> Report:
    """The report of a Dandiset with what went wrong in the superdataset."""
    report = replace(report, findings=sorted([*report.findings, *trouble.findings]), news=report.news or trouble.news)
    if report.exit_code:
        return report
    status = trouble.status if trouble.message else report.status
    return replace(report, status=status, message=trouble.message, exit_code=trouble.exit_code)


def sync_one(archive: ArchiveClient, mirror: Mirror, task: Task) -> Report:
    """Bring one Dandiset up to date, but not the superdataset; never raises an exception."""
    if task.until is not None and time.time() >= task.until:
        return deferred(task.dandiset)
    with without_collection():
        try:
            report = reported(task.dandiset, lambda: _sync_named(archive, mirror, task))
        except OutOfTime:
            return deferred(task.dandiset)
    undone = report.status in {"error", "impossible"} and report.exit_code != LockedError.exit_code
    if undone and not task.options.dry_run:
        with suppress(DiskError):
            if mirror.own.is_folder():
                mirror.remember_failure(task.dandiset, Failure(report.exit_code, report.message))
    return report


def deferred(dandiset: str) -> Report:
    """The report of a Dandiset that the time limit leaves to the next run."""
    why = "the time limit came before it was done; the next run does it"
    return Report(dandiset, "impossible", why, TemporaryError.exit_code, deferred=True)


def reported(dandiset: str, sync: Callable[[], Report]) -> Report:
    """The report that ``sync`` returns, or one of the exception that it raises."""
    try:
        return sync()
    except OutOfTime:
        raise
    except Exception as error:
        return Report(dandiset, *failed(dandiset, error))


def _sync_named(archive: ArchiveClient, mirror: Mirror, task: Task) -> Report:
    """Sync one Dandiset; a failure that comes from damage is named as that."""
    with damage_named(mirror, task.dandiset):
        return _sync(archive, mirror, task)


@contextmanager
def damage_named(mirror: Mirror, dandiset: str) -> Iterator[None]:
    """Raise IntegrityError with the commands that repair a dataset, if the block fails because that is damaged."""
    try:
        yield
    except (TemporaryError, CredentialsError, LockedError, DiskError, OutOfTime):
        raise
    except Exception as error:
        if why := damage_of(mirror, dandiset, error):
            raise IntegrityError(why) from error
        raise


def failed(dandiset: str, error: Exception) -> tuple[str, str, int]:
    """What a report says about a failure: status, message and exit code."""
    logging.getLogger("dandi_mirror").debug("%s", dandiset, exc_info=error)
    if isinstance(error, MirrorError):
        status = "impossible" if isinstance(error, LockedError | CredentialsError) else "error"
        return status, str(error), error.exit_code
    return "error", *uncaught(error)  # also a defect is this Dandiset's, and the others go on


@contextmanager
def without_collection() -> Iterator[None]:
    """Stop Python's cycle collector: a sync makes no cycles, and the search for them would take a third of its time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def nothing_to_do(
    mirror: Mirror, entry: ListedDandiset, then: RememberedDandiset | None, options: Options, dandiset: str
) -> Report | None:
    """The report of a Dandiset that is as the last complete sync left it; None if there may be something to do."""
    is_same = then and not then.absent and then.entry == entry_fingerprint(entry)
    return unchanged_report(mirror, then, options, dandiset) if then and is_same else None


def unchanged_report(mirror: Mirror, then: RememberedDandiset, options: Options, dandiset: str) -> Report | None:
    """The report of a Dandiset that needs no sync as long as the archive lists it as before; starts no git.

    None if there may be something to do all the same.
    """
    if options.mode != "auto" or options.accepted or then.unfinished or then.versions != options.versions:
        return None
    branch = mirror.ref(dandiset, f"refs/heads/{options.branch}") or ""
    if then.branch != branch or then.content_hosts != hosts_key(options.hosts):
        return None
    if mirror.has_new_settings(dandiset) and mirror.is_strange(dandiset):
        return None  # the sync says what is strange, for example settings that name another work tree
    tagged = "" if then.absent or options.versions == "draft" else published_in(then.entry)
    if branch and tagged and not mirror.has_ref(dandiset, f"{TAGS}{tagged}"):
        return None
    findings = list(then.findings)
    return Report(dandiset, commit=branch, findings=findings, exit_code=_exit_code(findings) if findings else 0)


def _sync(archive: ArchiveClient, mirror: Mirror, task: Task) -> Report:
    dandiset, options = task.dandiset, task.options
    then = mirror.index.get(dandiset)
    entry = _entry(archive, task)
    if isinstance(entry, FindingKind):
        return _note_absence(mirror, task, then, entry)
    found = nothing_to_do(mirror, entry, then, options, dandiset)
    if found and not (then and then.zarrs and changed_zarrs(archive, {dandiset: then.zarrs})):
        # a run over many has no time for all; the rolling check and `status` look
        is_here = Dataset(Path(mirror.folder(dandiset))).exists()
        if not (task.entry and is_here) and (why := damage_of(mirror, dandiset)):
            raise IntegrityError(why)
        return found
    if not mirror.alone:
        refuse_other_folder(mirror, str(archive.instance.dataset_id()))
    options = replace(options, mode=needed_mode(options, then))
    dropped = dropped_hosts(archive.instance, options, then)
    # late: all that writes a dataset takes a quarter of the time of the imports, and most runs have nothing to do
    from dandi_mirror.mirror.format.record_spool import Spool
    from dandi_mirror.mirror.sync.steps import bring_up_to_date

    with _held(mirror, dandiset, options) as killed, closing(Spool(_scratch(mirror, options))) as spool:
        sync = SyncContext(archive, mirror, dandiset, options, spool, not entry.is_open, dropped, task.until)
        if why := damage_of(mirror, dandiset):
            # before anything is written to it
            raise IntegrityError(why)
        if killed:
            repair_after_crash(sync.dataset, options.branch, killed)
        if not options.dry_run:
            mirror.note_archive(archive.instance)
        report = bring_up_to_date(sync, entry)
    return replace(report, exit_code=_exit_code(report.findings))


def _entry(archive: ArchiveClient, task: Task) -> ListedDandiset | FindingKind:
    """What the archive lists of the Dandiset; if it does not give one that the list of all does not have, why."""
    try:
        entry = task.entry or archive.dandiset(task.dandiset)
    except (NotFoundError, CredentialsError) as error:
        if not task.missing:
            raise
        return FindingKind.GONE if isinstance(error, NotFoundError) else FindingKind.FORBIDDEN
    if entry.is_open or task.options.embargoed:
        return entry
    if task.missing:
        return FindingKind.EMBARGOED
    what = f"{task.dandiset} is embargoed ({entry.embargo_status})"
    raise PartError(f"{what}; to mirror it all the same, add --embargoed")


def needed_mode(options: Options, then: RememberedDandiset | None) -> str:
    """How much a sync has to read, given what the last complete one left; at least what the options ask for."""
    if then is None:
        return options.mode
    if then.content_hosts != hosts_key(options.hosts):
        # which content URLs git-annex gets is decided anew, for every version
        return "verify"
    # an embargoed Dandiset has other URLs once it is open, and its records do not say that they changed
    return "force" if then.absent and options.mode == "auto" else options.mode


def dropped_hosts(instance: Instance, options: Options, then: RememberedDandiset | None) -> frozenset[str]:
    """The hosts of content that the settings named at the last sync and that are not admitted any more."""
    from dandi_mirror.mirror.format.admission import ContentHosts

    hosts = ContentHosts(instance, options.hosts)
    return frozenset(host for host in (then or NOTHING).content_hosts.split() if not hosts.admit(f"https://{host}/x"))


def _note_absence(mirror: Mirror, task: Task, then: RememberedDandiset | None, kind: FindingKind) -> Report:
    """Keep everything, and report once why the archive does not give the Dandiset any more."""
    then = then or NOTHING
    options, finding = task.options, Finding("", "", kind, _ABSENT[kind])
    findings = sorted([finding, *(found for found in then.findings if found.kind not in ABSENT)])
    commit = mirror.ref(task.dandiset, f"refs/heads/{options.branch}") or ""
    facts = then._replace(versions=options.versions, branch=commit, findings=tuple(findings), verified=time.time())
    if not options.dry_run:
        mirror.remember(task.dandiset, facts)
    return Report(
        task.dandiset, commit=commit, findings=findings, news=finding not in then.findings,
        exit_code=_exit_code(findings),
    )  # fmt: skip


def repair_after_crash(dataset: Dataset, branch: str, killed: UnfinishedRun) -> None:
    """Remove or complete what a killed run left; only under the dataset's lock."""
    dataset.clear_stale(killed)
    tip = dataset.ref(f"refs/heads/{branch}")
    from dandi_mirror.mirror.sync import messages

    # a commit that a person made is where the person wants it
    if tip and messages.TRAILER in dataset.message(tip):
        # before the branch moves on: afterwards a half-written work tree would look like a person's edits
        with suppress(worktree.WorktreeBlocked):  # the sync itself will report it
            worktree.update_worktree(dataset, branch, tip, left=worktree.OTHER[branch])


def _held(mirror: Mirror, dandiset: str, options: Options) -> AbstractContextManager[UnfinishedRun | None]:
    """The dataset's lock; a dry run writes nothing and needs none."""
    return nullcontext() if options.dry_run else mirror.lock(dandiset)


def _scratch(mirror: Mirror, options: Options) -> Path | OwnPath:
    return Path(tempfile.gettempdir()) if options.dry_run else mirror.own / "tmp"


def _exit_code(findings: Iterable[Finding]) -> int:
    """The exit code of a run that did all it could; a version that the archive lost is reported and is no failure."""
    kinds = {finding.kind for finding in findings} - {FindingKind.VANISHED}
    return 7 if FindingKind.ALARM in kinds else 3 if kinds else 0
