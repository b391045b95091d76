"""Push a mirror to a sibling: only what changed, never by force, and verified afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field, replace

from dandi_mirror.config import HOSTS, Sibling
from dandi_mirror.errors import CredentialsError, IntegrityError, NotFoundError, PartError
from dandi_mirror.mirror.push.notes import SiblingNotes
from dandi_mirror.mirror.state.layout import Mirror
from dandi_mirror.mirror.state.options import Options
from dandi_mirror.mirror.sync import messages
from dandi_mirror.mirror.sync.dandiset import failed, repair_after_crash
from dandi_mirror.mirror.sync.own_commits import own_commits
from dandi_mirror.mirror.sync.rewritten import superseded_by
from dandi_mirror.model import ListedDandiset, is_dandiset_id, is_version_id
from dandi_mirror.repo.git import siblings
from dandi_mirror.repo.git.dataset import ANNEX, TAGS, Dataset
from dandi_mirror.repo.git.lock import UnfinishedRun
from dandi_mirror.repo.git.stream import GITLINK
from dandi_mirror.text import quoted

Ask = Callable[[str], ListedDandiset]
"""Asks the archive for a Dandiset's list entry."""
SUPERDATASET = ""
"""The superdataset, in place of a Dandiset's id."""
_BRANCHES = ("refs/heads/draft", "refs/heads/published")


@dataclass(slots=True)
class PushResult:
    """The result of pushing one dataset."""

    dandiset: str
    """Its id; empty for the superdataset."""
    sibling: str
    status: str = "notneeded"
    """DataLad's words: ``ok``, ``notneeded``, ``impossible``, ``error``."""
    message: str = ""
    refs: list[str] = field(default_factory=list)
    """Branches and tags that were pushed, or would be."""
    exit_code: int = 0


@dataclass(frozen=True, slots=True)
class PushRun:
    """One run of ``push``: from which mirror, to which sibling, and how."""

    mirror: Mirror
    sibling: Sibling
    dandisets: list[str]
    ask: Ask
    verify: bool = False
    """Ask the sibling also for datasets that did not change."""
    dry_run: bool = False
    killed: UnfinishedRun | None = None
    """The run before this one to the same sibling, if it did not complete."""
    not_pushed: set[str] = field(default_factory=set)
    """Dandisets that this run does not push, and whose user knows that: not named, or reported as failed."""

    @property
    def notes(self) -> SiblingNotes:
        """The memory between runs."""
        return SiblingNotes(self.mirror.own / "pushed.sqlite", self.sibling)

    def dataset(self, part: str) -> Dataset:
        """Return the repository of a Dandiset or of the superdataset."""
        return self.mirror.superdataset.dataset if part == SUPERDATASET else self.mirror.dataset(part)

    def refs(self, part: str) -> dict[str, str]:
        """Return the refs of a repository that are pushed: the branches and tags of syncs, and the git-annex branch."""
        dataset = self.dataset(part)
        refs = dataset.refs_in_files()
        found = {ref: oid for ref, oid in refs.items() if ref in _BRANCHES or is_version_id(ref.removeprefix(TAGS))}
        # last, because a sync moves it first: so it knows every file that the branches and tags name
        return found | ({ANNEX: annex} if (annex := dataset.ref(ANNEX)) else {})


class WaitsForMembers(PartError):
    """The superdataset waits for Dandisets that this run does not push; that is not a failure."""


def push_many(push: PushRun, jobs: int) -> Iterator[PushResult]:
    """Push each Dandiset, ``jobs`` at a time, and then the superdataset; the failure of one does not stop the others.

    Raises:
        LockedError: another run pushes to the same sibling.
    """
    with (
        nullcontext()
        if push.dry_run
        else push.mirror.hold(f"push-{push.sibling.name}", f"the sibling {push.sibling.name}") as killed
    ):
        push = replace(push, killed=killed)
        notes = push.notes.all()
        # read before the others, so that it names no commit that is newer than what they push
        superdataset = push.refs(SUPERDATASET)
        push.not_pushed.update(set(push.mirror.dandisets()) - set(push.dandisets))
        pool = ThreadPoolExecutor(jobs, thread_name_prefix="push")
        try:
            waiting = [pool.submit(_push, push, part, None, notes.get(part, {})) for part in push.dandisets]
            for future in waiting:
                report = future.result()
                push.not_pushed.update([report.dandiset] if report.exit_code else [])
                yield report
        finally:
            # an interrupted run does not wait for pushes that have begun
            pool.shutdown(wait=False, cancel_futures=True)
        yield _push(push, SUPERDATASET, superdataset, notes.get(SUPERDATASET, {}))


