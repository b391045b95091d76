"""The door to the sync of one Dandiset: whether there is anything to do, the lock, and what becomes of a failure."""

from __future__ import annotations

import gc
import logging
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from dandi_mirror.archive.api.client import Archive
from dandi_mirror.errors import (
    CredentialsError,
    DiskError,
    LockedError,
    MirrorError,
    NotFoundError,
    PartError,
    TemporaryError,
)
from dandi_mirror.mirror.format.record_spool import Spool
from dandi_mirror.mirror.state.index import NOTHING, Failure, Remembered, published_in, row_key
from dandi_mirror.mirror.state.layout import Mirror
from dandi_mirror.mirror.state.options import Options
from dandi_mirror.mirror.sync import messages
from dandi_mirror.mirror.sync.steps import Run, bring_up_to_date
from dandi_mirror.mirror.sync.superdataset import register
from dandi_mirror.model import ABSENT, DandisetRow, Finding, Kind, Report
from dandi_mirror.own import OwnPath
from dandi_mirror.repo.git import worktree
from dandi_mirror.repo.git.dataset import TAGS, Dataset
from dandi_mirror.repo.git.lock import Unfinished

_ABSENT = {
    Kind.GONE: "the archive has it no more (404); the mirror keeps what it has",
    Kind.FORBIDDEN: "the archive does not show it any more (401, 403); the mirror keeps what it has",
    Kind.EMBARGOED: "it is not open, and --embargoed was not said; the mirror keeps what it has",
}


@dataclass(frozen=True, slots=True)
class Task:
    """One Dandiset to be synced."""

    dandiset: str
    options: Options
    row: DandisetRow | None = None
    """The archive's row for it, if a list has just brought it."""
    missing: bool = False
    """Whether a list of all Dandisets has just left it out, though it is mirrored."""
    until: float | None = None
    """When it is too late to begin, in seconds since 1970; None: never."""


def sync_dandiset(
    archive: Archive, mirror: Mirror, dandiset: str, options: Options, row: DandisetRow | None = None
) -> Report:
    """Bring one Dandiset up to the archive and register it; what went wrong is in the report."""
    report = sync_one(archive, mirror, Task(dandiset, options, row))
    if not options.dry_run and (trouble := register(archive.instance, mirror)):
        report.findings = sorted([*report.findings, *trouble.findings])
        report.news |= trouble.news
        if not report.exit_code:
            report.status = trouble.status if trouble.message else report.status
            report.message, report.exit_code = trouble.message, trouble.exit_code
    return report


def sync_one(archive: Archive, mirror: Mirror, task: Task) -> Report:
    """Bring one Dandiset up to the archive, without a word in the superdataset; never raises."""
    if task.until is not None and time.time() >= task.until:
        return deferred(task.dandiset)
    report = Report(task.dandiset)
    with failures_in(report), without_collection():
        _sync(archive, mirror, task, report)
    undone = report.status in {"error", "impossible"} and report.exit_code != LockedError.exit_code
    if undone and not task.options.dry_run:
        with suppress(DiskError):
            if mirror.own.is_folder():
                mirror.remember_failure(task.dandiset, Failure(report.exit_code, report.message))
    return report


def deferred(dandiset: str) -> Report:
    """The report of a Dandiset that the time limit has left to the next run."""
    why = "the time limit came before it was done; the next run does it"
    return Report(dandiset, "impossible", why, TemporaryError.exit_code, deferred=True)


@contextmanager
def failures_in(report: Report) -> Iterator[None]:
    """Let what goes wrong in the block stand in the report."""
    try:
        yield
    except Exception as error:
        report.status, report.message, report.exit_code = failed(report.dandiset, error)


def failed(dandiset: str, error: Exception) -> tuple[str, str, int]:
    """What a report says of a failure: status, message and exit code."""
    logging.getLogger("dandi_mirror").debug("%s", dandiset, exc_info=error)
    if isinstance(error, MirrorError):
        status = "impossible" if isinstance(error, LockedError | CredentialsError) else "error"
        return status, str(error), error.exit_code
    # a defect of ours, or of what we stand on: it is this Dandiset's, and the others go on
    return "error", f"unexpected: {type(error).__name__}: {error}; run again with -l debug and report it", 1


