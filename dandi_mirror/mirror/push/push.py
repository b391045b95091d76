"""Publishing a mirror: what moved goes to a sibling, never by force, and what arrived is looked at."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field, replace

from dandi_mirror.config import HOSTS, Sibling
from dandi_mirror.errors import CredentialsError, IntegrityError, NotFoundError, PartError
from dandi_mirror.mirror.push.notes import Notes
from dandi_mirror.mirror.state.layout import Mirror
from dandi_mirror.mirror.state.options import Options
from dandi_mirror.mirror.sync import messages
from dandi_mirror.mirror.sync.dandiset import failed, repair_after_crash
from dandi_mirror.mirror.sync.rewritten import superseded_by
from dandi_mirror.model import DandisetRow, is_dandiset_id, is_version_id
from dandi_mirror.repo.git import siblings
from dandi_mirror.repo.git.dataset import ANNEX, TAGS, Dataset
from dandi_mirror.repo.git.lock import Unfinished
from dandi_mirror.repo.git.stream import GITLINK

Ask = Callable[[str], DandisetRow]
"""Asks the archive for a Dandiset's row."""
SUPERDATASET = ""
"""Stands for the superdataset where a Dandiset's id may."""
_BRANCHES = ("refs/heads/draft", "refs/heads/published")


@dataclass(slots=True)
class Pushed:
    """What one push did with one dataset."""

    dandiset: str
    """Its id; empty for the superdataset."""
    sibling: str
    status: str = "notneeded"
    """DataLad's words: ``ok``, ``notneeded``, ``impossible``, ``error``."""
    message: str = ""
    refs: list[str] = field(default_factory=list)
    """Branches and tags that were brought, or would be."""
    exit_code: int = 0


@dataclass(frozen=True, slots=True)
class Push:
    """One run: from where, to where, and how."""

    mirror: Mirror
    sibling: Sibling
    dandisets: list[str]
    ask: Ask
    verify: bool = False
    """Ask the sibling also where nothing moved."""
    dry_run: bool = False
    killed: Unfinished | None = None
    """The run before this one to the same sibling, if it did not come through."""
    excused: set[str] = field(default_factory=set)
    """Dandisets that are not brought by this run, as its user knows: not asked for, or told to have failed."""

    @property
    def notes(self) -> Notes:
        """The memory between runs."""
        return Notes(self.mirror.own / "pushed.sqlite", self.sibling)

    def dataset(self, part: str) -> Dataset:
        """A Dandiset's repository, or the superdataset's."""
        return self.mirror.superdataset.dataset if part == SUPERDATASET else self.mirror.dataset(part)

    def refs(self, part: str) -> dict[str, str]:
        """What of a repository is published, and the object ids: our branches, our tags, the git-annex branch."""
        dataset = self.dataset(part)
        refs = dataset.refs_in_files()
        found = {ref: oid for ref, oid in refs.items() if ref in _BRANCHES or is_version_id(ref.removeprefix(TAGS))}
        # last, because a sync moves it first: it knows of every file that the branches and tags name
        return found | ({ANNEX: annex} if (annex := dataset.ref(ANNEX)) else {})


class Later(PartError):
    """The superdataset waits for Dandisets that are excused; that is no failure of its own."""


