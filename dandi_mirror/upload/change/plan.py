"""Plan an upload: compare three states at each path, and refuse what the archive cannot hold.  Pure.

*Base* is the draft at the last sync, *theirs* is the archive's draft now, *ours* are the files here.  If only ours
differs from base, we send ours.  If theirs equals ours already, an earlier upload did it.  If theirs is neither,
somebody else has changed the draft, and nothing is sent at all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from dandi_mirror.errors import PartError, UnsafePlan
from dandi_mirror.model import RemoteFile
from dandi_mirror.paths import conflicts, folders_of
from dandi_mirror.text import some
from dandi_mirror.upload.kinds import path_problem

SAFE_SHARE = 0.5
"""The share of the draft's assets that may be deleted without a question."""
_NOT_COMPARED = "what the archive has there cannot be compared yet (it has no SHA-256); run this again later"
_UNFINISHED = "an upload of this Zarr from elsewhere is not finished; wait, or name the Zarr to finish it from here"
_EMPTY = "it is empty, and the archive does not accept empty files"


class Action(StrEnum):
    """What an upload does at a path."""

    ADD = "add"
    REPLACE = "replace"
    RENAME = "rename"
    """The asset of another path, which is gone here, gets this path; no bytes are sent."""
    DELETE = "delete"
    DONE = "done"
    """The archive has it already: an upload before this one was cut off, or its sync was."""
    KEPT = "kept"
    """It is deleted here, but stays in the archive."""
    REFUSED = "refused"
    LEFT = "left out"
    """It is new, and an upload sends it only if somebody asks for it."""


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file or a Zarr of the work tree."""

    size: int
    """Bytes; -1 if unknown."""
    digest: str
    """The SHA-256; empty if not computed, because no asset of the draft has the same size.  Of a Zarr, its checksum."""
    problem: str | None = None
    """Why it cannot be uploaded, whatever it holds; None if it can."""
    zarr: bool = False
    """Whether it is a Zarr folder."""


@dataclass(frozen=True, slots=True)
class UploadStep:
    """What an upload does at one path."""

    do: Action
    path: str
    size: int = 0
    digest: str = ""
    """The SHA-256 of the new content, or the checksum of a Zarr; empty if not known yet."""
    asset_id: str = ""
    """The asset of the draft that is replaced, renamed or deleted."""
    old: str = ""
    """The path that a renamed asset has now."""
    reason: str = ""
    """Why it is refused, or left out."""
    zarr: bool = False
    """Whether the new content is a Zarr folder."""


@dataclass(frozen=True, slots=True)
class UploadPlan:
    """The steps of an upload, sorted by path, and what stands against it."""

    steps: tuple[UploadStep, ...]
    behind: tuple[tuple[str, str], ...]
    """Paths at which the archive has changed since the last sync, each with the change."""
    unchanged: int
    held: int
    """How many assets the archive's draft has."""

    def of(self, *what: Action) -> list[UploadStep]:
        """The steps of some kinds."""
        return [step for step in self.steps if step.do in what]

    @property
    def changes(self) -> list[UploadStep]:
        """The steps that change the archive."""
        return self.of(Action.ADD, Action.REPLACE, Action.RENAME, Action.DELETE)

    def with_refused(self, steps: Iterable[UploadStep]) -> UploadPlan:
        """The plan with further refused steps."""
        return replace(self, steps=tuple(sorted([*self.steps, *steps], key=_path)))

    def check_is_current(self, remedy: str) -> None:
        """Refuse the plan if the archive has changed since the last sync; ``remedy`` is what to type.

        Raises:
            PartError: it has changed.
        """
        if self.behind:
            shown = some([f"{path} ({what})" for path, what in self.behind])
            raise PartError(f"the archive has moved on since the last sync: {shown}; nothing was sent; {remedy}")

    def check_deletes(self) -> None:
        """Refuse to delete much of a draft, because the work tree may be incomplete.

        Raises:
            UnsafePlan: the plan deletes more than half of the assets.
        """
        gone = [step.path for step in self.of(Action.DELETE)]
        if len(gone) > self.held * SAFE_SHARE:
            how_many = f"all {self.held:,}" if len(gone) == self.held else f"{len(gone):,} of {self.held:,}"
            raise UnsafePlan(
                f"{how_many} files of the archive's draft would be deleted: {some(gone)}; nothing was sent; "
                "if you mean it, run this again with --allow-deletes"
            )


