"""Compare a mirror with the archive, Dandiset by Dandiset; nothing is written."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import reduce

from dandi_mirror.errors import CredentialsError, IntegrityError, MirrorError, NotFoundError, TemporaryError
from dandi_mirror.mirror.copies.leaving import leaving
from dandi_mirror.mirror.fetch.scheduled import missing_content
from dandi_mirror.mirror.monitor.status_word import StatusWord, status_word
from dandi_mirror.mirror.state.damage import damage_of, held_dandisets, without_repository
from dandi_mirror.mirror.state.layout import Mirror
from dandi_mirror.mirror.state.members import NotAMember
from dandi_mirror.mirror.state.options import Options, to_sync_embargoed
from dandi_mirror.mirror.state.remembered import RememberedDandiset, ZarrTotals
from dandi_mirror.mirror.state.verified import Damage
from dandi_mirror.mirror.sync.filters import Rules
from dandi_mirror.mirror.sync.own_commits import own_commits
from dandi_mirror.model import ABSENT, Finding, FindingKind, ListedDandiset, is_version_id, spell_time
from dandi_mirror.repo.git.dataset import TAGS, Dataset
from dandi_mirror.repo.git.worktree import is_cut_off
from dandi_mirror.text import counted

Ask = Callable[[str], ListedDandiset]
"""Gets a Dandiset's list entry from the archive."""

_AT_ONCE = 8
"""Dandisets that are read at the same time: each waits for git."""
_HARMLESS = {
    StatusWord.CURRENT,
    StatusWord.BEHIND,
    StatusWord.RENAMED,
    StatusWord.UNEMBARGOED,
    StatusWord.VANISHED,
    StatusWord.LEFT_OUT,
}
_NOT_OFFLINE = {
    StatusWord.MISSING,
    StatusWord.LEFT_OUT,
    StatusWord.BEHIND,
    StatusWord.RENAMED,
    StatusWord.EMPTIED,
    StatusWord.UNEMBARGOED,
}


@dataclass(frozen=True, slots=True)
class Status:
    """The status of one Dandiset, with details."""

    dandiset: str
    word: StatusWord
    versions: int = 0
    """Number of published versions that are tagged."""
    commit: str = ""
    """The commit of the branch that the sync keeps."""
    modified: str = ""
    """When the draft was last changed, if the archive was asked."""
    edits: int = 0
    """Number of files with local edits in the work tree."""
    findings: tuple[Finding, ...] = field(default=())
    failure: str = ""
    """Why the last sync failed, or why the dataset cannot be read."""
    failed: str = ""
    """When that sync failed, if ``failure`` is its."""
    name: str = ""
    """The name of the draft, if the archive was asked."""
    size: int = 0
    """Bytes of the draft as the archive counts them, if it was asked."""
    zarrs: int = 0
    """Zarrs of the Dandiset when it was last synced; 0 if the draft holds none."""
    zarr_entries: int = 0
    """Entries of those Zarrs whose newest state is recorded here."""
    zarr_size: int = 0
    """Bytes of these."""
    pending_zarrs: int = 0
    """Zarrs of the draft whose newest state is not recorded here yet."""
    unversioned: int = 0
    """Zarrs of the draft whose entries were listed without the bucket's versions."""

    leaving: int = 0
    """Files that no version names any more, that the archive still has for some days, and that are not here."""
    leaving_size: int = 0
    """Their bytes."""
    leaving_day: str = ""
    """The day on which the archive removes the first of them, about; empty if there is none."""

    @property
    def exit_code(self) -> int:
        """The exit code of a sync that finds the same; a Dandiset that is behind is not a failure."""
        if self.word in {StatusWord.ALARM, StatusWord.DAMAGED}:
            return IntegrityError.exit_code
        return 0 if self.word in _HARMLESS else 3