def push_many(push: Push, jobs: int) -> Iterator[Pushed]:
    """Each Dandiset, ``jobs`` of them at a time, and then the superdataset; one's failure is its own.

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
        # before the others: then what it names is not newer than what they bring
        superdataset = push.refs(SUPERDATASET)
        push.excused.update(set(push.mirror.dandisets()) - set(push.dandisets))
        pool = ThreadPoolExecutor(jobs, thread_name_prefix="push")
        try:
            waiting = [pool.submit(_push, push, part, None, notes.get(part, {})) for part in push.dandisets]
            for future in waiting:
                report = future.result()
                push.excused.update([report.dandiset] if report.exit_code else [])
                yield report
        finally:
            # an interrupted run does not wait for those that are at work
            pool.shutdown(wait=False, cancel_futures=True)
        yield _push(push, SUPERDATASET, superdataset, notes.get(SUPERDATASET, {}))


def _push(push: Push, part: str, local: dict[str, str] | None, note: Mapping[str, str]) -> Pushed:
    report = Pushed(part, push.sibling.name)
    try:
        _bring(push, part, push.refs(part) if local is None else local, note, report)
    except Later as error:
        report.message = str(error)
    except Exception as error:
        report.status, report.message, report.exit_code = failed(part, error)
    return report


def _bring(push: Push, part: str, local: dict[str, str], note: Mapping[str, str], report: Pushed) -> None:
    """Bring what moved, and look at what arrived."""
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
    if not siblings.is_set_up(dataset, sibling):
        _check_may_go(push, part, local)
        _set_up(push, part, local)
        note = {}
    there = siblings.refs_at(dataset, sibling.name)
    wanted, reasons = _compare(dataset, sibling.name, local, there, note)
    if wanted:
        # once more: this is the moment that counts
        _check_may_go(push, part, local)
        _send(dataset, sibling, wanted, there)
        there = siblings.refs_at(dataset, sibling.name)
        _tell(report, list(wanted))
    arrived = {ref: oid if there.get(ref) == oid else "" for ref, oid in local.items()}
    # what is not there though it was once stays noted as lost, or the next run would bring it back
    push.notes.put(part, {ref: oid for ref, oid in arrived.items() if oid or ref in note})
    if strange := [_short(ref) for ref in wanted if not arrived[ref]]:
        raise IntegrityError(
            f"{', '.join(strange)} at {sibling.name} is not what was pushed there; push again, and look"
        )
    if reasons:
        raise PartError(f"not forced upon {sibling.name}: {'; '.join(reasons)}")


def _tell(report: Pushed, refs: list[str]) -> None:
    report.refs = sorted(map(_short, refs))
    report.status = "ok" if refs else "notneeded"


def _short(ref: str) -> str:
    return ref.removeprefix("refs/heads/").removeprefix(TAGS)


def _compare(
    dataset: Dataset, name: str, local: Mapping[str, str], there: Mapping[str, str], note: Mapping[str, str]
) -> tuple[dict[str, str], list[str]]:
    """What is to be brought, and why the others are not."""
    wanted: dict[str, str] = {}
    reasons = []
    here = f"git -C {shlex.quote(str(dataset.path))}"
    for ref, oid in local.items():
        has, what = there.get(ref), _short(ref)
        if has == oid:
            continue
        if has is None and ref in note:
            reasons.append(f"{what} was deleted there; to bring it back: {here} push {name} {what}")
        elif has is None:
            wanted[ref] = oid
        elif ref.startswith(TAGS) and (kept := superseded_by(dataset.refs_in_files("refs/tags"), what, has)):
            reasons.append(
                f"{what} is there as it was before its change was accepted here; to move it there too, and keep the "
                f"old tag as {kept}: {here} push {name} {kept} +{ref}"
            )
        elif ref.startswith(TAGS):
            reasons.append(f"{what} is another tag there; to see it: {here} ls-remote {name}")
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
        # services show what came first
        siblings.push(dataset, sibling.name, first)
    siblings.push(dataset, sibling.name, wanted)


def _set_up(push: Push, part: str, local: Mapping[str, str]) -> None:
    mirror, dataset = push.mirror, push.dataset(part)
    branch = next((ref for ref in _BRANCHES if ref in local), _BRANCHES[0]).removeprefix("refs/heads/")
    with mirror.lock(part) if part else mirror.superdataset_lock() as killed:
        if killed and part:
            then = mirror.index.get(part)
            repair_after_crash(dataset, Options(versions=then.versions).branch if then else branch, killed)
        elif killed:
            mirror.superdataset.clear_stale(killed)
        siblings.set_up(dataset, push.sibling, part, branch)


# --- what may go --------------------------------------------------------------------------------------------


def _check_history(dataset: Dataset, local: Mapping[str, str]) -> None:
    """Refuse to publish what no sync made."""
    for ref in _BRANCHES:
        if ref in local and messages.TRAILER not in dataset.message(local[ref]):
            raise PartError(
                f"its branch {_short(ref)} has commits that no sync made; keep them on one of your own: "
                f"git -C {dataset.path} branch mine {local[ref][:10]}, then reset {_short(ref)}"
            )
    if strange := sorted({_short(ref) for ref in local} & dataset.light_tags()):
        raise PartError(
            f"its tag {strange[0]} was not made by a sync; remove it: git -C {dataset.path} tag -d {strange[0]}"
        )


def _check_may_go(push: Push, part: str, local: Mapping[str, str]) -> None:
    """Refuse what is not known to be open, now, unless the sibling is private; and a superdataset that is ahead."""
    if part == SUPERDATASET:
        _check_members(push, next(local[ref] for ref in _BRANCHES if ref in local))
    elif not push.sibling.private:
        try:
            status = push.ask(part).embargo_status
        except (CredentialsError, NotFoundError) as error:
            status = str(error)
        if status != "OPEN":
            raise PartError(
                f"it is not open to all ({status}), and {push.sibling.name} is not declared private; it was not pushed"
            )
        _check_past(push, part, local)


def _check_past(push: Push, part: str, local: Mapping[str, str]) -> None:
    """Refuse to show what was under embargo once, and may have been taken away before the Dandiset was opened."""
    dataset = push.dataset(part)
    if any(siblings.has_trailer(dataset, local[ref], messages.EMBARGO) for ref in _BRANCHES if ref in local):
        raise PartError(
            f"its history goes back to an embargo, and {push.sibling.name} is not declared private; "
            f"to begin a new history, move {dataset.path} away and sync"
        )


def _check_members(push: Push, commit: str) -> None:
    """Refuse to name commits that the sibling does not have: nobody could get them, or know that they are open."""
    notes = push.notes.all()
    registered = push.dataset(SUPERDATASET).tree(commit).items()
    members = {path: oid for path, (mode, oid) in registered if mode == GITLINK and is_dandiset_id(path)}
    absent = [path for path, oid in members.items() if not _is_there(push.dataset(path), oid, notes.get(path, {}))]
    if absent:
        few = ", ".join(absent[:3]) + (f" and {len(absent) - 3} more" if len(absent) > 3 else "")
        reason = f"it waits for what it names and {push.sibling.name} does not have: {few}"
        raise Later(reason) if set(absent) <= push.excused else PartError(reason)


def _is_there(dataset: Dataset, commit: str, note: Mapping[str, str]) -> bool:
    tips = {note[ref] for ref in _BRANCHES if note.get(ref)}
    return commit in tips or any(siblings.follows(dataset, tip, commit) for tip in tips)
