"""Upload the changes of a work tree: compare both sides, plan, carry the plan out, and sync afterwards."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from glob import escape
from pathlib import Path

from dandi_mirror.archive.api.client import Archive
from dandi_mirror.errors import PartError, UsageError
from dandi_mirror.mirror.format.tree import is_text
from dandi_mirror.mirror.state.layout import Mirror
from dandi_mirror.mirror.state.options import Options
from dandi_mirror.mirror.sync import draft
from dandi_mirror.mirror.sync.dandiset import Task, repair_after_crash, sync_dandiset, sync_one
from dandi_mirror.model import DRAFT, DandisetRow, Report
from dandi_mirror.repo.annex import reconcile, setup
from dandi_mirror.repo.annex.clone import Clone
from dandi_mirror.repo.annex.edits import read_edits
from dandi_mirror.repo.annex.keys import annex_key
from dandi_mirror.repo.git import worktree
from dandi_mirror.repo.git.files import FileStamp
from dandi_mirror.repo.git.ignored import ignored
from dandi_mirror.upload.change.execute import StepOutcome, UploadContext, carry_out
from dandi_mirror.upload.change.local_state import read_local_state, refuse_unknown_names, with_known
from dandi_mirror.upload.change.plan import Action, make_upload_plan
from dandi_mirror.upload.change.waiting import until_known
from dandi_mirror.upload.kinds import Kinds, is_included, why_unasked
from dandi_mirror.upload.read.worker import Worker, worthwhile
from dandi_mirror.upload.send.types import SendMeter
from dandi_mirror.workflows.upload_plan import Planned

UPDATE = "dandi-mirror upload --update"
READERS = 4
"""The most processes that read files; each takes a few hundred megabytes."""


@dataclass(frozen=True, slots=True)
class UploadRequest:
    """What somebody asked for."""

    paths: tuple[str, ...] = ()
    """Relative to the top of the work tree; empty: all."""
    sync: bool = False
    allow_deletes: bool = False
    validate: bool = True
    jobs: int = 6
    wait: float = 600.0
    """Seconds for the archive to compute checksums."""
    hosts: frozenset[str] = frozenset()
    """More hosts that may hold content, from the settings."""
    versions: str = ""
    """Which versions to mirror, from the settings; empty: those that the clone has."""
    include: tuple[str, ...] = ()
    """Patterns of files to send although DANDI does not know their kind."""

    def selects(self, path: str) -> bool:
        """Whether somebody asked for a path."""
        return not self.paths or self.names(path)

    def names(self, path: str) -> bool:
        """Whether somebody named a path, or a folder that holds it."""
        return any(path == name or path.startswith(f"{name}/") for name in self.paths)

    def names_itself(self, path: str) -> bool:
        """Whether somebody named exactly this path."""
        return path in self.paths

    def includes(self, path: str) -> bool:
        """Whether a pattern includes a path, whatever its kind."""
        return is_included(path, self.include)


@dataclass(slots=True)
class Result:
    """The result of an upload, besides the outcomes of its steps."""

    report: Report | None = None
    """The report of the sync afterwards; None if there was nothing to sync."""
    kept: str = ""
    """The branch that keeps the commits of the person."""


@dataclass(slots=True)
class Upload:
    """An upload from one work tree."""

    archive: Archive
    mirror: Mirror
    """The mirror that holds the dataset, or one that consists of the clone alone."""
    dandiset: str
    wanted: UploadRequest
    meter: SendMeter = field(default_factory=SendMeter)
    result: Result = field(default_factory=Result)
    doing: Callable[[str], None] = lambda doing: None
    """Called with what is being done."""
    worker: Worker | None = None
    """Processes that read files, if there are some already."""

    @property
    def clone(self) -> Clone:
        """The repository."""
        return Clone(Path(self.mirror.folder(self.dandiset)))

    @contextmanager
    def held(self) -> Iterator[None]:
        """Allow one upload at a time, but syncs meanwhile; first finish what a killed run left half-done.

        Raises:
            LockedError: another upload is running.
        """
        with self.mirror.hold(f"{self.dandiset}.upload", f"an upload to {self.dandiset}"):
            with self.mirror.lock(self.dandiset) as killed:
                if killed:
                    # a half-written work tree would look like edits
                    repair_after_crash(self.clone.dataset, DRAFT, killed)
            yield

    # --- the plan --------------------------------------------------------------------------------------------

    def plan(self) -> Planned:
        """Compare the work tree with the archive.

        Raises:
            UsageError: this is not a work tree to upload from.
            PartError: its files are not those of the last sync.
        """
        clone = self._checked_out()
        base = draft.synced_draft(clone.dataset)
        if not worktree.is_made_from(clone.dataset, base.commit):
            raise PartError(
                f"the last sync could not update {clone.path}, because edits are in the way; move the edited "
                f"files away, run {UPDATE}, and put them back"
            )
        edits = read_edits(clone.dataset, base.commit)
        row, theirs = draft.remote_draft(self.archive, self.archive.dandiset(self.dandiset), base)
        kinds = Kinds.of({*base.assets, *theirs, *(edit.path for edit in edits if not edit.gone)})
        wanted = self.wanted
        ours = read_local_state(
            clone, base.assets, theirs, edits, kinds, named=wanted.names_itself, included=wanted.includes
        )
        return self._planned(Planned(clone, base, row, with_known(theirs, ours), ours, kinds))

    def taking(self, planned: Planned) -> Planned:
        """Plan again, with what was left out."""
        paths = tuple(escape(step.path) for step in planned.plan.of(Action.LEFT))
        self.wanted = replace(self.wanted, include=self.wanted.include + paths)
        return self._planned(planned)

    def _planned(self, made_of: Planned) -> Planned:
        kinds, ours = made_of.kinds, made_of.ours

        def selected(path: str) -> bool:
            # a Zarr is selected if anything in it is
            return self.wanted.selects(path) or any(kinds.zarr(name) == path for name in self.wanted.paths)

        def unasked(path: str) -> str | None:
            return why_unasked(path, kinds, ours.junk, self.wanted.include)

        base, theirs, sync = made_of.base.assets, made_of.theirs, self.wanted.sync
        plan = make_upload_plan(base, theirs, ours.here, selected=selected, sync=sync, unasked=unasked)
        known = {*base, *theirs, *ours.here}
        passed = refuse_unknown_names(
            made_of.clone.path, self.wanted.paths, known, ignored(made_of.clone.path, self.wanted.paths)
        )
        return replace(made_of, plan=plan.with_refused(passed))

    def update(self) -> Report:
        """Bring the changes of others from the archive; they do not overwrite local edits.

        Raises:
            UsageError: this is not a work tree to upload from.
        """
        clone = self._checked_out()
        base = draft.synced_draft(clone.dataset)
        clone.prepare()
        with self.mirror.lock(self.dandiset):
            self.result.kept = reconcile.step_back(clone.dataset, DRAFT, base.commit)
        return self._sync(self.archive.dandiset(self.dandiset), meant=False)

    def _checked_out(self) -> Clone:
        clone = self.clone
        clone.read_config()
        if clone.dataset.head_branch() != DRAFT or (clone.path / ".git").is_file():
            raise UsageError(f"{clone.path} has not checked {DRAFT} out; do so: git -C {clone.path} checkout {DRAFT}")
        return clone

    def check(self, planned: Planned) -> None:
        """Refuse a plan that is out of date or not safe.

        Raises:
            PartError: somebody else has changed the archive.
            UnsafePlan: it would delete much, and nobody has allowed that.
        """
        planned.plan.check_is_current(f"bring that here first: {UPDATE}")
        if not self.wanted.allow_deletes:
            planned.plan.check_deletes()

    # --- carrying it out -------------------------------------------------------------------------------------

    def carry_out(self, planned: Planned) -> Iterator[StepOutcome]:
        """Carry out the plan, then bring the work tree to the state of a sync; see ``result``."""
        placed = {step.path: (step.size, step.sha256) for step in planned.plan.of(Action.DONE)}
        placed |= {path: (there.size, there.sha256) for path, there in planned.copies(self.wanted.selects)}
        read: dict[str, FileStamp] = {}
        stays = set(planned.theirs)
        planned.clone.prepare()
        self.doing("sending")
        with ExitStack() as stack:
            for outcome in carry_out(self._work(planned, stack), planned.plan):
                if outcome.status == "ok":
                    stays -= {outcome.step.old or outcome.step.path}
                if outcome.asset_id:
                    placed[outcome.step.path] = outcome.size, outcome.sha256
                    read |= {outcome.step.path: outcome.seen} if outcome.seen else {}
                    planned.new.add(outcome.asset_id)
                yield outcome
        self._settle(planned, placed, read, stays)

    def _work(self, planned: Planned, stack: ExitStack) -> UploadContext:
        steps = [step for step in planned.plan.of(Action.ADD, Action.REPLACE, Action.RENAME) if step.sha256]
        wanted = {step.sha256 for step in steps}
        absent = {step.sha256 for step in steps if step.path not in planned.ours.files}
        known = draft.metadata_of(planned.clone.dataset, planned.base, wanted, absent)
        return UploadContext(
            self.archive.session,
            self.dandiset,
            planned.clone.path,
            self.mirror.own / "uploads",
            planned.ours.files,
            planned.theirs,
            known,
            self.archive.schema_version,
            self._workers(planned, known, stack),
            self.wanted.validate,
            self.wanted.jobs,
            self.meter,
        )

    def _workers(self, planned: Planned, known: Mapping[str, object], stack: ExitStack) -> Callable[[], Worker]:
        """Start the processes that read files, if there are files to read, before anything is sent."""
        if given := self.worker:
            return lambda: given
        puts = planned.plan.of(Action.ADD, Action.REPLACE)
        if all(step.sha256 in known or step.path not in planned.ours.files for step in puts):
            return lambda: stack.enter_context(Worker())
        most = min(self.wanted.jobs, os.cpu_count() or 1, READERS)
        worker = stack.enter_context(Worker(worthwhile(len(puts), most)))
        return lambda: worker

    def _settle(
        self, planned: Planned, placed: Mapping[str, tuple[int, str]], read: Mapping[str, FileStamp], stays: set[str]
    ) -> None:
        keys = {
            path: "" if is_text(path, size) else annex_key(size, sha256, path)
            for path, (size, sha256) in placed.items()
        }
        self.doing("annexing")
        with self.mirror.lock(self.dandiset):
            reconcile.annex(planned.clone, keys, read)
            reconcile.forget(planned.clone.dataset, stays)
            alike = [path for path, _ in planned.copies(self.wanted.selects) if path in planned.base.assets]
            reconcile.unstage(planned.clone.dataset, planned.base.commit, alike)
            kept = reconcile.step_back(planned.clone.dataset, DRAFT, planned.base.commit)
            self.result.kept = kept or self.result.kept
        if planned.new:
            self.doing("waiting for the archive's checksums")
            until_known(self.archive, self.dandiset, planned.new, self.wanted.wait)
        self.doing("sync")
        self.result.report = self._sync(planned.row, meant=bool(planned.plan.of(Action.DELETE)))

    def _sync(self, row: DandisetRow, *, meant: bool) -> Report:
        """Sync the dataset; ``meant``: the person has agreed to the deletions."""
        versions = self.wanted.versions or self._versions(row)
        options = Options(embargoed=not row.is_open, versions=versions, allow_deletes=meant, hosts=self.wanted.hosts)
        if self.mirror.alone:
            # this clone uses git-annex with the person's own settings
            setup.mark_as_set_up(self.clone.dataset)
            return sync_one(self.archive, self.mirror, Task(self.dandiset, options))
        return sync_dandiset(self.archive, self.mirror, self.dandiset, options)

    def unfinished(self, planned: Planned) -> int:
        """Count unfinished uploads of an embargoed Dandiset: while there is one, nobody can lift the embargo."""
        return 0 if planned.row.is_open else self.archive.active_uploads(self.dandiset)

    def _versions(self, row: DandisetRow) -> str:
        """Which versions to mirror: all, or only the draft if the clone has no published ones."""
        dataset = self.clone.dataset
        return (
            "all" if row.published is None or any(ref.startswith("refs/tags/0.") for ref in dataset.refs()) else DRAFT
        )