def status_of(
    mirror: Mirror,
    dandiset: str,
    ask: Ask | None,
    changed: Container[str] = (),
    damaged: Mapping[str, Damage] | None = None,
) -> Status:
    """Return the status of one Dandiset; ``ask`` gets its list entry (None: do not ask the archive).

    ``changed`` are the Dandisets of which the archive lists other states of Zarrs than at the last sync; ``damaged``
    those that verifications found damaged (None: read it).
    """
    last = mirror.index.get(dandiset)
    try:
        dataset = mirror.dataset(dandiset)
    except NotAMember as error:
        return Status(dandiset, StatusWord.FAILED, failure=str(error))
    if why := damage_of(mirror, dandiset):
        return Status(dandiset, StatusWord.DAMAGED, failure=why)
    if not dataset.exists():
        return Status(dandiset, StatusWord.MISSING)
    try:
        state = _git_state(dataset, last)
    except (MirrorError, OSError, ValueError) as error:
        # one that cannot be read does not hide the others
        if why := damage_of(mirror, dandiset, error):
            return Status(dandiset, StatusWord.DAMAGED, failure=why)
        return Status(dandiset, StatusWord.FAILED, failure=str(error))
    compared = _compared(state, last, _findings(mirror, dandiset, last), dandiset, ask, dandiset in changed)
    if compared.word is StatusWord.UNFINISHED and (own := own_commits(dataset, _kept(dataset, last))):
        compared = replace(compared, word=StatusWord.FAILED, failure=own)
    damage = (mirror.verifications.damaged() if damaged is None else damaged).get(dandiset)
    if damage and compared.word is not StatusWord.ALARM:
        compared = replace(compared, word=StatusWord.DAMAGED, failure=_damage(dandiset, damage), failed="")
    going = leaving(mirror, dandiset)
    compared = replace(compared, leaving=len(going.until), leaving_size=going.size, leaving_day=going.day)
    return _with_zarrs(compared, last) if last else compared


def _with_zarrs(status: Status, last: RememberedDandiset) -> Status:
    totals = last.totals
    return replace(
        status, zarrs=last.zarr_count, zarr_entries=totals.entries, zarr_size=totals.size,
        pending_zarrs=totals.pending, unversioned=totals.unversioned,
    )  # fmt: skip


def _damage(dandiset: str, damage: Damage) -> str:
    """What a verification found, and what to type."""
    when = spell_time(datetime.fromtimestamp(int(damage.since), UTC))
    shares = "".join(f" --{name} 1" for name in ("urls", "content") if f"{name}:" in damage.how)
    return (
        f"verify found it damaged ({when}, {counted(damage.found, 'difference')}); to see what differs: "
        f"dandi-mirror verify {dandiset}{shares}; to repair it, add --repair"
    )


@dataclass(frozen=True, slots=True)
class _GitState:
    """What git says about a dataset."""

    versions: int
    branch: str
    edits: int


def _git_state(dataset: Dataset, last: RememberedDandiset | None) -> _GitState:
    tags = [ref for ref in dataset.refs() if is_version_id(ref.removeprefix(TAGS))]
    dataset.unmerged(None)  # it reads the objects of all tags
    edits = 0 if is_cut_off(dataset) else len(dataset.edits())
    return _GitState(len(tags), _branch(dataset, last), edits)


def _compared(
    state: _GitState,
    last: RememberedDandiset | None,
    findings: tuple[Finding, ...],
    dandiset: str,
    ask: Ask | None,
    changed: bool,
) -> Status:
    entry = None
    word = None
    try:
        entry = ask(dandiset) if ask else None
    except NotFoundError:
        word = StatusWord.GONE
    except CredentialsError:
        word = StatusWord.FORBIDDEN
    word = word or status_word(last, findings, entry, state.branch, changed)
    if entry and word is StatusWord.EMBARGOED:
        findings = (_embargoed(dandiset), *(finding for finding in findings if finding.kind not in ABSENT))
    failure = last.failure if last else None
    unknown = "" if last else _not_remembered(dandiset)
    return Status(
        dandiset,
        word,
        state.versions,
        state.branch,
        spell_time(entry.draft.modified) if entry else "",
        state.edits,
        findings,
        failure.message if failure else unknown,
        spell_time(datetime.fromtimestamp(int(failure.when), UTC)) if failure and failure.when else "",
        entry.draft.name if entry else "",
        entry.draft.size if entry else 0,
    )


