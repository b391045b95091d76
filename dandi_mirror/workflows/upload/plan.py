"""The plan of an upload, with the facts that it was made from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from dandi_mirror.errors import PartError, UnsafePlan
from dandi_mirror.mirror.sync import draft
from dandi_mirror.model import DRAFT, ListedDandiset, RemoteFile
from dandi_mirror.paths import DANDISET_YAML
from dandi_mirror.repo.annex.repository import AnnexRepository
from dandi_mirror.text import some
from dandi_mirror.upload.change.local_state import LocalState
from dandi_mirror.upload.change.plan import Action, UploadPlan
from dandi_mirror.upload.kinds import Kinds, can_be_sent, is_included
from dandi_mirror.upload.zarrs.plan import EntryChanges
from dandi_mirror.workflows.owner.record_edit import RecordEdit


@dataclass(slots=True)
class Planned:
    """A plan, and the facts that it was made from."""

    clone: AnnexRepository
    base: draft.SyncedDraft
    entry: ListedDandiset
    theirs: Mapping[str, RemoteFile]
    ours: LocalState
    kinds: Kinds
    plan: UploadPlan = field(default_factory=lambda: UploadPlan((), (), 0, 0))
    entries: Mapping[str, EntryChanges] = field(default_factory=dict)
    """What changes within each Zarr that is added or replaced."""
    record: RecordEdit | None = None
    """The change of the Dandiset's own record, if it is edited here and may be sent."""
    new: set[str] = field(default_factory=set)
    """Ids of the assets that this run has created."""

    @property
    def tip(self) -> str:
        """The commit that is checked out."""
        return self.clone.dataset.ref(f"refs/heads/{DRAFT}") or ""

    @property
    def left_to_ask(self) -> list[str]:
        """What is left out, and would be sent if somebody asked for it."""
        return [step.path for step in self.plan.of(Action.LEFT) if can_be_sent(step.path, step.size)]

    def idle_patterns(self, patterns: Iterable[str]) -> list[str]:
        """The patterns that match no file, here or at the archive."""
        known = {*self.base.assets, *self.theirs, *self.ours.here, *self.ours.junk, *self.ours.ignored, DANDISET_YAML}
        return [pattern for pattern in patterns if not any(is_included(path, [pattern]) for path in known)]

    def check_contested(self, update: str) -> None:
        """Refuse to go on while a file is changed both here and in the archive; ``update`` is what brings theirs here.

        Raises:
            PartError: some are.
        """
        if found := [path for path, _ in self.plan.behind if self._is_edited(path)]:
            it = "it" if len(found) == 1 else "them"
            raise PartError(
                f"{some(found)}: you and somebody else have changed {it} since the last sync; nothing was sent. "
                f"To send yours, move {it} out of the clone, type {update}, move {it} back, and upload again. "
                f"To take what the archive has, delete yours, and type {update}"
            )

    def _is_edited(self, path: str) -> bool:
        """Whether a file is here and not as the last sync left it; no Zarr is: its entries are compared one by one."""
        here, base = self.ours.here.get(path), self.base.assets.get(path)
        return here is not None and not here.zarr and (base is None or here.digest != base.digest)

    def check_entries(self) -> None:
        """Refuse to delete much of a Zarr, because the folder may be incomplete.

        Raises:
            UnsafePlan: more than half of the entries of one are to be deleted.
        """
        for path, changes in self.entries.items():
            if changes.is_unsafe:
                raise UnsafePlan(
                    f"{changes.deleted:,} of the {changes.there:,} chunks that the archive has of {path} would be "
                    "deleted; nothing was sent; if you mean it, run this again with --allow-deletes"
                )

    def copies(self, selects: Callable[[str], bool]) -> Iterator[tuple[str, RemoteFile]]:
        """Files with the same bytes as in the archive, in another form: not a link, or a link to another key."""
        for path in filter(selects, self.ours.edited):
            there = self.theirs.get(path)
            if there and there.sha256 and there.sha256 == self.ours.here[path].digest:
                yield path, there

    def idle(self, selects: Callable[[str], bool]) -> bool:
        """Whether there is nothing to do: nothing to send, to bring here, or to set aside."""
        if self.plan.changes or self.record or self.tip != self.base.commit or any(self.copies(selects)):
            return False
        # a Zarr changes under its asset's id
        here = {path: there.digest if there.zarr else there.asset_id for path, there in self.base.assets.items()}
        there = {path: found.digest if found.zarr else found.asset_id for path, found in self.theirs.items()
                 if found.digest or found.zarr}  # fmt: skip
        return here == there
