"""Compare a mirror with the archive, Dandiset by Dandiset; nothing is written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from enum import StrEnum

from dandi_mirror.errors import CredentialsError, IntegrityError, MirrorError, NotFoundError, TemporaryError
from dandi_mirror.mirror.fetch.scheduled import missing_content
from dandi_mirror.mirror.state.damage import damage_of
from dandi_mirror.mirror.state.layout import Mirror
from dandi_mirror.mirror.state.members import NotAMember
from dandi_mirror.mirror.state.options import Options
from dandi_mirror.mirror.state.remembered import RememberedDandiset, draft_of, row_key
from dandi_mirror.mirror.sync.filters import Rules
from dandi_mirror.model import DandisetRow, Finding, Kind, is_version_id, spell_time
from dandi_mirror.repo.git.dataset import TAGS, Dataset


class Word(StrEnum):
    """The status of a Dandiset; if several apply, the first of them counts."""

    ALARM = "alarm"
    """The archive's answer for a version differs from the tag here."""
    DAMAGED = "damaged"
    """git cannot read the repository here; ``failure`` says what to type."""
    GONE = "gone"
    """The archive does not have it any more (404)."""
    FORBIDDEN = "forbidden"
    """The archive refuses to show it (401, 403): embargoed, or the token is not valid."""
    EMBARGOED = "embargoed"
    MISSING = "not mirrored"
    LEFT_OUT = "left out"
    """Not mirrored, because the rules leave it out."""
    EMPTIED = "emptied"
    """The archive lists no asset of it any more; the mirror keeps the assets unless sync gets --allow-deletes."""
    UNANSWERED = "unanswered"
    """The archive gave the last sync no answer or a contradictory one: an outage."""
    FAILED = "failed"
    """The last sync failed for another reason."""
    UNEMBARGOED = "unembargoed"
    """The archive shows it again; the next sync reads all of it."""
    RENAMED = "renamed"
    """It changed in the archive since the last sync, and has another name."""
    BEHIND = "behind"
    """It changed in the archive since the last sync."""
    UNFINISHED = "unfinished"
    """The last sync did not complete, or the index of the mirror was deleted: the next sync reads it again."""
    PENDING = "pending"
    """Something is not complete yet: a checksum, a text file, a version, or a work tree with local edits."""
    REFUSED = "refused"
    """The archive lists something that is not safe in git, or a Zarr."""
    VANISHED = "version gone"
    """The archive does not have a version any more that is tagged here; the tag stays."""
    CURRENT = "up to date"


Ask = Callable[[str], DandisetRow]
"""Gets a Dandiset's list entry from the archive."""

_AT_ONCE = 8
"""Dandisets that are read at the same time: each waits for git."""
_WAITING = {Kind.PENDING, Kind.TEXT, Kind.HELD, Kind.WORKTREE, Kind.CONTENT}
_REFUSED = {Kind.REFUSED, Kind.ZARR, Kind.URL}


_HARMLESS = {Word.CURRENT, Word.BEHIND, Word.RENAMED, Word.UNEMBARGOED, Word.VANISHED, Word.LEFT_OUT}
_NOT_OFFLINE = {Word.MISSING, Word.LEFT_OUT, Word.BEHIND, Word.RENAMED, Word.EMPTIED, Word.UNEMBARGOED}
_ABSENT = {Kind.GONE: Word.GONE, Kind.FORBIDDEN: Word.FORBIDDEN, Kind.EMBARGOED: Word.EMBARGOED}


@dataclass(frozen=True, slots=True)
class Status:
    """The status of one Dandiset, with details."""

    dandiset: str
    word: Word
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
    name: str = ""
    """The name of the draft, if the archive was asked."""
    size: int = 0
    """Bytes of the draft as the archive counts them, if it was asked."""

    @property
    def exit_code(self) -> int:
        """The exit code of a sync that finds the same; a Dandiset that is behind is not a failure."""
        if self.word in {Word.ALARM, Word.DAMAGED}:
            return IntegrityError.exit_code
        return 0 if self.word in _HARMLESS else 3


def status_of(mirror: Mirror, dandiset: str, ask: Ask | None) -> Status:
    """Return the status of one Dandiset; ``ask`` gets its list entry (None: do not ask the archive)."""
    last = mirror.index.get(dandiset)
    try:
        dataset = mirror.dataset(dandiset)
    except NotAMember as error:
        return Status(dandiset, Word.FAILED, failure=str(error))
    if not dataset.exists():
        return Status(dandiset, Word.MISSING)
    if why := damage_of(mirror, dandiset):
        return Status(dandiset, Word.DAMAGED, failure=why)
    try:
        state = _git_state(dataset, last)
    except (MirrorError, OSError, ValueError) as error:
        # one that cannot be read does not hide the others
        if why := damage_of(mirror, dandiset, error):
            return Status(dandiset, Word.DAMAGED, failure=why)
        return Status(dandiset, Word.FAILED, failure=str(error))
    return _compared(state, last, _findings(mirror, dandiset, last), dandiset, ask)


