"""Which word tells the status of a Dandiset: one decision, from values.  Pure."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from dandi_mirror.errors import IntegrityError, TemporaryError
from dandi_mirror.mirror.state.options import Options
from dandi_mirror.mirror.state.remembered import RememberedDandiset, draft_of, entry_fingerprint
from dandi_mirror.model import Finding, FindingKind, ListedDandiset


class StatusWord(StrEnum):
    """The status of a Dandiset; if several apply, the first of them counts."""

    ALARM = "alarm"
    """The archive's answer for a version differs from the tag here."""
    DAMAGED = "damaged"
    """git cannot read the repository here, or a verification found it damaged; ``failure`` says what to type."""
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


_WAITING = {FindingKind.PENDING, FindingKind.TEXT, FindingKind.HELD, FindingKind.WORKTREE, FindingKind.CONTENT}
_REFUSED = {FindingKind.REFUSED, FindingKind.ZARR, FindingKind.URL}
_ABSENT = {
    FindingKind.GONE: StatusWord.GONE,
    FindingKind.FORBIDDEN: StatusWord.FORBIDDEN,
    FindingKind.EMBARGOED: StatusWord.EMBARGOED,
}


def status_word(
    last: RememberedDandiset | None,
    findings: Iterable[Finding],
    entry: ListedDandiset | None,
    branch: str,
    changed: bool = False,
) -> StatusWord:
    """The status of a Dandiset, from what the last sync remembers and found, its list entry and its branch.

    ``entry`` is None if the archive was not asked; ``changed``: the archive lists other states of its Zarrs.
    """
    kinds = {finding.kind for finding in findings}
    if FindingKind.ALARM in kinds:
        return StatusWord.ALARM
    if entry and not entry.is_open and not (last and _mirrored_as(last, entry)):
        return StatusWord.EMBARGOED
    if last and last.absent:
        return StatusWord.UNEMBARGOED if entry else next(_ABSENT[kind] for kind in _ABSENT if kind in kinds)
    if last and entry and _is_emptied(last, entry):
        return StatusWord.EMPTIED
    if last and last.failure and last.failure.exit_code == IntegrityError.exit_code:
        return StatusWord.DAMAGED
    if last and last.failure:
        return StatusWord.UNANSWERED if last.failure.exit_code == TemporaryError.exit_code else StatusWord.FAILED
    if last is None or last.branch != branch:
        return StatusWord.UNFINISHED
    if entry and last.entry != entry_fingerprint(entry):
        return StatusWord.BEHIND if draft_of(last.entry).name == entry.draft.name else StatusWord.RENAMED
    if changed:
        return StatusWord.BEHIND
    if kinds & _WAITING:
        return StatusWord.PENDING
    if kinds & _REFUSED:
        return StatusWord.REFUSED
    return StatusWord.VANISHED if FindingKind.VANISHED in kinds else StatusWord.CURRENT


def _mirrored_as(last: RememberedDandiset, entry: ListedDandiset) -> bool:
    """Whether the last sync mirrored it with the same embargo status."""
    return draft_of(last.entry).embargo_status == entry.embargo_status and not last.absent


def _is_emptied(last: RememberedDandiset, entry: ListedDandiset) -> bool:
    follows = bool(last.versions) and Options(versions=last.versions).branch == "draft"
    return follows and entry.draft.asset_count == 0 and draft_of(last.entry).asset_count > 0