@contextmanager
def without_collection() -> Iterator[None]:
    """Let Python's cycle collector rest: what a sync holds has no cycles, and looking for them takes a third of it."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def nothing_to_do(
    mirror: Mirror, row: DandisetRow, then: Remembered | None, options: Options, dandiset: str
) -> Report | None:
    """The report of a Dandiset that is as the last complete sync left it; None if there may be something to do."""
    if then is None or then.absent or then.row != row_key(row):
        return None
    return as_left(mirror, then, options, dandiset)


def as_left(mirror: Mirror, then: Remembered, options: Options, dandiset: str) -> Report | None:
    """The report of a Dandiset of which there is nothing to do as long as the archive says what it said.

    None if there may be something to do all the same.  No git is started.
    """
    if options.mode != "auto" or options.accepted or then.unfinished or then.versions != options.versions:
        return None
    branch = mirror.ref(dandiset, f"refs/heads/{options.branch}") or ""
    if then.branch != branch:
        return None
    tagged = "" if then.absent or options.versions == "draft" else published_in(then.row)
    if branch and tagged and not mirror.has_ref(dandiset, f"{TAGS}{tagged}"):
        return None
    findings = list(then.findings)
    return Report(dandiset, commit=branch, findings=findings, exit_code=_exit_code(findings) if findings else 0)


def _sync(archive: Archive, mirror: Mirror, task: Task, report: Report) -> None:
    dandiset, options = task.dandiset, task.options
    then = mirror.index.get(dandiset)
    try:
        row = task.row or archive.dandiset(dandiset)
    except (NotFoundError, CredentialsError) as error:
        if not task.missing:
            raise
        kind = Kind.GONE if isinstance(error, NotFoundError) else Kind.FORBIDDEN
        return _note_absence(mirror, task, then, kind, report)
    if not row.is_open and not options.embargoed:
        if task.missing:
            return _note_absence(mirror, task, then, Kind.EMBARGOED, report)
        raise PartError(f"{dandiset} is embargoed ({row.embargo_status}); to mirror it all the same: --embargoed")
    if found := nothing_to_do(mirror, row, then, options, dandiset):
        report.commit, report.findings, report.exit_code = found.commit, found.findings, found.exit_code
        return None
    if not mirror.alone:
        mirror.superdataset.check_is_ours(str(archive.instance.dataset_id()))
    if then and then.absent and options.mode == "auto":
        # what was not open has other URLs since it is, and its records do not say that they changed
        options = replace(options, mode="force")
    with _held(mirror, dandiset, options) as killed, closing(Spool(_scratch(mirror, options))) as spool:
        run = Run(archive, mirror, dandiset, options, report, spool, closed=not row.is_open)
        if killed:
            make_good(run.dataset, options.branch, killed)
        bring_up_to_date(run, row)
    report.exit_code = _exit_code(report.findings)
    return None


def _note_absence(mirror: Mirror, task: Task, then: Remembered | None, kind: Kind, report: Report) -> None:
    """Keep everything, and say once why the archive does not give the Dandiset any more."""
    then = then or NOTHING
    options, finding = task.options, Finding("", "", kind, _ABSENT[kind])
    report.findings = sorted([finding, *(found for found in then.findings if found.kind not in ABSENT)])
    report.news = finding not in then.findings
    report.commit = mirror.ref(task.dandiset, f"refs/heads/{options.branch}") or ""
    report.exit_code = _exit_code(report.findings)
    facts = then._replace(
        versions=options.versions, branch=report.commit, findings=tuple(report.findings), verified=time.time()
    )
    if not options.dry_run:
        mirror.remember(task.dandiset, facts)


def make_good(dataset: Dataset, branch: str, killed: Unfinished) -> None:
    """Make good what a run left that did not come through; only under the dataset's lock."""
    dataset.clear_stale(killed)
    tip = dataset.ref(f"refs/heads/{branch}")
    # what a person has committed is where the person wants it
    if tip and messages.TRAILER in dataset.message(tip):
        # before the branch moves on: afterwards a half-written work tree would look like a person's edits
        worktree.bring_up(dataset, branch, tip, left=worktree.OTHER[branch])


def _held(mirror: Mirror, dandiset: str, options: Options) -> AbstractContextManager[Unfinished | None]:
    """The dataset's lock; a dry run writes nothing, so it needs none."""
    return nullcontext() if options.dry_run else mirror.lock(dandiset)


def _scratch(mirror: Mirror, options: Options) -> Path | OwnPath:
    return Path(tempfile.gettempdir()) if options.dry_run else mirror.own / "tmp"


def _exit_code(findings: list[Finding]) -> int:
    """How a run ends that has done all it could; a version that is gone is told, but nothing fails by it."""
    kinds = {finding.kind for finding in findings} - {Kind.VANISHED}
    return 7 if Kind.ALARM in kinds else 3 if kinds else 0
