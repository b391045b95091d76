"""The steps of one Dandiset's sync, in their order: read, plan, check, write, check out, remember."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

from dandi_mirror.errors import TemporaryError
from dandi_mirror.mirror.format.record_reader import lines
from dandi_mirror.mirror.format.records import is_part
from dandi_mirror.mirror.state.remembered import Failure, RememberedDandiset, hosts_key, row_key
from dandi_mirror.mirror.sync.archive_state import ArchiveState, cache_key, read_archive, registered_hosts
from dandi_mirror.mirror.sync.context import SyncContext
from dandi_mirror.mirror.sync.dataset_state import DatasetState, alarm_finding, read_state
from dandi_mirror.mirror.sync.eager_logs import LARGE, EagerLogs, eager_logs
from dandi_mirror.mirror.sync.log_plan import LogPlan, RecordChanges, plan_logs, record_changes
from dandi_mirror.mirror.sync.rewritten import accept
from dandi_mirror.mirror.sync.version_reader import unseen
from dandi_mirror.mirror.sync.writer import BranchUpdate, Writer
from dandi_mirror.model import DRAFT, DandisetRow, Finding, Kind, Report
from dandi_mirror.repo.annex.setup import is_set_up, set_up_annex
from dandi_mirror.repo.git import worktree
from dandi_mirror.repo.git.dataset import ANNEX, Dataset
from dandi_mirror.repo.git.stream import NewFile


def bring_up_to_date(sync: SyncContext, row: DandisetRow) -> Report:
    """Read what is new, plan, refuse what is unsafe, write and remember, in this order; then tidy up.

    Raises:
        MirrorError: a step failed; everything before the writing has changed nothing.
    """
    sync.progress("reading the dataset")
    state = read_state(sync)
    with _eager_logs(sync, row) as eager:
        archive = read_archive(sync, row, state, eager.take if eager else unseen)
        if archive.branch and not sync.options.allow_deletes:
            archive.branch.plan.check(sync.dandiset)
        report = planned_report(sync, state, archive)
        if sync.options.dry_run:
            return report
        then = sync.mirror.index.get(sync.dandiset)
        if not archive.branch and not state.branch:
            report = replace(report, message="nothing is published yet")
        else:
            alarms = _write(sync, state, archive, then, eager)
            commit = sync.dataset.ref(f"refs/heads/{sync.options.branch}") or ""
            report = replace(report, commit=commit, findings=[*report.findings, *alarms])
    if report.commit:
        sync.progress("work tree")
        found = _bring_work_tree(sync, state, archive, report.commit)
        report = replace(report, findings=[*report.findings, *found])
    before = set(then.findings if then else ())
    report = replace(report, findings=sorted(report.findings), news=not before.issuperset(report.findings))
    _remember(sync, archive, report, then)
    sync.progress("git gc, if it pays")
    sync.dataset.collect_garbage()
    return report


def planned_report(sync: SyncContext, state: DatasetState, archive: ArchiveState) -> Report:
    """The report of a sync that does what is planned."""
    tags = [name for name in (version.name for version in archive.versions) if name not in state.tags]
    report = Report(
        sync.dandiset, message=state.message, tags=tags, findings=sorted([*state.findings, *archive.findings])
    )
    branch = archive.branch
    if branch:
        counts, plan = branch.counts, branch.plan
        report = replace(
            report, files=counts.files, size=counts.size,
            added=len(plan.added), changed=len(plan.changed), removed=len(plan.gone),
        )  # fmt: skip
    moves = tags or sync.options.accepted or (branch and not branch.plan.empty)
    return replace(report, status="ok") if moves else report


def _eager_logs(sync: SyncContext, row: DandisetRow) -> AbstractContextManager[EagerLogs | None]:
    small = row.draft.asset_count < LARGE
    if small or sync.closed or sync.options.dry_run or sync.options.branch != DRAFT or sync.dataset.ref(ANNEX):
        return nullcontext()
    return eager_logs(sync.dataset, sync.options.branch, sync.instance, sync.dandiset, row.draft.modified)


# --- writing -------------------------------------------------------------------------------------------------


def _write(
    sync: SyncContext,
    state: DatasetState,
    archive: ArchiveState,
    then: RememberedDandiset | None,
    eager: EagerLogs | None,
) -> list[Finding]:
    """Write everything that is new; a finding for each version whose tag differs from the archive."""
    dataset = sync.dataset
    if not dataset.exists():
        dataset.create(sync.options.branch)
    sync.progress("writing")
    tags = {**state.tags, **_accept(sync)}
    # in these cases also the logs of keys whose records are as they were may differ
    whole = sync.options.mode != "auto" or then is None or then.hosts != registered_hosts(archive)
    log_plan = _log_plan(dataset, archive, whole)
    writer = Writer(sync.instance, sync.dandiset, dataset, closed=sync.closed, dropped_hosts=sync.dropped_hosts)
    alarms = writer.write(tags, archive.versions, archive.branch, log_plan, archive.row.draft.modified, eager)
    return [alarm_finding(sync.dandiset, version) for version in alarms]


def _accept(sync: SyncContext) -> dict[str, str]:
    """Tag anew the versions that the user accepts; if the run is killed after it, the next one does the rest."""
    if sync.options.accepted:
        failure = Failure(TemporaryError.exit_code, "cut off while tagging anew")
        sync.mirror.remember_failure(sync.dandiset, failure)
    return {name: accept(sync.dataset, sync.instance, sync.dandiset, name) for name in sync.options.accepted}


def _log_plan(dataset: Dataset, archive: ArchiveState, whole: bool) -> LogPlan:
    published = (use for version in archive.versions for use in version.tree.annexed)
    branch = archive.branch
    if branch is None:
        return plan_logs(published, (), None)
    changes = _record_changes(dataset, branch) if branch.old else None
    return plan_logs(published, branch.tree.annexed, changes, whole=whole)


def _record_changes(dataset: Dataset, branch: BranchUpdate) -> RecordChanges:
    new = {path: entry for path, entry in branch.plan.files if is_part(path) and isinstance(entry, NewFile)}
    old = sorted({path for path in (*new, *branch.plan.removed) if path in branch.old and is_part(path)})
    refused = [refusal.asset_id for refusal in branch.listing.refusals]
    with dataset.reader() as reader:
        return record_changes(lines(reader, [branch.old[path][1] for path in old]), _lines(new.values()), refused)


def _lines(files: Iterable[NewFile]) -> Iterator[bytes]:
    return (line for file in files for line in file.content().splitlines())


# --- afterwards ----------------------------------------------------------------------------------------------


def _bring_work_tree(sync: SyncContext, state: DatasetState, archive: ArchiveState, commit: str) -> list[Finding]:
    """Check out the new state and set git-annex up; a finding if local edits keep the work tree as it is."""
    dataset, name = sync.dataset, sync.options.branch
    description = f"mirror of {sync.instance.identifier(sync.dandiset)}"
    findings: list[Finding] = []
    with ThreadPoolExecutor(2, thread_name_prefix="beside") as pool:
        beside = [pool.submit(_store_cache, sync, archive, commit)]
        # while git writes a first work tree, git-annex has as much to do with its branch
        if dataset.head_branch() == name and not is_set_up(dataset):
            beside.append(pool.submit(set_up_annex, dataset, description))
        try:
            worktree.update_worktree(dataset, name, state.branch, left=worktree.OTHER[name])
        except worktree.WorktreeBlocked as blocked:
            findings.append(Finding(name, "", Kind.WORKTREE, f"the work tree was left alone: {blocked}"))
    for done in beside:
        done.result()
    if dataset.head_branch() == name and not is_set_up(dataset):
        set_up_annex(dataset, description)
    return findings


def _store_cache(sync: SyncContext, archive: ArchiveState, commit: str) -> None:
    if archive.branch and sync.options.branch == DRAFT:
        cache = sync.mirror.asset_cache(sync.dandiset)
        cache.store(cache_key(sync, commit), archive.branch.listing.assets, archive.cached)


def _remember(sync: SyncContext, archive: ArchiveState, report: Report, then: RememberedDandiset | None) -> None:
    # a sync without the cache has read everything
    in_full = sync.options.mode != "auto" or not archive.cached
    verified = then.verified if then and not in_full else 0.0
    facts = RememberedDandiset(
        row_key(archive.row), sync.options.versions, report.commit, registered_hosts(archive),
        tuple(report.findings), verified or time.time(), content_hosts=hosts_key(sync.options.hosts),
    )  # fmt: skip
    sync.mirror.remember(sync.dandiset, facts)
