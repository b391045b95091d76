"""Putting a plan into a dataset: one fast-import stream into temporary refs, then one ref transaction."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, islice

from dandi_mirror.mirror.format.annex_metadata import annex_fields
from dandi_mirror.mirror.format.log_changes import KeyLogs, Places, by_key, changed_logs, key_facts
from dandi_mirror.mirror.format.record_reader import Record, admit, lines
from dandi_mirror.mirror.format.records import RecordFile, is_part
from dandi_mirror.mirror.format.tree import Annexed, Listing, Tree, is_text
from dandi_mirror.mirror.sync import messages
from dandi_mirror.mirror.sync.eager_logs import EarlyLogs
from dandi_mirror.mirror.sync.plan import Plan
from dandi_mirror.model import Instance, is_version_id
from dandi_mirror.repo.annex import logs
from dandi_mirror.repo.annex.branch import import_logs
from dandi_mirror.repo.annex.keys import annex_key, hash_dir_lower
from dandi_mirror.repo.git.dataset import ALARM, ANNEX, TEMPORARY, Dataset, RefChange
from dandi_mirror.repo.git.dataset import Tree as OldTree
from dandi_mirror.repo.git.stream import Commit, Entry, Importer, Known, Made, tag_object

MANY = 2000
"""From so many logs on, their folders are listed once instead of asking for each log by name."""
SHARED = 200
"""So many files of records are worth a second git."""
AT_ONCE = 4096
"""Keys whose logs are held in memory at a time."""


@dataclass(frozen=True, slots=True)
class Version:
    """A published version to be tagged, or to be compared with its tag."""

    listing: Listing
    tree: Tree

    @property
    def ref(self) -> str:
        """Where its commit waits."""
        return f"{TEMPORARY}{self.listing.row.version}"


@dataclass(frozen=True, slots=True)
class Branch:
    """The branch that follows the draft (or the newest published version)."""

    name: str
    base: str | None
    """The commit it holds now."""
    listing: Listing
    tree: Tree
    old: OldTree
    plan: Plan
    counts: messages.Counts
    """What its tree holds."""

    @property
    def ref(self) -> str:
        """Where its next commit waits."""
        return f"{TEMPORARY}{self.name}"


class Writer:
    """Writes to one dataset."""

    def __init__(
        self, instance: Instance, dandiset: str, dataset: Dataset, *, whole: bool, closed: bool = False
    ) -> None:
        self._instance = instance
        self._dandiset = dandiset
        self._dataset = dataset
        self._whole = whole
        self._closed = closed
        with_token = logs.embargo_remote(instance.api_url)[0]
        self._sources = {with_token: True} if closed else {logs.WEB: True, with_token: False}

    def write(
        self,
        tags: Mapping[str, str],
        versions: list[Version],
        branch: Branch | None,
        now: datetime,
        early: EarlyLogs | None = None,
    ) -> list[str]:
        """Write versions, branch and git-annex logs; the versions whose tags say otherwise than the archive.

        ``tags`` are those that the dataset has, ``now`` is the archive's time for what changes in the logs,
        ``early`` has those that were written already.

        Raises:
            DiskError, GitError: nothing has moved, or only whole steps in the order annex, tags, branch.
        """
        annex = self._dataset.ref(ANNEX)
        logs_changed = iter(()) if early else self._annex_logs(versions, branch, annex, logs.Stamp.of(now))
        first_logs = list(islice(logs_changed, 1))
        new = [version for version in versions if version.listing.row.version not in tags]
        merge = {version.listing.row.version: version.ref for version in new}
        if branch and tags:
            # a run may have been killed when it had moved its tags and not yet the branch
            late = self._dataset.unmerged(branch.base).items()
            merge = {name: commit for name, commit in late if is_version_id(name)} | merge
        commits_branch = branch is not None and (not branch.plan.empty or bool(merge))
        if not versions and not commits_branch and not first_logs and not early:
            return []
        logs_commit = Commit(f"{TEMPORARY}git-annex", now, "update\n", base=annex)
        with nullcontext(early.importer) if early else self._dataset.importing() as importer:
            if early:
                early.settle(self._places(versions, branch)[0], now)
            for version in versions:
                self._import_version(importer, version)
            if branch and commits_branch:
                self._import_branch(importer, branch, merge)
            if early:
                early.finish(logs_commit)
            elif first_logs:
                import_logs(importer, logs_commit, chain(first_logs, logs_changed), self._dataset.folders(annex))
            importer.finish()
            return self._move(tags, versions, branch, annex)

    def _import_version(self, importer: Importer, version: Version) -> None:
        row = version.listing.row
        message = messages.version_commit(self._instance, self._dandiset, version.listing)
        commit = Commit(version.ref, row.created, message)
        importer.commit(commit, (), sorted(version.tree.entries.items(), key=lambda item: item[0]))

    def _import_branch(self, importer: Importer, branch: Branch, merge: Mapping[str, str]) -> None:
        message = messages.branch_commit(
            self._instance, self._dandiset, branch.listing, branch.counts, branch.plan, merge, closed=self._closed
        )
        commit = Commit(branch.ref, branch.listing.row.modified, message, branch.base, [*merge.values()])
        importer.commit(commit, branch.plan.removed, self._shared(branch.plan.files))

    def _shared(self, files: Iterable[tuple[str, Entry]]) -> Iterator[tuple[str, Entry]]:
        """The files of a commit; of very many records a second git packs one half while the first packs the other."""
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
            yield path, Known(oid)

    def _move(
        self, tags: Mapping[str, str], versions: list[Version], branch: Branch | None, annex: str | None
    ) -> list[str]:
        refs = self._dataset.refs()
        changes = []
        alarms, cleared = [], []
        if made := refs.get(f"{TEMPORARY}git-annex"):
            changes.append(RefChange(ANNEX, made, annex))
        for version in versions:
            name = version.listing.row.version
            tag = self._write_tag(version, refs[version.ref])
            if name not in tags:
                changes.append(RefChange(f"refs/tags/{name}", tag, None))
            elif tags[name] != tag:
                alarms.append(name)
                changes.append(RefChange(ALARM + name, refs[version.ref], refs.get(ALARM + name)))
            elif ALARM + name in refs:
                cleared.append(ALARM + name)
        if branch and (made := refs.get(branch.ref)):
            changes.append(RefChange(f"refs/heads/{branch.name}", made, branch.base))
        self._dataset.move_refs(changes)
        self._dataset.drop_refs([*cleared, *(ref for ref in refs if ref.startswith(TEMPORARY))])
        return alarms

    def _write_tag(self, version: Version, commit: str) -> str:
        row = version.listing.row
        message = messages.version_tag(self._instance, self._dandiset, row.version, version.listing.metadata)
        return self._dataset.write_tag(tag_object(commit, row.version, row.created, message))

    # --- the git-annex branch ------------------------------------------------------------------------------

    def _annex_logs(
        self, versions: list[Version], branch: Branch | None, annex: str | None, stamp: logs.Stamp
    ) -> Iterator[tuple[str, bytes]]:
        """The files of the git-annex branch that change, with their new content."""
        now, before = self._places(versions, branch)
        # by folder, so that what a group needs of the branch stands together
        keys = sorted({*now, *before}, key=hash_dir_lower)
        for start in range(0, len(keys), AT_ONCE):
            group = [KeyLogs.of(key) for key in keys[start : start + AT_ONCE]]
            existing = self._existing([path for key in group for path in key.paths], annex)
            for key in group:
                facts = key_facts(self._instance, self._dandiset, now.get(key.key, ()), before.get(key.key, ()))
                yield from changed_logs(key, facts, existing, stamp, self._sources)
        yield from self._remotes(annex, stamp)

    def _remotes(self, annex: str | None, stamp: logs.Stamp) -> Iterator[tuple[str, bytes]]:
        """What is said of remotes, where it changes; that for embargoed content is dead when there is none."""
        api = self._instance.api_url
        uuid, words = logs.embargo_remote(api)
        existing = self._existing(["remote.log", "trust.log"], annex)
        before, trust = existing.get("remote.log", b""), existing.get("trust.log", b"")
        after = logs.with_remote(before, *logs.api_remote(api), stamp)
        after = logs.with_remote(after, uuid, words, stamp) if self._closed else after
        if after != before:
            yield "remote.log", after
        # a clone would look for its program, and DataLad names even a remote that nobody has to enable
        level = "?" if self._closed else "X"
        if uuid.encode() in after and (changed := logs.with_trust(trust, uuid, level, stamp)) != trust:
            yield "trust.log", changed

    def _places(self, versions: list[Version], branch: Branch | None) -> tuple[Places, Places]:
        """Where the touched keys stand now, and where they stand no more."""
        published = [place for version in versions for place in version.tree.annexed]
        if branch is None:
            return by_key(published), {}
        everywhere = [*published, *branch.tree.annexed]
        if not branch.old:
            return by_key(everywhere), {}
        gone, changed = self._differences(branch)
        went = {place.asset_id for place in gone}
        went.difference_update(place.asset_id for place in everywhere)
        gone = [place for place in gone if place.asset_id in went]
        if self._whole:
            return by_key(everywhere), by_key(gone)
        touched = {place.key for place in chain(published, gone)}
        touched |= {place.key for place in branch.tree.annexed if place.asset_id in changed}
        return by_key(everywhere, touched), by_key(gone)

    def _existing(self, paths: list[str], annex: str | None) -> dict[str, bytes]:
        """Those of some logs that are on the branch now."""
        if annex is None:
            return {}
        names = {path: f"{annex}:{path}" for path in paths}
        if len(paths) > MANY:
            tree = self._dataset.tree(annex, *sorted({path.partition("/")[0] for path in paths}))
            names = {path: tree[path][1] for path in paths if path in tree}
        with self._dataset.reader() as reader:
            found = zip(names, reader.read(list(names.values())), strict=True)
            return {path: content for path, content in found if content is not None}

    def _differences(self, branch: Branch) -> tuple[list[Annexed], set[str]]:
        """What is annexed no more as it was, and the ids of assets whose records are new or changed.

        An asset that a published version holds lives on in the archive, so it is not among the former.
        """
        gone: list[Annexed] = []
        changed: set[str] = set()
        new_parts = {path: entry for path, entry in branch.plan.files if is_part(path) and isinstance(entry, Made)}
        old_parts = {path for path in (*new_parts, *branch.plan.removed) if path in branch.old and is_part(path)}
        old_lines: set[bytes] = set()
        with self._dataset.reader() as reader:
            old_lines.update(lines(reader, [branch.old[path][1] for path in sorted(old_parts)]))
        for entry in new_parts.values():
            for line in entry.content().splitlines():
                if line in old_lines:
                    old_lines.discard(line)
                elif isinstance(record := admit(line), Record):
                    changed.add(record.asset_id)
        for line in old_lines:
            gone.extend(_annexed(line))
        changed |= {refusal.asset_id for refusal in branch.listing.refusals}
        return gone, changed


def _annexed(line: bytes) -> Iterator[Annexed]:
    """What a record that is there no more had on the git-annex branch."""
    record = admit(line)
    if not isinstance(record, Record) or is_text(record.path, record.size) or "datePublished" in record.metadata:
        return
    key = annex_key(record.size, record.sha256, record.path)
    yield Annexed(key, record.asset_id, None, annex_fields(record.metadata, record.path))
