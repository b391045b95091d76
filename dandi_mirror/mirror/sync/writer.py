"""Write a plan into a dataset: one fast-import stream into temporary refs, then one transaction of refs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, islice

from dandi_mirror.mirror.format.log_changes import KeyLogs, changed_logs, key_facts
from dandi_mirror.mirror.format.records import RecordFile
from dandi_mirror.mirror.format.tree import Listing, VersionTree
from dandi_mirror.mirror.sync import messages
from dandi_mirror.mirror.sync.eager_logs import EagerLogs
from dandi_mirror.mirror.sync.log_plan import LogPlan, remote_logs
from dandi_mirror.mirror.sync.plan import SyncPlan, plan_refs, versions_to_merge
from dandi_mirror.model import Instance
from dandi_mirror.repo.annex import logs
from dandi_mirror.repo.annex.branch import import_logs
from dandi_mirror.repo.annex.journal import add_to_journal
from dandi_mirror.repo.annex.keys import hash_dir_lower
from dandi_mirror.repo.git.dataset import ANNEX, TEMPORARY, Dataset
from dandi_mirror.repo.git.dataset import Tree as OldTree
from dandi_mirror.repo.git.importer import Importer
from dandi_mirror.repo.git.stream import Commit, ExistingObject, TreeEntry, tag_object

MANY = 2000
"""With more logs than this, the writer lists their folders once instead of asking git for each log by name."""
SHARED = 200
"""From so many files of records on, a second git packs half of them."""
AT_ONCE = 4096
"""Keys whose logs are in memory at a time."""


@dataclass(frozen=True, slots=True)
class VersionToTag:
    """A published version to be tagged, or to be compared with its tag."""

    listing: Listing
    tree: VersionTree

    @property
    def name(self) -> str:
        """Its number, which becomes the tag's name."""
        return self.listing.entry.version

    @property
    def ref(self) -> str:
        """The temporary ref of its commit."""
        return f"{TEMPORARY}{self.name}"


@dataclass(frozen=True, slots=True)
class BranchUpdate:
    """The branch that follows the draft (or the newest published version)."""

    name: str
    base: str | None
    """The commit it holds now."""
    listing: Listing
    tree: VersionTree
    old: OldTree
    plan: SyncPlan
    counts: messages.VersionCounts
    """Of its tree."""

    @property
    def ref(self) -> str:
        """The temporary ref of its next commit."""
        return f"{TEMPORARY}{self.name}"


