"""What a mirror holds of a Dandiset, and how that stands to the archive; nothing is written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from enum import StrEnum

from dandi_mirror.errors import CredentialsError, NotFoundError, TemporaryError
from dandi_mirror.mirror.fetch.scheduled import missing_content
from dandi_mirror.mirror.state.layout import Mirror
from dandi_mirror.mirror.state.members import NotAMember
from dandi_mirror.mirror.state.options import Options
from dandi_mirror.mirror.state.remembered import Remembered, draft_of, row_key
from dandi_mirror.mirror.sync.filters import Rules
from dandi_mirror.model import DandisetRow, Finding, Kind, is_version_id, spell_time
from dandi_mirror.repo.git.dataset import TAGS, Dataset


class Word(StrEnum):
    """How a Dandiset stands, in the order in which one hides another."""

    ALARM = "alarm"
    """The archive has answered differently for a version that is tagged here."""
    GONE = "gone"
    """The archive has it no more (404)."""
    FORBIDDEN = "forbidden"
    """The archive refuses to show it (401, 403): embargoed, or the token is not valid."""
    EMBARGOED = "embargoed"
    MISSING = "not mirrored"
    LEFT_OUT = "left out"
    """Not mirrored, and by the rules it is not to be."""
    EMPTIED = "emptied"
    """The archive lists no asset of it any more; the mirror keeps its own until it is told otherwise."""
    UNANSWERED = "unanswered"
    """The archive gave the last sync no answer, or one that did not fit together: an outage."""
    FAILED = "failed"
    """The last sync could not be done for another reason."""
    UNEMBARGOED = "unembargoed"
    """The archive shows it again; the next sync reads all of it."""
    RENAMED = "renamed"
    """The archive has moved on since the last sync, and the Dandiset has another name."""
    BEHIND = "behind"
    """The archive has moved on since the last sync."""
    UNFINISHED = "unfinished"
    """The last sync was cut off, or this mirror's memory was deleted: the next sync looks at it again."""
    PENDING = "pending"
    """Something waits: a checksum, a text file, a version, or the work tree for a person's edit."""
    REFUSED = "refused"
    """Something that the archive lists must not reach git, or is a Zarr."""
    VANISHED = "version gone"
    """A version that is tagged here is no longer in the archive; the tag stays."""
    CURRENT = "up to date"


Ask = Callable[[str], DandisetRow]
"""Gets a Dandiset's row from the archive."""

_AT_ONCE = 8
"""Dandisets looked at at the same time: each waits for git."""
_WAITING = {Kind.PENDING, Kind.TEXT, Kind.HELD, Kind.WORKTREE, Kind.CONTENT}
_REFUSED = {Kind.REFUSED, Kind.ZARR, Kind.URL}


_HARMLESS = {Word.CURRENT, Word.BEHIND, Word.RENAMED, Word.UNEMBARGOED, Word.VANISHED, Word.LEFT_OUT}
_NOT_OFFLINE = {Word.MISSING, Word.LEFT_OUT, Word.BEHIND, Word.RENAMED, Word.EMPTIED, Word.UNEMBARGOED}
_ABSENT = {Kind.GONE: Word.GONE, Kind.FORBIDDEN: Word.FORBIDDEN, Kind.EMBARGOED: Word.EMBARGOED}


@dataclass(frozen=True, slots=True)
class Status:
    """One Dandiset."""

    dandiset: str
    word: Word
    versions: int = 0
    """Published versions that are tagged."""
    commit: str = ""
    """Of the branch that is kept."""
    modified: str = ""
    """The archive's time of the draft, when it was asked."""
    edits: int = 0
    """Files with local edits in the work tree."""
    findings: tuple[Finding, ...] = field(default=())
    failure: str = ""
    """What the last sync said, if it could not be done."""
    name: str = ""
    """Of the draft, when the archive was asked."""
    size: int = 0
    """Bytes of the draft as the archive counts them, when it was asked."""

    @property
    def exit_code(self) -> int:
        """As a sync that found the same would end; being behind is no failure."""
        if self.word is Word.ALARM:
            return 7
        return 0 if self.word in _HARMLESS else 3