def _not_remembered(dandiset: str) -> str:
    """Why the last sync of a Dandiset that is here is unknown, though nothing was interrupted."""
    return (
        "no sync of it is remembered here: this is a clone of a mirror, or the index was deleted; to read it again: "
        f"dandi-mirror sync {dandiset}"
    )


def _embargoed(dandiset: str) -> Finding:
    """What the archive says now, in place of what it said to the last sync, which may have had no key."""
    how = to_sync_embargoed(dandiset)
    reason = f"the mirror keeps what it has, and your API key gives access to it; to mirror it: {how}"
    return Finding("", "", FindingKind.EMBARGOED, reason)


def status_of_all(
    mirror: Mirror, entries: Mapping[str, ListedDandiset | None], ask: Ask, rules: Rules, changed: Container[str] = ()
) -> Iterator[Status]:
    """Yield the status of every Dandiset that is mirrored, or that the archive lists in ``entries``.

    ``ask`` gets the list entry of a mirrored one that is not listed, or whose entry is not valid.  ``changed`` are the
    Dandisets of which the archive lists other states of Zarrs than at the last sync.
    """

    def listed(dandiset: str) -> ListedDandiset:
        return entries.get(dandiset) or ask(dandiset)

    def look(dandiset: str) -> Status:
        if dandiset in here:
            try:
                return status_of(mirror, dandiset, listed, changed, damaged)
            except TemporaryError:
                # one that the archive does not answer for does not hide the others
                return replace(status_of(mirror, dandiset, None, (), damaged), word=StatusWord.UNANSWERED)
        entry = entries[dandiset]
        word = StatusWord.MISSING if rules.take(dandiset, entry.draft.name if entry else None) else StatusWord.LEFT_OUT
        if entry is None:
            return Status(dandiset, word)
        return Status(
            dandiset, word, modified=spell_time(entry.draft.modified), name=entry.draft.name, size=entry.draft.size
        )

    here, damaged = set(held_dandisets(mirror)), mirror.verifications.damaged()
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="status") as pool:
        yield from pool.map(look, sorted(here | set(entries)))


def words(mirror: Mirror) -> dict[str, int]:
    """Count a mirror's Dandisets by status, as the last sync left them; starts no git."""
    counts = {str(word): 0 for word in StatusWord if word not in _NOT_OFFLINE}
    memory, damaged = mirror.index.read().dandisets, mirror.verifications.damaged()
    here, others = mirror.folders()
    counts[StatusWord.DAMAGED] += len(without_repository(mirror, others))
    for dandiset in here:
        if mirror.is_strange(dandiset):
            counts[StatusWord.FAILED] += 1
            continue
        last = memory.get(dandiset)
        findings = _findings(mirror, dandiset, last)
        word = status_word(last, findings, None, _branch(mirror.dataset(dandiset), last))
        counts[StatusWord.DAMAGED if dandiset in damaged and word is not StatusWord.ALARM else word] += 1
    return counts


def zarr_totals(mirror: Mirror) -> ZarrTotals:
    """Count the Zarrs in the drafts of a mirror, as the last syncs left them; starts no git."""
    memory = mirror.index.read().dandisets
    totals = (last.totals for dandiset in mirror.dandisets() if (last := memory.get(dandiset)))
    return reduce(ZarrTotals.plus, totals, ZarrTotals())


def _branch(dataset: Dataset, last: RememberedDandiset | None) -> str:
    """Return the commit of the branch that the sync keeps; empty if there is none yet."""
    return dataset.ref(f"refs/heads/{_kept(dataset, last)}") or ""


def _kept(dataset: Dataset, last: RememberedDandiset | None) -> str:
    """Return the branch that the sync keeps."""
    return Options(versions=last.versions).branch if last and last.versions else dataset.head_branch()


def _findings(mirror: Mirror, dandiset: str, last: RememberedDandiset | None) -> tuple[Finding, ...]:
    return (*(last.findings if last else ()), *missing_content(mirror, dandiset))
