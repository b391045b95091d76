"""Upload the changes of a work tree: compare both sides, plan, carry the plan out, and sync afterwards."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from glob import escape
from pathlib import Path

from dandi_mirror.archive.api.client import ArchiveClient
from dandi_mirror.errors import PartError, UsageError
from dandi_mirror.files.own import OwnPath
from dandi_mirror.mirror.format.tree import is_text
from dandi_mirror.mirror.state.layout import Mirror
from dandi_mirror.mirror.state.options import Options
from dandi_mirror.mirror.sync import draft
from dandi_mirror.mirror.sync.dandiset import repair_after_crash, sync_dandiset
from dandi_mirror.model import DRAFT, ListedDandiset, Report
from dandi_mirror.paths import DANDISET_YAML
from dandi_mirror.repo.annex import reconcile
from dandi_mirror.repo.annex.edits import read_edits
from dandi_mirror.repo.annex.keys import annex_key
from dandi_mirror.repo.annex.repository import AnnexRepository
from dandi_mirror.repo.git import worktree
from dandi_mirror.repo.git.files import FileStamp
from dandi_mirror.repo.git.ignored import ignored
from dandi_mirror.upload.change.execute import StepOutcome, UploadContext, carry_out_plan
from dandi_mirror.upload.change.local_state import read_local_state, refuse_unknown_names, with_known
from dandi_mirror.upload.change.plan import Action, UploadStep, make_upload_plan
from dandi_mirror.upload.change.waiting import until_known
from dandi_mirror.upload.change.zarr_steps import ZarrsToUpload
from dandi_mirror.upload.kinds import Kinds, in_zarrs, why_unasked
from dandi_mirror.upload.read.worker import Worker, worthwhile
from dandi_mirror.upload.send.types import SendMeter
from dandi_mirror.upload.zarrs.notes import ZarrNotes
from dandi_mirror.workflows.owner.record_edit import send_edit
from dandi_mirror.workflows.upload.plan import Planned
from dandi_mirror.workflows.upload.record import read_record_edit, take_back_record
from dandi_mirror.workflows.upload.request import UploadRequest
from dandi_mirror.workflows.upload.work_tree import not_on_draft
from dandi_mirror.workflows.upload.zarrs import known_zarrs, renamed_zarrs, take_back_moves, with_entries

UPDATE = "dandi-mirror upload --update"
READERS = 4
"""The most processes that read files; each takes a few hundred megabytes."""


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

    archive: ArchiveClient
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
    def clone(self) -> AnnexRepository:
        """The repository."""
        return AnnexRepository(Path(self.mirror.folder(self.dandiset)))

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
        clone = self.checked_out()
        base = draft.synced_draft(clone.dataset)
        if not worktree.is_made_from(clone.dataset, base.commit):
            raise PartError(
                f"the last sync could not update {clone.path}, because edits are in the way; move the edited "
                f"files away, run {UPDATE}, and put them back"
            )
        return self._with_record(with_entries(self.archive, self.compared(clone, base)))

    def compared(self, clone: AnnexRepository, base: draft.SyncedDraft) -> Planned:
        """Compare the work tree with the last sync and the archive, without the entries of Zarrs and the record."""
        edits = read_edits(clone.dataset, base.commit, in_zarrs)
        entry, theirs = draft.remote_draft(self.archive, self.archive.dandiset(self.dandiset), base)
        kinds = Kinds.of({*base.assets, *theirs, *(edit.path for edit in edits if not edit.gone)})
        wanted = self.wanted
        ours = read_local_state(
            clone, base.assets, theirs, edits, kinds, named=wanted.names_itself, included=wanted.includes,
            selected=lambda zarr: self._selects(kinds, zarr),
        )  # fmt: skip
        notes = ZarrNotes(self._state, self.archive.session.api_url, self.dandiset)
        base, theirs = known_zarrs(
            base, with_known(theirs, ours), ours, notes, wanted, renamed_zarrs(clone, base, ours)
        )  # fmt: skip
        return self._planned(Planned(clone, base, entry, theirs, ours, kinds))

    def _with_record(self, planned: Planned) -> Planned:
        """Add the change of the Dandiset's own record, or why it cannot be sent."""
        if not planned.ours.record_edited or not self.wanted.selects(DANDISET_YAML):
            return planned
        try:
            edit = read_record_edit(self.archive, planned.clone, self.dandiset, planned.base.commit)
        except PartError as error:
            step = UploadStep(Action.REFUSED, DANDISET_YAML, reason=str(error))
            return replace(planned, plan=planned.plan.with_refused([step]))
        return replace(planned, record=edit)

    def taking(self, planned: Planned) -> Planned:
        """Plan again, with what was left out and can be sent."""
        paths = tuple(map(escape, planned.left_to_ask))
        self.wanted = replace(self.wanted, include=self.wanted.include + paths)
        return self._with_record(with_entries(self.archive, self._planned(planned)))

    @property
    def _state(self) -> OwnPath:
        return self.mirror.own / "uploads"

    def _selects(self, kinds: Kinds, path: str) -> bool:
        # a Zarr is selected if anything in it is
        return self.wanted.selects(path) or any(kinds.zarr(name) == path for name in self.wanted.paths)

    def _planned(self, made_of: Planned) -> Planned:
        kinds, ours = made_of.kinds, made_of.ours

        def selected(path: str) -> bool:
            return self._selects(kinds, path)

        def unasked(path: str) -> str | None:
            is_asked = path in ours.here and ours.here[path].zarr
            return None if is_asked else why_unasked(path, kinds, ours.junk, self.wanted.include)

        base, theirs, sync = made_of.base.assets, made_of.theirs, self.wanted.sync
        plan = make_upload_plan(base, theirs, ours.here, selected=selected, sync=sync, unasked=unasked)
        known = {*base, *theirs, *ours.here}
        passed = refuse_unknown_names(
            made_of.clone.path, self.wanted.paths, known, ignored(made_of.clone.path, self.wanted.paths)
        )
        return replace(made_of, plan=plan.with_refused(passed))

    def checked_out(self) -> AnnexRepository:
        """The repository, with the draft checked out.

        Raises:
            UsageError: this is not a work tree to upload from.
        """
        clone = self.clone
        clone.read_config()
        if clone.unlocked_only:
            raise UsageError(
                f"{clone.path} is on a disk without symbolic links or file permissions; no upload works from there; "
                "clone the mirror to another disk, and copy your new files into that clone"
            )
        if clone.dataset.head_branch() != DRAFT or (clone.path / ".git").is_file():
            raise not_on_draft(clone.path, clone.dataset.head_branch())
        return clone

    def check(self, planned: Planned) -> None:
        """Refuse a plan that is out of date or not safe.

        Raises:
            PartError: somebody else has changed the archive.
            UnsafePlan: it would delete much, and nobody has allowed that.
        """
        planned.check_contested(UPDATE)
        planned.plan.check_is_current(f"bring that here first: {UPDATE}")
        if not self.wanted.allow_deletes:
            planned.plan.check_deletes()
            planned.check_entries()

    # --- carrying it out -------------------------------------------------------------------------------------

    def carry_out(self, planned: Planned) -> Iterator[StepOutcome]:
        """Carry out the plan, then bring the work tree to the state of a sync; see ``result``."""
        placed = {step.path: (step.size, step.digest) for step in planned.plan.of(Action.DONE) if not step.zarr}
        placed |= {path: (there.size, there.sha256) for path, there in planned.copies(self.wanted.selects)}
        read: dict[str, FileStamp] = {}
        stays = set(planned.theirs)
        planned.clone.prepare()
        self.doing("sending")
        if planned.record and not planned.record.is_idle:
            send_edit(self.archive, planned.record)
        with ExitStack() as stack:
            for outcome in carry_out_plan(self._work(planned, stack), planned.plan):
                if outcome.status == "ok":
                    stays -= {outcome.step.old or outcome.step.path}
                if outcome.asset_id and not outcome.step.zarr:
                    placed[outcome.step.path] = outcome.size, outcome.digest
                    read |= {outcome.step.path: outcome.seen} if outcome.seen else {}
                    planned.new.add(outcome.asset_id)
                yield outcome
        self._settle(planned, placed, read, stays)

    def _work(self, planned: Planned, stack: ExitStack) -> UploadContext:
        steps = [step for step in planned.plan.of(Action.ADD, Action.REPLACE, Action.RENAME) if step.digest]
        wanted = {step.digest for step in steps}
        absent = {step.digest for step in steps if step.path not in planned.ours.files}
        known = draft.metadata_of(planned.clone.dataset, planned.base, wanted, absent)
        return UploadContext(
            self.archive,
            self.dandiset,
            planned.clone.path,
            self._state,
            planned.ours.files,
            planned.theirs,
            known,
            self.archive.schema_version,
            self._workers(planned, known, stack),
            self.wanted.validate,
            self.wanted.jobs,
            self.meter,
            ZarrsToUpload(planned.ours.zarrs, planned.entries, self.wanted.wait),
            self.doing,
        )

    def _workers(self, planned: Planned, known: Mapping[str, object], stack: ExitStack) -> Callable[[], Worker]:
        """Start the processes that read files, if there are files to read, before anything is sent."""
        if given := self.worker:
            return lambda: given
        puts = planned.plan.of(Action.ADD, Action.REPLACE)
        if all(step.digest in known or not (step.zarr or step.path in planned.ours.files) for step in puts):
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
            take_back_moves(planned, stays)
            if planned.record:
                take_back_record(planned.clone, planned.base.commit)
            kept = reconcile.step_back(planned.clone.dataset, DRAFT, planned.base.commit)
            self.result.kept = kept or self.result.kept
        if planned.new:
            self.doing("waiting for the archive's checksums")
            until_known(self.archive, self.dandiset, planned.new, self.wanted.wait)
        self.doing("sync")
        self.result.report = self.sync(planned.entry, meant=bool(planned.plan.of(Action.DELETE)))

    def sync(self, entry: ListedDandiset, *, meant: bool) -> Report:
        """Sync the dataset; ``meant``: the person has agreed to the deletions."""
        versions = self.wanted.versions or self._versions(entry)
        options = Options(embargoed=not entry.is_open, versions=versions, allow_deletes=meant, hosts=self.wanted.hosts)
        return sync_dandiset(self.archive, self.mirror, self.dandiset, options)

    def unfinished(self, planned: Planned) -> int:
        """Count unfinished uploads of an embargoed Dandiset: while there is one, nobody can lift the embargo."""
        return 0 if planned.entry.is_open else self.archive.active_uploads(self.dandiset)

    def _versions(self, entry: ListedDandiset) -> str:
        """Which versions to mirror: all, or only the draft if the clone has no published ones."""
        dataset = self.clone.dataset
        return (
            "all" if entry.published is None or any(ref.startswith("refs/tags/0.") for ref in dataset.refs()) else DRAFT
        )