def status_of(mirror: Mirror, dandiset: str, ask: Ask | None) -> Status:
    """How one Dandiset stands; ``ask`` gets the archive's row for it (None: the archive is not asked)."""
    then = mirror.index.get(dandiset)
    try:
        dataset = mirror.dataset(dandiset)
    except NotAMember as error:
        return Status(dandiset, Word.FAILED, failure=str(error))
    if not dataset.exists():
        return Status(dandiset, Word.MISSING)
    tags = [ref for ref in dataset.refs() if is_version_id(ref.removeprefix(TAGS))]
    branch, findings = _branch(dataset, then), _findings(mirror, dandiset, then)
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
        word or _word(then, findings, row, branch),
        len(tags),
        branch,
        spell_time(row.draft.modified) if row else "",
        len(dataset.edits()),
        findings,
        then.failure.message if then and then.failure else "",
        row.draft.name if row else "",
        row.draft.size if row else 0,
    )


def status_of_all(mirror: Mirror, rows: Mapping[str, DandisetRow | None], ask: Ask, rules: Rules) -> Iterator[Status]:
    """How every Dandiset stands that is mirrored or listed by the archive (``rows``).

    ``ask`` gets the row of one that is mirrored and not listed, or not as it should be.
    """

    def listed(dandiset: str) -> DandisetRow:
        return rows.get(dandiset) or ask(dandiset)

    def look(dandiset: str) -> Status:
        if dandiset in here:
            try:
                return status_of(mirror, dandiset, listed)
            except TemporaryError:
                # one that cannot be asked for does not hide all others
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
    """How many Dandisets of a mirror stand how, by what the last sync left; git is not started."""
    counts = {str(word): 0 for word in Word if word not in _NOT_OFFLINE}
    memory = mirror.index.read().dandisets
    for dandiset in mirror.dandisets():
        if mirror.is_strange(dandiset):
            counts[Word.FAILED] += 1
            continue
        then = memory.get(dandiset)
        findings = _findings(mirror, dandiset, then)
        counts[_word(then, findings, None, _branch(mirror.dataset(dandiset), then))] += 1
    return counts


def _branch(dataset: Dataset, then: Remembered | None) -> str:
    """What the branch that is kept holds; empty when there is none yet."""
    kept = Options(versions=then.versions).branch if then and then.versions else dataset.head_branch()
    return dataset.ref(f"refs/heads/{kept}") or ""


def _findings(mirror: Mirror, dandiset: str, then: Remembered | None) -> tuple[Finding, ...]:
    return (*(then.findings if then else ()), *missing_content(mirror, dandiset))


def _word(then: Remembered | None, findings: Iterable[Finding], row: DandisetRow | None, branch: str) -> Word:
    kinds = {finding.kind for finding in findings}
    if Kind.ALARM in kinds:
        return Word.ALARM
    if row and not row.is_open and not (then and _mirrored_as(then, row)):
        return Word.EMBARGOED
    if then and then.absent:
        return Word.UNEMBARGOED if row else next(_ABSENT[kind] for kind in _ABSENT if kind in kinds)
    if then and row and _is_emptied(then, row):
        return Word.EMPTIED
    if then and then.failure:
        return Word.UNANSWERED if then.failure.exit_code == TemporaryError.exit_code else Word.FAILED
    if then is None or then.branch != branch:
        return Word.UNFINISHED
    if row and then.row != row_key(row):
        return Word.BEHIND if draft_of(then.row).name == row.draft.name else Word.RENAMED
    if kinds & _WAITING:
        return Word.PENDING
    if kinds & _REFUSED:
        return Word.REFUSED
    return Word.VANISHED if Kind.VANISHED in kinds else Word.CURRENT


def _mirrored_as(then: Remembered, row: DandisetRow) -> bool:
    """Whether the last sync took it as it stands to an embargo now."""
    return draft_of(then.row).embargo_status == row.embargo_status and not then.absent


def _is_emptied(then: Remembered, row: DandisetRow) -> bool:
    follows = bool(then.versions) and Options(versions=then.versions).branch == "draft"
    return follows and row.draft.asset_count == 0 and draft_of(then.row).asset_count > 0
