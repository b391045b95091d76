"""The plan of an upload, with the facts that it was made from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from dandi_mirror.mirror.sync import draft
from dandi_mirror.model import DRAFT, DandisetRow, RemoteFile
from dandi_mirror.repo.annex.clone import Clone
from dandi_mirror.upload.change.local_state import LocalState
from dandi_mirror.upload.change.plan import UploadPlan
from dandi_mirror.upload.kinds import Kinds


@dataclass(slots=True)
class Planned:
    """A plan, and the facts that it was made from."""

    clone: Clone
    base: draft.SyncedDraft
    row: DandisetRow
    theirs: Mapping[str, RemoteFile]
    ours: LocalState
    kinds: Kinds
    plan: UploadPlan = field(default_factory=lambda: UploadPlan((), (), 0, 0))
    new: set[str] = field(default_factory=set)
    """Ids of the assets that this run has created."""

    @property
    def tip(self) -> str:
        """The commit that is checked out."""
        return self.clone.dataset.ref(f"refs/heads/{DRAFT}") or ""

    def copies(self, selects: Callable[[str], bool]) -> Iterator[tuple[str, RemoteFile]]:
        """Files with the same bytes as in the archive, in another form: not a link, or a link to another key."""
        for path in filter(selects, self.ours.edited):
            there = self.theirs.get(path)
            if there and there.sha256 and there.sha256 == self.ours.here[path].sha256:
                yield path, there

    def idle(self, selects: Callable[[str], bool]) -> bool:
        """Whether there is nothing to do: nothing to send, to bring here, or to set aside."""
        if self.plan.changes or self.tip != self.base.commit or any(self.copies(selects)):
            return False
        here = {path: there.asset_id for path, there in self.base.assets.items()}
        there = {path: there.asset_id for path, there in self.theirs.items() if there.sha256}
        return here == there