def make_upload_plan(
    base: Mapping[str, RemoteFile],
    theirs: Mapping[str, RemoteFile],
    ours: Mapping[str, LocalFile],
    *,
    selected: Callable[[str], bool] = lambda path: True,
    sync: bool = False,
    unasked: Callable[[str], str | None] = lambda path: None,
) -> UploadPlan:
    """The plan for the ``selected`` paths; where the archive has moved on is looked for at all of them.

    ``ours`` has every file of the work tree, also those that are as in ``base``.  With ``sync``, what is gone
    here is deleted there; never, if its bytes are refused or left out at another path.  ``unasked`` says why what is
    new at a path does not go up unless somebody asks for it; empty where it does.
    """
    steps, behind = {}, []
    for path in {*base, *theirs, *ours}:
        found = _compare(path, base.get(path), theirs.get(path), ours.get(path))
        if isinstance(found, str):
            behind.append((path, found))
        elif found and selected(path):
            steps[path] = found
    steps = _with_renames(steps, theirs)
    steps = _without_unasked(steps, {*base, *theirs}, ours, unasked)
    steps = _without_conflicts(steps, theirs, sync)
    touched = {path for step in steps.values() for path in (step.path, step.old)}
    unchanged = sum(path not in touched and path in ours for path in theirs)
    return UploadPlan(tuple(sorted(steps.values(), key=_path)), tuple(sorted(behind)), unchanged, len(theirs))


def in_order(plan: UploadPlan) -> list[list[UploadStep]]:
    """The changes in the order in which the archive takes them, in groups of which each is done before the next.

    First goes what stands in the way (a file where a folder is to be), last what is only deleted, so that nothing
    is missing from the draft longer than it must.
    """
    new = {step.path for step in plan.of(Action.ADD)}  # a rename goes only where nothing is in its way
    deletes = plan.of(Action.DELETE)
    blocking = set(conflicts({*new, *(step.path for step in deletes)}))
    early = [step for step in deletes if step.path in blocking]
    late = [step for step in deletes if step.path not in blocking]
    return [early, plan.of(Action.RENAME), plan.of(Action.ADD, Action.REPLACE), late]


def _compare(
    path: str, base: RemoteFile | None, theirs: RemoteFile | None, ours: LocalFile | None
) -> UploadStep | str | None:
    """What becomes of a path; what the archive has there instead, if it has moved on; None if nothing."""
    if theirs and not theirs.digest:
        return _beside_unknown(path, base, theirs, ours)
    if (base and base.digest) == (theirs and theirs.digest):
        return _ours_decides(path, theirs, ours)
    if ours is None:
        return None if theirs is None else _moved_on(base, theirs)
    if theirs and ours.digest == theirs.digest:
        return UploadStep(Action.DONE, path, ours.size, ours.digest, theirs.asset_id, zarr=ours.zarr)
    return _moved_on(base, theirs)


def _moved_on(base: RemoteFile | None, theirs: RemoteFile | None) -> str:
    return "new there" if base is None else "deleted there" if theirs is None else "another file there"


def _ours_decides(path: str, theirs: RemoteFile | None, ours: LocalFile | None) -> UploadStep | None:
    """Where the archive is as the last sync left it."""
    if ours is None:
        return UploadStep(Action.DELETE, path, theirs.size, theirs.digest, theirs.asset_id) if theirs else None
    if theirs and ours.digest == theirs.digest:
        return None
    reason = ours.problem or path_problem(path) or ("" if ours.size else _EMPTY)
    if reason:
        return UploadStep(Action.REFUSED, path, max(ours.size, 0), ours.digest, reason=reason, zarr=ours.zarr)
    if theirs is None:
        return UploadStep(Action.ADD, path, ours.size, ours.digest, zarr=ours.zarr)
    return UploadStep(Action.REPLACE, path, ours.size, ours.digest, theirs.asset_id, zarr=ours.zarr)


