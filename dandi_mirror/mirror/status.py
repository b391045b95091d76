"""What a mirror holds of a Dandiset, and how that stands to the archive; nothing is written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from dandi_mirror.errors import CredentialsError, NotFoundError
from dandi_mirror.mirror.index import Remembered, row_key
from dandi_mirror.mirror.mirror import Mirror
from dandi_mirror.mirror.options import Options
from dandi_mirror.model import DandisetRow, Finding, Kind, is_version_id, spell_time
from dandi_mirror.repo.dataset import TAGS


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
    BEHIND = "behind"
    """The archive has moved on since the last sync."""
    UNFINISHED = "unfinished"
    """The last sync was cut off, or this mirror's memory was deleted: the next sync looks at it again."""
    PENDING = "pending"
    """Something waits: a checksum, a text file, a version, or the work tree for a person's edit."""
    REFUSED = "refused"
    """Something that the archive lists must not reach git, or is a Zarr."""
    CURRENT = "up to date"


_WAITING = {Kind.PENDING, Kind.TEXT, Kind.HELD, Kind.WORKTREE}
_REFUSED = {Kind.REFUSED, Kind.ZARR, Kind.URL}


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

    @property
    def exit_code(self) -> int:
        """As a sync that found the same would end; being behind is no failure."""
        if self.word is Word.ALARM:
            return 7
        return 0 if self.word in {Word.CURRENT, Word.BEHIND} else 3


def status_of(mirror: Mirror, dandiset: str, ask: Callable[[str], DandisetRow] | None) -> Status:
    """How one Dandiset stands; ``ask`` gets the archive's row for it (None: the archive is not asked)."""
    dataset, then = mirror.dataset(dandiset), mirror.index.get(dandiset)
    if not dataset.exists():
        return Status(dandiset, Word.MISSING)
    tags = [ref for ref in dataset.refs() if is_version_id(ref.removeprefix(TAGS))]
    kept = Options(versions=then.versions).branch if then else dataset.head_branch()
    branch = dataset.ref(f"refs/heads/{kept}") or ""
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
        word or _word(then, row, branch),
        len(tags),
        branch,
        spell_time(row.draft.modified) if row else "",
        len(dataset.edits()),
        then.findings if then else (),
    )


def _word(then: Remembered | None, row: DandisetRow | None, branch: str) -> Word:
    kinds = {finding.kind for finding in then.findings} if then else set()
    if Kind.ALARM in kinds:
        return Word.ALARM
    if row and row.embargo_status != "OPEN":
        return Word.EMBARGOED
    if then is None or then.branch != branch:
        return Word.UNFINISHED
    if row and then.row != row_key(row):
        return Word.BEHIND
    if kinds & _WAITING:
        return Word.PENDING
    return Word.REFUSED if kinds & _REFUSED else Word.CURRENT