def _push(push: PushRun, part: str, local: dict[str, str] | None, note: Mapping[str, str]) -> PushResult:
    report = PushResult(part, push.sibling.name)
    try:
        _push_changes(push, part, push.refs(part) if local is None else local, note, report)
    except WaitsForMembers as error:
        report.message = str(error)
    except Exception as error:
        report.status, report.message, report.exit_code = failed(part, error)
    return report


def _push_changes(push: PushRun, part: str, local: dict[str, str], note: Mapping[str, str], report: PushResult) -> None:
    """Push the refs that changed, then compare the sibling's refs with ours."""
    moved = [ref for ref, oid in local.items() if note.get(ref) != oid]
    if push.dry_run:
        _tell(report, moved)
    if push.dry_run or not local or not (moved or push.verify):
        return
    dataset, sibling = push.dataset(part), push.sibling
    if push.killed:
        siblings.clear_stale(dataset, sibling, part, push.killed)
    if part:
        _check_history(dataset, local)
    if not siblings.is_sibling_set_up(dataset, sibling):
        _check_may_go(push, part, local)
        _set_up(push, part, local)
        note = {}
    try:
        there = siblings.refs_at(dataset, sibling.name)
    except siblings.RepositoryLost:
        push.notes.put(part, {})  # so that each push tells it, until it is made again
        raise
    wanted, reasons = _compare(dataset, sibling.name, local, there, note)
    if wanted:
        # again, because it may have changed meanwhile
        _check_may_go(push, part, local)
        _send(dataset, sibling, wanted, there)
        there = siblings.refs_at(dataset, sibling.name)
        _tell(report, list(wanted))
    _note_arrived(push, part, local, there, note, wanted)
    if reasons:
        raise PartError(f"not overwritten at {sibling.name}: {'; '.join(reasons)}")


def _note_arrived(
    push: PushRun, part: str, local: Mapping[str, str], there: Mapping[str, str], note: Mapping[str, str],
    wanted: Mapping[str, str],
) -> None:  # fmt: skip
    """Note which refs the sibling has now.

    Raises:
        IntegrityError: one of those that were pushed (``wanted``) is different there.
    """
    arrived = {ref: oid if there.get(ref) == oid else "" for ref, oid in local.items()}
    # a ref that the sibling has lost stays in the notes, or the next run would push it again
    push.notes.put(part, {ref: oid for ref, oid in arrived.items() if oid or ref in note})
    if strange := [_short(ref) for ref in wanted if not arrived[ref]]:
        name, folder = push.sibling.name, quoted(push.dataset(part).path)
        raise IntegrityError(
            f"{', '.join(strange)} at {name} differs from what was pushed; push again, and if it stays so, look: "
            f"git -C {folder} ls-remote {name}"
        )


def _tell(report: PushResult, refs: list[str]) -> None:
    report.refs = sorted(map(_short, refs))
    report.status = "ok" if refs else "notneeded"


def _short(ref: str) -> str:
    return ref.removeprefix("refs/heads/").removeprefix(TAGS)


def _compare(
    dataset: Dataset, name: str, local: Mapping[str, str], there: Mapping[str, str], note: Mapping[str, str]
) -> tuple[dict[str, str], list[str]]:
    """Return the refs to push, and the reasons why others are not pushed."""
    wanted: dict[str, str] = {}
    reasons = []
    here = f"git -C {quoted(dataset.path)}"
    for ref, oid in local.items():
        has, what = there.get(ref), _short(ref)
        if has == oid:
            continue
        if has is None and ref in note:
            reasons.append(f"{what} was deleted there; to push it again: {here} push {name} {what}")
        elif has is None:
            wanted[ref] = oid
        elif ref.startswith(TAGS) and (kept := superseded_by(dataset.refs_in_files("refs/tags"), what, has)):
            reasons.append(
                f"{what} is still the tag from before --accept-changed; to replace it there, and keep the old one as "
                f"{kept}: {here} push {name} {kept} +{ref}"
            )
        elif ref.startswith(TAGS):
            reasons.append(f"{what} is a different tag there; to see it: {here} ls-remote {name}")
        elif siblings.follows(dataset, oid, has):
            wanted[ref] = oid
        elif ref == ANNEX:
            reasons.append(f"{what} has commits there that are not here: {here} fetch {name}, then {here} annex merge")
        else:
            reasons.append(f"{what} has commits there that are not here; to see them: {here} fetch {name}")
    return wanted, reasons


