"""Compare a dataset with what the archive says now: its branch, its tags, and the logs of git-annex."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from dandi_mirror.mirror.sync import messages
from dandi_mirror.mirror.sync.archive_state import ArchiveState, read_archive
from dandi_mirror.mirror.sync.context import SyncContext
from dandi_mirror.mirror.sync.dataset_state import DatasetState, read_state
from dandi_mirror.mirror.sync.log_plan import plan_logs
from dandi_mirror.mirror.sync.version_reader import unseen
from dandi_mirror.mirror.sync.writer import VersionToTag, Writer
from dandi_mirror.mirror.verify.differences import Difference, DifferenceKind, fixed_by_sync, repair_command
from dandi_mirror.model import Finding, FindingKind, ListedDandiset
from dandi_mirror.repo.annex.logs import Stamp
from dandi_mirror.repo.git.dataset import ANNEX, TAGS
from dandi_mirror.repo.git.object_ids import commit_id, tree_id
from dandi_mirror.repo.git.stream import object_id, tag_object

_MOST = 20
"""Paths of a kind that are named one by one."""
_TAGGED_FINDINGS = {FindingKind.ALARM, FindingKind.HELD}


def check_with_archive(sync: SyncContext, entry: ListedDandiset) -> Iterator[Difference]:
    """The differences between a dataset and the archive; ``sync`` has the mode ``verify``.

    Raises:
        MirrorError: the archive does not answer, or the dataset cannot be read.
    """
    state = read_state(sync)
    archive = read_archive(sync, entry, state, unseen)
    for version in archive.versions:
        yield from _check_version(sync, state, version)
    yield from _held(sync, archive.findings)
    yield from _vanished(archive.findings)
    yield from _check_branch(sync, archive)
    yield from _check_logs(sync, archive)


def version_commit(sync: SyncContext, version: VersionToTag) -> str:
    """The commit that the archive's answer gives for a published version."""
    files = {path: (entry.mode, entry.object_id()) for path, entry in version.tree.entries.items()}
    message = messages.version_message(sync.instance, sync.dandiset, version.listing)
    return commit_id(tree_id(files), version.listing.entry.created, message)


def _check_version(sync: SyncContext, state: DatasetState, version: VersionToTag) -> Iterator[Difference]:
    name, ref = version.name, f"{TAGS}{version.name}"
    if name not in state.tags:
        yield fixed_by_sync(
            DifferenceKind.TAG, ref, "the archive has this version, but the mirror has no tag for it", _sync(sync)
        )
        return
    entry, commit = version.listing.entry, version_commit(sync, version)
    message = messages.version_tag(sync.instance, sync.dandiset, name, version.listing.metadata)
    tag = object_id(b"tag", tag_object(commit, name, entry.created, message)).hex()
    if tag == state.tags[name]:
        return
    now, _ = sync.dataset.tagged(name)
    if now == commit:
        what = "the tag has another message or date than the archive's answer gives"
    else:
        what = f"the tag points to {now[:10]}, and the archive's answer gives {commit[:10]}"
    accept = f"dandi-mirror sync {sync.dandiset} --accept-changed {name}"
    repair = repair_command(sync.dandiset)
    yield Difference(
        DifferenceKind.TAG, ref, what, f"if the archive has rewritten the version: {accept}; else {repair}"
    )


def _held(sync: SyncContext, findings: tuple[Finding, ...]) -> Iterator[Difference]:
    for finding in findings:
        if finding.kind is FindingKind.HELD:
            yield fixed_by_sync(DifferenceKind.TAG, f"{TAGS}{finding.version}", finding.reason, _sync(sync))


def _vanished(findings: tuple[Finding, ...]) -> Iterator[Difference]:
    for finding in findings:
        if finding.kind is FindingKind.VANISHED:
            what = "the archive does not list this version any more; the tag stays"
            yield fixed_by_sync(
                DifferenceKind.TAG, f"{TAGS}{finding.version}", what, "none; ask the archive why it is gone"
            )


def _check_branch(sync: SyncContext, archive: ArchiveState) -> Iterator[Difference]:
    if not archive.branch or archive.branch.plan.empty:
        return
    plan = archive.branch.plan
    named = [(path, "the archive has this file, but the branch does not") for path in plan.added]
    named += [(path, "the archive has other content or another record") for path in plan.changed]
    named += [(path, "the archive does not have this file any more") for path in plan.gone]
    for path, what in islice(named, _MOST):
        yield fixed_by_sync(DifferenceKind.DRAFT, path, what, _sync(sync))
    if len(named) > _MOST:
        yield fixed_by_sync(DifferenceKind.DRAFT, "", f"{len(named) - _MOST:,} more files differ", _sync(sync))
    if not named:
        yield fixed_by_sync(DifferenceKind.DRAFT, "", "the archive has other records of its files", _sync(sync))


def _check_logs(sync: SyncContext, archive: ArchiveState) -> Iterator[Difference]:
    """The logs that a sync of everything would change."""
    published = (use for version in archive.versions for use in version.tree.annexed)
    plan = plan_logs(published, archive.branch.tree.annexed if archive.branch else (), None, whole=True)
    writer = Writer(sync.instance, sync.dandiset, sync.dataset, closed=sync.closed, dropped_hosts=sync.dropped_hosts)
    changed = writer.logs_to_change(plan, sync.dataset.ref(ANNEX), Stamp.of(archive.entry.draft.modified))
    for path, _ in islice(changed, _MOST):
        yield fixed_by_sync(
            DifferenceKind.LOG, path, "the archive has other URLs or metadata for the key", _verify(sync)
        )


def _sync(sync: SyncContext) -> str:
    return f"dandi-mirror sync {sync.dandiset}"


def _verify(sync: SyncContext) -> str:
    return f"dandi-mirror sync {sync.dandiset} --mode verify"