@dataclass(frozen=True, slots=True)
class _GitState:
    """What git says about a dataset."""

    versions: int
    branch: str
    edits: int


def _git_state(dataset: Dataset, last: RememberedDandiset | None) -> _GitState:
    tags = [ref for ref in dataset.refs() if is_version_id(ref.removeprefix(TAGS))]
    dataset.unmerged(None)  # it reads the objects of all tags
    return _GitState(len(tags), _branch(dataset, last), len(dataset.edits()))


def _compared(
    state: _GitState, last: RememberedDandiset | None, findings: tuple[Finding, ...], dandiset: str, ask: Ask | None
) -> Status:
    row = None
    word = None
    try:
        row = ask(dandiset) if ask else None
    except NotFoundError:
        word = Word.GONE
    except CredentialsError:
        word = Word.FORBIDDEN
    return Status(
        dandiset,
        word or _word(last, findings, row, state.branch),
        state.versions,
        state.branch,
        spell_time(row.draft.modified) if row else "",
        state.edits,
        findings,
        last.failure.message if last and last.failure else "",
        row.draft.name if row else "",
        row.draft.size if row else 0,
    )


def status_of_all(mirror: Mirror, rows: Mapping[str, DandisetRow | None], ask: Ask, rules: Rules) -> Iterator[Status]:
    """Yield the status of every Dandiset that is mirrored, or that the archive lists in ``rows``.

    ``ask`` gets the list entry of a mirrored one that is not listed, or whose entry is not valid.
    """

    def listed(dandiset: str) -> DandisetRow:
        return rows.get(dandiset) or ask(dandiset)

    def look(dandiset: str) -> Status:
        if dandiset in here:
            try:
                return status_of(mirror, dandiset, listed)
            except TemporaryError:
                # one that the archive does not answer for does not hide the others
                return replace(status_of(mirror, dandiset, None), word=Word.UNANSWERED)
        row = rows[dandiset]
        word = Word.MISSING if rules.take(dandiset, row.draft.name if row else None) else Word.LEFT_OUT
        if row is None:
            return Status(dandiset, word)
        return Status(dandiset, word, modified=spell_time(row.draft.modified), name=row.draft.name, size=row.draft.size)

    here = set(mirror.dandisets())
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="status") as pool:
        yield from pool.map(look, sorted(here | set(rows)))


def words(mirror: Mirror) -> dict[str, int]:
    """Count a mirror's Dandisets by status, as the last sync left them; starts no git."""
    counts = {str(word): 0 for word in Word if word not in _NOT_OFFLINE}
    memory = mirror.index.read().dandisets
    for dandiset in mirror.dandisets():
        if mirror.is_strange(dandiset):
            counts[Word.FAILED] += 1
            continue
        last = memory.get(dandiset)
        findings = _findings(mirror, dandiset, last)
        counts[_word(last, findings, None, _branch(mirror.dataset(dandiset), last))] += 1
    return counts


def _branch(dataset: Dataset, last: RememberedDandiset | None) -> str:
    """Return the commit of the branch that the sync keeps; empty if there is none yet."""
    kept = Options(versions=last.versions).branch if last and last.versions else dataset.head_branch()
    return dataset.ref(f"refs/heads/{kept}") or ""


def _findings(mirror: Mirror, dandiset: str, last: RememberedDandiset | None) -> tuple[Finding, ...]:
    return (*(last.findings if last else ()), *missing_content(mirror, dandiset))


def _word(last: RememberedDandiset | None, findings: Iterable[Finding], row: DandisetRow | None, branch: str) -> Word:
    kinds = {finding.kind for finding in findings}
    if Kind.ALARM in kinds:
        return Word.ALARM
    if row and not row.is_open and not (last and _mirrored_as(last, row)):
        return Word.EMBARGOED
    if last and last.absent:
        return Word.UNEMBARGOED if row else next(_ABSENT[kind] for kind in _ABSENT if kind in kinds)
    if last and row and _is_emptied(last, row):
        return Word.EMPTIED
    if last and last.failure and last.failure.exit_code == IntegrityError.exit_code:
        return Word.DAMAGED
    if last and last.failure:
        return Word.UNANSWERED if last.failure.exit_code == TemporaryError.exit_code else Word.FAILED
    if last is None or last.branch != branch:
        return Word.UNFINISHED
    if row and last.row != row_key(row):
        return Word.BEHIND if draft_of(last.row).name == row.draft.name else Word.RENAMED
    if kinds & _WAITING:
        return Word.PENDING
    if kinds & _REFUSED:
        return Word.REFUSED
    return Word.VANISHED if Kind.VANISHED in kinds else Word.CURRENT


def _mirrored_as(last: RememberedDandiset, row: DandisetRow) -> bool:
    """Whether the last sync mirrored it with the same embargo status."""
    return draft_of(last.row).embargo_status == row.embargo_status and not last.absent


def _is_emptied(last: RememberedDandiset, row: DandisetRow) -> bool:
    follows = bool(last.versions) and Options(versions=last.versions).branch == "draft"
    return follows and row.draft.asset_count == 0 and draft_of(last.row).asset_count > 0