def _send(dataset: Dataset, sibling: Sibling, wanted: Mapping[str, str], there: Mapping[str, str]) -> None:
    first = {ref: wanted[ref] for ref in _BRANCHES if ref in wanted}
    if sibling.type in HOSTS and not there and first:
        # hosting services show the branch that they got first
        siblings.push(dataset, sibling.name, first)
    siblings.push(dataset, sibling.name, wanted)


def _set_up(push: PushRun, part: str, local: Mapping[str, str]) -> None:
    mirror, dataset = push.mirror, push.dataset(part)
    branch = next((ref for ref in _BRANCHES if ref in local), _BRANCHES[0]).removeprefix("refs/heads/")
    with mirror.lock(part) if part else mirror.superdataset_lock() as killed:
        if killed and part:
            then = mirror.index.get(part)
            repair_after_crash(dataset, Options(versions=then.versions).branch if then else branch, killed)
        elif killed:
            mirror.superdataset.clear_stale(killed)
        siblings.set_up_sibling(dataset, push.sibling, part, branch)


# --- what may be pushed ---------------------------------------------------------------------------------------


def _check_history(dataset: Dataset, local: Mapping[str, str]) -> None:
    """Refuse to push commits and tags that no sync made."""
    for ref in _BRANCHES:
        if ref in local and (own := own_commits(dataset, _short(ref))):
            raise PartError(own)
    if strange := sorted({_short(ref) for ref in local} & dataset.light_tags()):
        raise PartError(
            f"its tag {strange[0]} was not made by a sync; remove it: git -C {quoted(dataset.path)} tag -d {strange[0]}"
        )


def _check_may_go(push: PushRun, part: str, local: Mapping[str, str]) -> None:
    """Refuse a Dandiset that is not open now, unless the sibling is private; and a superdataset that is ahead."""
    if part == SUPERDATASET:
        _check_members(push, next(local[ref] for ref in _BRANCHES if ref in local))
    elif not push.sibling.private:
        try:
            status = push.ask(part).embargo_status
        except (CredentialsError, NotFoundError) as error:
            status = str(error)
        if status != "OPEN":
            raise PartError(
                f"it is not open ({status}), and the settings do not declare {push.sibling.name} private; "
                "it was not pushed"
            )
        _check_past(push, part, local)


def _check_past(push: PushRun, part: str, local: Mapping[str, str]) -> None:
    """Refuse a history from under an embargo: it may have files that were removed before the Dandiset was opened."""
    dataset = push.dataset(part)
    if any(siblings.has_trailer(dataset, local[ref], messages.EMBARGO) for ref in _BRANCHES if ref in local):
        raise PartError(
            f"its history began under an embargo, and the settings do not declare {push.sibling.name} private; "
            f"to begin a new history, move {dataset.path} away and sync"
        )


def _check_members(push: PushRun, commit: str) -> None:
    """Refuse to name commits that the sibling does not have: nobody could get them there."""
    notes = push.notes.all()
    registered = push.dataset(SUPERDATASET).tree(commit).items()
    members = {path: oid for path, (mode, oid) in registered if mode == GITLINK and is_dandiset_id(path)}
    absent = [path for path, oid in members.items() if not _is_there(push.dataset(path), oid, notes.get(path, {}))]
    if absent:
        few = ", ".join(absent[:3]) + (f" and {len(absent) - 3} more" if len(absent) > 3 else "")
        reason = f"it waits for Dandisets that it names and {push.sibling.name} does not have: {few}"
        if away := next((path for path in absent if not push.dataset(path).exists()), ""):
            reason += (
                f"; {away} is not in this mirror any more; if it is to stay away, take it out of the superdataset: "
            )
            reason += push.mirror.superdataset.take_out(away)
        raise WaitsForMembers(reason) if set(absent) <= push.not_pushed else PartError(reason)


def _is_there(dataset: Dataset, commit: str, note: Mapping[str, str]) -> bool:
    tips = {note[ref] for ref in _BRANCHES if note.get(ref)}
    return commit in tips or any(siblings.follows(dataset, tip, commit) for tip in tips)