def _beside_unknown(
    path: str, base: RemoteFile | None, theirs: RemoteFile, ours: LocalFile | None
) -> UploadStep | None:
    """Where nobody knows what the archive has: its digest is pending, or its record was refused."""
    if ours is None:
        return UploadStep(Action.DELETE, path, theirs.size, base.digest, theirs.asset_id) if base else None
    if base and ours.digest == base.digest:
        return None
    reason = _UNFINISHED if theirs.zarr else _NOT_COMPARED
    return UploadStep(Action.REFUSED, path, max(ours.size, 0), ours.digest, reason=reason)


def _with_renames(steps: dict[str, UploadStep], theirs: Mapping[str, RemoteFile]) -> dict[str, UploadStep]:
    """Pair what is gone with what is new and has the same bytes."""
    gone: dict[str, list[UploadStep]] = {}
    for step in sorted(steps.values(), key=_path):
        if step.do is Action.DELETE and step.digest:
            gone.setdefault(step.digest, []).append(step)
    steps, below = dict(steps), Counter(folder for path in theirs for folder in folders_of(path)) if gone else {}
    for step in sorted(steps.values(), key=_path):
        candidates = gone.get(step.digest, []) if step.do is Action.ADD else []
        # where several will do, the one that keeps its name
        candidates.sort(key=lambda other: (_name(other.path) != _name(step.path), other.path))
        old = next((other for other in candidates if not _blocked(step.path, other.path, theirs, below)), None)
        if old:
            candidates.remove(old)
            del steps[old.path]
            steps[step.path] = replace(step, do=Action.RENAME, asset_id=old.asset_id, old=old.path)
    return steps


def _without_unasked(
    steps: Mapping[str, UploadStep],
    known: Collection[str],
    ours: Mapping[str, LocalFile],
    unasked: Callable[[str], str | None],
) -> dict[str, UploadStep]:
    """Leave out what is new and was not asked for; what is known by its path, or moved from one, is not new."""
    gone = {step.digest for step in steps.values() if step.do is Action.DELETE and step.digest}
    found = dict(steps)
    for path, step in steps.items():
        refused = step.do is Action.REFUSED and not ours[path].problem and step.digest not in gone
        if path not in known and (step.do is Action.ADD or refused) and (reason := unasked(path)):
            found[path] = replace(step, do=Action.LEFT, reason=reason)
    return found


def _with_kept(steps: Mapping[str, UploadStep], sync: bool) -> dict[str, UploadStep]:
    """Keep in the archive what is gone here: all of it without ``sync``, and what does not go up elsewhere."""
    # what was moved over another file is gone from its old place by the same intent
    moved = {step.digest for step in steps.values() if step.do in {Action.ADD, Action.REPLACE}}
    stuck = {step.digest for step in steps.values() if step.do in {Action.REFUSED, Action.LEFT}}
    return {
        path: replace(step, do=Action.KEPT)
        if step.do is Action.DELETE and (step.digest in stuck - moved or not (sync or step.digest in moved))
        else step
        for path, step in steps.items()
    }


def _blocked(path: str, old: str, theirs: Mapping[str, RemoteFile], below: Mapping[str, int]) -> bool:
    """Whether a folder of ``path`` is a file there, or ``path`` a folder; ``old`` is the asset that moves."""
    if below.get(path, 0) > (1 if old.startswith(f"{path}/") else 0):
        return True
    return any(folder in theirs and folder != old for folder in folders_of(path))


def _without_conflicts(
    steps: Mapping[str, UploadStep], theirs: Mapping[str, RemoteFile], sync: bool
) -> dict[str, UploadStep]:
    """Refuse what would be a file and a folder at once beside what stays in the archive."""
    while True:
        steps = _with_kept(steps, sync)  # what is refused below is kept at its old place, where it may be in the way
        gone = {step.old for step in steps.values()} | {path for path, s in steps.items() if s.do is Action.DELETE}
        new = {path for path, step in steps.items() if step.do in {Action.ADD, Action.RENAME}}
        found = conflicts((theirs.keys() - gone) | new)
        if not (refused := new & found.keys()):
            return steps
        for path in refused:
            steps[path] = replace(steps[path], do=Action.REFUSED, asset_id="", old="", reason=found[path])


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def _path(step: UploadStep) -> str:
    return step.path
