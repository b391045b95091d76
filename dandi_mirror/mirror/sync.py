"""The door to a sync: what is asked for, whether there is anything to do, and what becomes of a failure."""

from __future__ import annotations

import gc
import logging
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from pathlib import Path

from dandi_mirror.archive.client import Archive
from dandi_mirror.errors import CredentialsError, LockedError, MirrorError, PartError
from dandi_mirror.mirror.index import row_key
from dandi_mirror.mirror.mirror import Mirror
from dandi_mirror.mirror.options import Options
from dandi_mirror.mirror.spool import Spool
from dandi_mirror.mirror.update import Run, bring_up_to_date
from dandi_mirror.model import DandisetRow, Finding, Kind, Report
from dandi_mirror.repo import worktree
from dandi_mirror.repo.dataset import TAGS
from dandi_mirror.repo.lock import Unfinished


def sync_many(
    archive: Archive,
    mirror: Mirror,
    dandisets: list[str],
    options: Options,
    rows: Mapping[str, DandisetRow],
    jobs: int = 1,
) -> Iterator[Report]:
    """Each Dandiset, ``jobs`` of them at a time, in their order; one's failure is its own."""
    pool = ThreadPoolExecutor(jobs, thread_name_prefix="sync")
    try:
        waiting = [
            pool.submit(sync_dandiset, archive, mirror, dandiset, options, rows.get(dandiset)) for dandiset in dandisets
        ]
        for future in waiting:
            yield future.result()
    finally:
        # an interrupted run does not wait for those that are at work
        pool.shutdown(wait=False, cancel_futures=True)


def sync_dandiset(
    archive: Archive, mirror: Mirror, dandiset: str, options: Options, row: DandisetRow | None = None
) -> Report:
    """Bring one Dandiset up to the archive; what went wrong with it is in the report.

    ``row`` is the archive's row for it, if a list has just brought it.
    """
    report = Report(dandiset)
    try:
        with without_collection():
            _sync(archive, mirror, dandiset, options, row, report)
    except MirrorError as error:
        logging.getLogger("dandi_mirror").debug("%s", dandiset, exc_info=True)
        report.status = "impossible" if isinstance(error, LockedError | CredentialsError) else "error"
        report.message = str(error)
        report.exit_code = error.exit_code
    except Exception as error:
        # a defect of ours, or of what we stand on: it is this Dandiset's, and the others go on
        logging.getLogger("dandi_mirror").debug("%s", dandiset, exc_info=True)
        report.status, report.exit_code = "error", 1
        report.message = f"unexpected: {type(error).__name__}: {error}; run again with -l debug and report it"
    return report


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


def _sync(
    archive: Archive, mirror: Mirror, dandiset: str, options: Options, row: DandisetRow | None, report: Report
) -> None:
    row = row or archive.dandiset(dandiset)
    if row.embargo_status != "OPEN":
        raise PartError(f"{dandiset} is embargoed ({row.embargo_status}); this release mirrors open Dandisets only")
    if _nothing_to_do(mirror, row, options, report):
        return
    mirror.superdataset.check_is_ours(str(archive.instance.dataset_id()))
    with _held(mirror, dandiset, options) as killed, closing(Spool(_scratch(mirror, options))) as spool:
        run = Run(archive, mirror, dandiset, options, report, spool)
        if killed:
            run.dataset.clear_stale(killed)
            # before the branch moves on: afterwards a half-written work tree would look like a person's edits
            tip = run.dataset.ref(f"refs/heads/{options.branch}")
            worktree.bring_up(run.dataset, options.branch, tip, left=worktree.OTHER[options.branch])
        bring_up_to_date(run, row)
    report.exit_code = _exit_code(report.findings)


def _held(mirror: Mirror, dandiset: str, options: Options) -> AbstractContextManager[Unfinished | None]:
    """The dataset's lock; a dry run writes nothing, so it needs none."""
    return nullcontext() if options.dry_run else mirror.lock(dandiset)


def _scratch(mirror: Mirror, options: Options) -> Path:
    return Path(tempfile.gettempdir()) if options.dry_run else mirror.own / "tmp"


def _exit_code(findings: list[Finding]) -> int:
    """How a run ends that has done all it could; a version that is gone is told, but nothing fails by it."""
    kinds = {finding.kind for finding in findings} - {Kind.VANISHED}
    return 7 if Kind.ALARM in kinds else 3 if kinds else 0


def _nothing_to_do(mirror: Mirror, row: DandisetRow, options: Options, report: Report) -> bool:
    """Whether the archive's row and the dataset are as the last complete sync left them."""
    then = mirror.index.get(row.identifier)
    if options.mode != "auto" or then is None or then.unfinished:
        return False
    branch = mirror.dataset(row.identifier).ref(f"refs/heads/{options.branch}") or ""
    if (then.row, then.versions, then.branch) != (row_key(row), options.versions, branch):
        return False
    if branch and not mirror.superdataset.dataset.ref("HEAD"):
        return False
    tag = f"{TAGS}{row.published.version}" if row.published and options.versions != "draft" else ""
    if branch and tag and not mirror.dataset(row.identifier).ref(tag):
        return False
    report.commit = branch
    report.findings = list(then.findings)
    report.exit_code = _exit_code(report.findings)
    return True