class Writer:
    """Writes to one dataset."""

    def __init__(
        self,
        instance: Instance,
        dandiset: str,
        dataset: Dataset,
        *,
        closed: bool = False,
        dropped_hosts: frozenset[str] = frozenset(),
        journal: Iterable[str] = (),
    ) -> None:
        """``closed``: the Dandiset is embargoed; ``dropped_hosts`` serve its content no more.

        ``journal`` are the logs in git-annex's journal, whose lock the caller holds while this writes.
        """
        self._instance = instance
        self._dandiset = dandiset
        self._dataset = dataset
        self._closed = closed
        self._dropped_hosts = dropped_hosts
        self._journal = journal
        with_token = logs.embargo_remote(instance.api_url)[0]
        self._sources = {with_token: True} if closed else {logs.WEB: True, with_token: False}

    def write(
        self,
        tags: Mapping[str, str],
        versions: Sequence[VersionToTag],
        branch: BranchUpdate | None,
        log_plan: LogPlan,
        now: datetime,
        eager: EagerLogs | None = None,
    ) -> tuple[str, ...]:
        """Write versions, branch and git-annex logs; return the versions whose tags differ from the archive.

        ``tags`` are those that the dataset has, ``now`` is the archive's time for what changes in the logs,
        ``eager`` has the logs that were written while the listing came.

        Raises:
            DiskError, GitError: nothing has moved, or only whole steps in the order annex, tags, branch.
        """
        annex = self._dataset.ref(ANNEX)
        changed_logs = iter(()) if eager else self.logs_to_change(log_plan, annex, logs.Stamp.of(now))
        first_logs = list(islice(changed_logs, 1))
        # a run may have been killed after it had moved its tags and before it moved the branch
        unmerged = self._dataset.unmerged(branch.base) if branch and tags else {}
        merge = versions_to_merge([version.name for version in versions], tags, unmerged)
        commits_branch = branch is not None and (not branch.plan.empty or bool(merge))
        if not versions and not commits_branch and not first_logs and not eager:
            return ()
        logs_commit = Commit(f"{TEMPORARY}git-annex", now, "update\n", base=annex)
        with nullcontext(eager.importer) if eager else self._dataset.importing() as importer:
            if eager:
                eager.settle(log_plan.now, now)
            for version in versions:
                self._import_version(importer, version)
            if branch and commits_branch:
                self._import_branch(importer, branch, merge)
            if eager:
                eager.finish(logs_commit)
            elif first_logs:
                import_logs(importer, logs_commit, chain(first_logs, changed_logs), self._dataset.folders(annex))
            importer.finish()
            if made := self._dataset.ref(logs_commit.ref):
                add_to_journal(self._dataset, self._journal, annex, made)
            return self._move_refs(tags, versions, branch, annex)

    def _import_version(self, importer: Importer, version: VersionToTag) -> None:
        entry = version.listing.entry
        message = messages.version_message(self._instance, self._dandiset, version.listing)
        commit = Commit(version.ref, entry.created, message)
        importer.commit(commit, (), sorted(version.tree.entries.items(), key=lambda item: item[0]))

    def _import_branch(self, importer: Importer, branch: BranchUpdate, merge: Mapping[str, str]) -> None:
        message = messages.branch_commit(
            self._instance, self._dandiset, branch.listing, branch.counts, branch.plan, merge, closed=self._closed
        )
        commit = Commit(branch.ref, branch.listing.entry.modified, message, branch.base, [*merge.values()])
        importer.commit(commit, branch.plan.removed, self._shared(branch.plan.files))

    def _shared(self, files: Iterable[tuple[str, TreeEntry]]) -> Iterator[tuple[str, TreeEntry]]:
        """The files of a commit; if they have very many records, a second git packs one half of these meanwhile."""
        records = [(path, entry) for path, entry in files if isinstance(entry, RecordFile)]
        if len(records) < SHARED:
            yield from files
            return
        theirs = dict(records[::2])
        with ThreadPoolExecutor(1, thread_name_prefix="records") as pool, Importer(self._dataset.path) as other:
            packing = pool.submit(lambda: [other.blob(entry.content()) for entry in theirs.values()])
            yield from ((path, entry) for path, entry in files if path not in theirs)
            ids = packing.result()
        for path, oid in zip(theirs, ids, strict=True):
            yield path, ExistingObject(oid)

    def _move_refs(
        self, tags: Mapping[str, str], versions: Iterable[VersionToTag], branch: BranchUpdate | None, annex: str | None
    ) -> tuple[str, ...]:
        refs = self._dataset.refs_in_files("refs")
        made = {version.name: self._write_tag(version, refs[version.ref]) for version in versions}
        plan = plan_refs(refs, tags, made, (branch.name, branch.base) if branch else None, annex)
        self._dataset.move_refs(list(plan.changes), plan.dropped)
        return plan.alarms

    def _write_tag(self, version: VersionToTag, commit: str) -> str:
        entry = version.listing.entry
        message = messages.version_tag(self._instance, self._dandiset, entry.version, version.listing.metadata)
        return self._dataset.write_tag(tag_object(commit, entry.version, entry.created, message))

    # --- the git-annex branch ------------------------------------------------------------------------------

    def logs_to_change(self, plan: LogPlan, annex: str | None, stamp: logs.Stamp) -> Iterator[tuple[str, bytes]]:
        """The files of the git-annex branch that change, with their new content."""
        # in the order of folders, so that each group needs few of the branch's folders
        keys = sorted({*plan.now, *plan.before}, key=hash_dir_lower)
        for start in range(0, len(keys), AT_ONCE):
            group = [KeyLogs.of(key) for key in keys[start : start + AT_ONCE]]
            existing = self._existing([path for key in group for path in key.paths], annex)
            for key in group:
                now, before = plan.now.get(key.key, ()), plan.before.get(key.key, ())
                facts = key_facts(self._instance, self._dandiset, now, before, self._dropped_hosts)
                yield from changed_logs(key, facts, existing, stamp, self._sources)
        existing = self._existing(["remote.log", "trust.log"], annex)
        yield from remote_logs(existing, self._instance.api_url, stamp, closed=self._closed)

    def _existing(self, paths: list[str], annex: str | None) -> dict[str, bytes]:
        """The content of those logs that are on the branch now."""
        if annex is None:
            return {}
        names = {path: f"{annex}:{path}" for path in paths}
        if len(paths) > MANY:
            tree = self._dataset.tree(annex, *sorted({path.partition("/")[0] for path in paths}))
            names = {path: tree[path][1] for path in paths if path in tree}
        with self._dataset.reader() as reader:
            found = zip(names, reader.read(list(names.values())), strict=True)
            return {path: content for path, content in found if content is not None}
