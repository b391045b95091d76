"""The steps of one Dandiset's sync, in their order: read, plan, check, write, check out, remember."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial

from dandi_mirror.errors import TemporaryError
from dandi_mirror.mirror.format.record_reader import lines
from dandi_mirror.mirror.format.records import is_part
from dandi_mirror.mirror.state.remembered import Failure, RememberedDandiset, draft_of, entry_fingerprint, hosts_key
from dandi_mirror.mirror.sync.archive_state import ArchiveState, cache_key, read_archive
from dandi_mirror.mirror.sync.context import SyncContext
from dandi_mirror.mirror.sync.dataset_state import DatasetState, alarm_finding, read_state
from dandi_mirror.mirror.sync.eager_logs import LARGE, EagerLogs, eager_logs
from dandi_mirror.mirror.sync.log_plan import LogPlan, RecordChanges, plan_logs, record_changes
from dandi_mirror.mirror.sync.permissions import close_folder, open_to_others
from dandi_mirror.mirror.sync.rewritten import accept_rewritten
from dandi_mirror.mirror.sync.version_reader import unseen
from dandi_mirror.mirror.sync.writer import BranchUpdate, Writer
from dandi_mirror.model import DRAFT, Finding, FindingKind, ListedDandiset, Report
from dandi_mirror.repo.annex.initialise_in_mirror import initialise_in_mirror, is_initialised_in_mirror
from dandi_mirror.repo.annex.journal import held_journal
from dandi_mirror.repo.git import worktree
from dandi_mirror.repo.git.dataset import ANNEX, Dataset
from dandi_mirror.repo.git.folding import folds_names, one_file_here
from dandi_mirror.repo.git.reader import one_reader
from dandi_mirror.repo.git.stream import NewFile


def bring_up_to_date(sync: SyncContext, entry: ListedDandiset) -> Report:
    """Read what is new, plan, refuse what is unsafe, write and remember, in this order; then tidy up.

    Raises:
        MirrorError: a step failed; everything before the writing has changed nothing.
    """
    with one_reader(sync.dataset.path):
        report = _bring_up_to_date(sync, entry)
    if not sync.options.dry_run:
        sync.progress("git gc, if it pays")
        sync.dataset.collect_garbage()
    return report


def _bring_up_to_date(sync: SyncContext, entry: ListedDandiset) -> Report:
    sync.progress("reading the dataset")
    state = read_state(sync)
    with _eager_logs(sync, entry) as eager:
        archive = read_archive(sync, entry, state, eager.take if eager else unseen)
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
    if archive.zarrs and archive.zarrs.modules:
        from dandi_mirror.mirror.sync.zarr_repositories import write_repositories

        report = replace(report, findings=[*report.findings, *write_repositories(sync, archive.zarrs)])
    before = set(then.findings if then else ())
    report = replace(report, findings=sorted(report.findings), news=not before.issuperset(report.findings))
    _remember(sync, archive, report, then)
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


def _eager_logs(sync: SyncContext, entry: ListedDandiset) -> AbstractContextManager[EagerLogs | None]:
    small = entry.draft.asset_count < LARGE
    if small or sync.closed or sync.options.dry_run or sync.options.branch != DRAFT or sync.dataset.ref(ANNEX):
        return nullcontext()
    return eager_logs(sync.dataset, sync.options.branch, sync.instance, sync.dandiset, entry.draft.modified)


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
    was_closed = not sync.closed and draft_of(then.entry if then else "").embargo_status not in {"", "OPEN"}
    if not dataset.exists():
        dataset.create(sync.options.branch)
    if sync.closed and not sync.mirror.alone:
        # before anything is in it
        close_folder(dataset.path)
    sync.progress("writing")
    tags = {**state.tags, **_accept(sync)}
    # in these cases also the logs of keys whose records are as they were may differ
    whole = sync.options.mode != "auto" or then is None or then.hosts != archive.hosts
    log_plan = _log_plan(dataset, archive, whole)
    with held_journal(dataset.git_dir) as journal:
        writer = Writer(
            sync.instance, sync.dandiset, dataset,
            closed=sync.closed, dropped_hosts=sync.dropped_hosts, journal=journal,
        )  # fmt: skip
        alarms = writer.write(tags, archive.versions, archive.branch, log_plan, archive.entry.draft.modified, eager)
    if was_closed and not sync.mirror.alone:
        open_to_others(dataset.path, sync.mirror.path)
    return [alarm_finding(sync.dandiset, version) for version in alarms]


def _accept(sync: SyncContext) -> dict[str, str]:
    """Tag anew the versions that the user accepts; if the run is killed after it, the next one does the rest."""
    if sync.options.accepted:
        failure = Failure(TemporaryError.exit_code, "cut off while tagging anew")
        sync.mirror.remember_failure(sync.dandiset, failure)
    return {name: accept_rewritten(sync.dataset, sync.instance, sync.dandiset, name) for name in sync.options.accepted}


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
    initialise = partial(initialise_in_mirror, dataset, description, (sync.instance.api_url, sync.closed))
    findings: list[Finding] = []
    if not sync.options.work_tree and not sync.mirror.alone:
        worktree.leave_out_data(dataset)
    with ThreadPoolExecutor(2, thread_name_prefix="beside") as pool:
        beside = [pool.submit(_store_cache, sync, archive, commit)]
        # while git writes a first work tree, git-annex has as much to do with its branch
        if dataset.head_branch() == name and not is_initialised_in_mirror(dataset):
            beside.append(pool.submit(initialise))
        try:
            kept = worktree.update_worktree(dataset, name, state.branch, left=worktree.OTHER[name])
            findings += [Finding(name, path, FindingKind.WORKTREE, _edited(dataset, path)) for path in kept]
        except worktree.WorktreeBlocked as blocked:
            findings.append(Finding(name, "", FindingKind.WORKTREE, f"the work tree was left alone: {blocked}"))
    for done in beside:
        done.result()
    if folds_names(dataset) and dataset.head_branch() == name:
        found = one_file_here(dataset, dataset.tree(commit))
        findings += [Finding(name, path, FindingKind.WORKTREE, reason) for path, reason in found.items()]
    if dataset.head_branch() == name and not is_initialised_in_mirror(dataset):
        initialise()
    return findings


def _edited(dataset: Dataset, path: str) -> str:
    back = shlex.join(["git", "-C", str(dataset.path), "restore", "--staged", "--worktree", path])
    return f"it is edited here, and your edit was left as it is; only a sync writes this file; to take it back: {back}"


def _store_cache(sync: SyncContext, archive: ArchiveState, commit: str) -> None:
    if archive.branch and sync.options.branch == DRAFT:
        cache = sync.mirror.asset_cache(sync.dandiset)
        listing = archive.branch.listing
        listed = cache.listed() if listing.newest else time.time()
        # a text file that did not come is not in the tree as it should be: the next sync looks at the whole draft
        entries = listing.entry.asset_count + sum(found.kind is FindingKind.TEXT for found in archive.findings)
        cache.store(cache_key(sync, commit), listing.assets, archive.cached, listed, entries)


def _remember(sync: SyncContext, archive: ArchiveState, report: Report, then: RememberedDandiset | None) -> None:
    # a sync without the cache has read everything
    in_full = sync.options.mode != "auto" or not (archive.cached or archive.is_small)
    verified = then.verified if then and not in_full else 0.0
    zarrs = archive.zarrs
    facts = RememberedDandiset(
        entry_fingerprint(archive.entry), sync.options.versions, report.commit, archive.hosts,
        tuple(report.findings), verified or time.time(), content_hosts=hosts_key(sync.options.hosts),
        zarrs=zarrs.key if zarrs else "", zarr_totals=zarrs.totals.as_text() if zarrs else "",
    )  # fmt: skip
    sync.mirror.remember(sync.dandiset, facts)
