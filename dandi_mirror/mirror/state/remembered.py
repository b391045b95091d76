"""What a mirror remembers of each Dandiset between runs, as values, and how they are written and read as JSON.

The files that hold them may be damaged or edited.  Whatever is not as a run writes it counts as lost.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from math import isfinite
from typing import NamedTuple

import orjson

from dandi_mirror.model import ABSENT, Finding, FindingKind, ListedDandiset, is_dandiset_id, parse_time

_PUBLISHED = re.compile(r'"published": ?\{"version": ?"([^"]*)"')
"""In an entry's key; within a string of JSON the quotes would be escaped.  Every run looks for it in every Dandiset."""
STORED_ENTRY = "row"
"""The name of :attr:`RememberedDandiset.entry` in the files: older mirrors have it."""
_TEXTS = (STORED_ENTRY, "versions", "branch", "hosts", "registered", "content_hosts", "zarrs", "zarr_totals")
_TOTALS = re.compile(r"[0-9]{1,18}(?: [0-9]{1,18}){4}", re.ASCII)
_COMMIT = re.compile(r"(?:[0-9a-f]{40}|[0-9a-f]{64})?")
_AGAIN = frozenset({FindingKind.PENDING, FindingKind.TEXT, FindingKind.HELD, FindingKind.WORKTREE, FindingKind.ZARR})
"""Kinds that another look may settle."""
_LATEST = 253402300800
"""Seconds since 1970: the year 10000, which no time of a run reaches."""


class RememberedDandiset(NamedTuple):
    """What the last complete sync of one Dandiset saw and left; a tuple, because thousands are made on every run."""

    entry: str
    """What the archive listed for the Dandiset then, as :func:`entry_fingerprint` writes it."""
    versions: str
    """Which versions the run was to mirror: ``all``, ``published``, ``latest``, ``draft``."""
    branch: str
    """The commit of the branch afterwards."""
    hosts: str
    """The origins of the content URLs that the sync registered."""
    findings: tuple[Finding, ...]
    verified: float = 0.0
    """When the Dandiset was last read in full, in seconds since 1970; 0 for never."""
    failure: Failure | None = None
    """How the last run that was to sync it failed; None if it did not."""
    registered: str = ""
    """The commit that the superdataset has of it."""
    content_hosts: str = ""
    """The setting ``content-hosts`` of that sync, as :func:`hosts_key` writes it."""
    zarrs: str = ""
    """The states of the Dandiset's Zarrs, as :meth:`.ZarrListing.key` writes them; empty if its draft holds none."""
    zarr_totals: str = ""
    """What the draft's Zarrs are together, as :meth:`ZarrTotals.as_text` writes it; empty if it holds none."""

    @property
    def totals(self) -> ZarrTotals:
        """What the draft's Zarrs are together."""
        return ZarrTotals.of(self.zarr_totals)

    @property
    def zarr_count(self) -> int:
        """How many Zarrs the Dandiset has; 0 if its draft holds none."""
        number = self.zarrs.partition(" ")[0]
        return int(number) if number.isdecimal() else 0

    @property
    def unfinished(self) -> bool:
        """Whether another look may complete something, though the archive's times have not changed."""
        return self.failure is not None or any(finding.kind in _AGAIN for finding in self.findings)

    @property
    def absent(self) -> bool:
        """Whether the archive no longer showed the Dandiset."""
        return any(finding.kind in ABSENT for finding in self.findings)


class ZarrTotals(NamedTuple):
    """What the Zarrs of one or several drafts are together."""

    recorded: int = 0
    """Zarrs whose newest state the mirror has recorded."""
    entries: int = 0
    """Of these."""
    size: int = 0
    """Bytes of these entries."""
    pending: int = 0
    """Zarrs whose newest state the mirror has not."""
    unversioned: int = 0
    """Recorded Zarrs whose entries were listed without the bucket's versions."""

    @classmethod
    def of(cls, text: str) -> ZarrTotals:
        """Read what :meth:`as_text` has written; nothing, if it has not."""
        return cls(*map(int, text.split())) if _TOTALS.fullmatch(text) else cls()

    def as_text(self) -> str:
        """The numbers as one string; empty if there is no Zarr."""
        return " ".join(map(str, self)) if any(self) else ""

    def plus(self, other: ZarrTotals) -> ZarrTotals:
        """Both together."""
        return ZarrTotals(*map(sum, zip(self, other, strict=True)))


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a sync could not be done."""

    exit_code: int
    message: str
    when: float = 0.0
    """Seconds since 1970; 0 if an older release noted it."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Everything that the index remembers."""

    dandisets: Mapping[str, RememberedDandiset] = field(default_factory=dict)
    head: str = ""
    """The superdataset's commit after the last run that wrote to it."""
    left_alone: str = ""
    """Why that run left the superdataset's work tree alone."""
    spoilt: bool = False
    """Whether the file exists and cannot be read, as one with a corrupt page."""


NOTHING = RememberedDandiset("", "", "", "", ())
"""What is remembered of a Dandiset that no sync has completed."""


@dataclass(frozen=True, slots=True)
class RememberedDraft:
    """What the archive listed for a draft."""

    name: str
    asset_count: int
    modified: str
    embargo_status: str = ""
    """Of the Dandiset."""


def entry_fingerprint(entry: ListedDandiset) -> str:
    """Everything in which two listings of a Dandiset can differ, as one string."""
    try:
        return orjson.dumps(entry, option=orjson.OPT_UTC_Z).decode()
    except TypeError:
        # a name with half a surrogate pair
        return json.dumps(asdict(entry), default=datetime.isoformat)


def says(unread: Mapping[str, object] | None, entry: str) -> bool:
    """Whether an unchecked listing of a Dandiset is, to the letter, one that :func:`entry_fingerprint` has written."""
    try:
        return bool(unread) and orjson.dumps(unread).decode() == entry
    except TypeError:
        return False


def hosts_key(hosts: frozenset[str]) -> str:
    """The setting ``content-hosts`` as one string."""
    return " ".join(sorted(hosts))


def published_in(entry: str) -> str:
    """The newest published version in a string of :func:`entry_fingerprint`; empty if there is none."""
    found = _PUBLISHED.search(entry)
    return found[1] if found else ""


def draft_of(entry: str) -> RememberedDraft:
    """The draft in a string of :func:`entry_fingerprint`; of an empty string, nothing."""
    if not entry:
        return RememberedDraft("", 0, "")
    facts = json.loads(entry)
    draft = facts["draft"]
    return RememberedDraft(draft["name"], draft["asset_count"], draft["modified"], facts["embargo_status"])


def findings_json(findings: tuple[Finding, ...]) -> str:
    """Findings as :func:`remembered_of` reads them."""
    return json.dumps([asdict(finding) for finding in findings]) if findings else "[]"


def failure_json(failure: Failure) -> str:
    """A failure as :func:`remembered_of` reads it."""
    return json.dumps(asdict(failure))


def remembered_of(dandiset: object, facts: Mapping[str, object]) -> RememberedDandiset | None:
    """What a file says about a Dandiset, by the names of the fields of :class:`RememberedDandiset`.

    ``findings`` and ``failure`` are JSON or what it stands for.  None if any part is not as a run writes it.
    """
    texts = [facts.get(name, "") for name in _TEXTS]
    if not is_dandiset_id(dandiset) or not all(isinstance(text, str) for text in texts):
        return None
    entry, versions, branch, hosts, registered, content_hosts, zarrs, totals = map(str, texts)
    if totals and not _TOTALS.fullmatch(totals):
        return None
    verified = facts.get("verified", 0.0)
    if isinstance(verified, bool) or not isinstance(verified, int | float) or not isfinite(verified) or verified < 0:
        return None
    try:
        findings, failure = _findings(facts.get("findings")), _failure(facts.get("failure"))
    except (ValueError, TypeError, RecursionError):
        return None
    if not _COMMIT.fullmatch(branch) or (entry and not _is_entry(dandiset, entry)):
        return None
    # a sync does not write this part anew, but the superdataset's next commit does
    registered = registered if _COMMIT.fullmatch(registered) else ""
    return RememberedDandiset(
        entry, versions, branch, hosts, findings, float(verified), failure, registered, content_hosts,
        zarrs, totals,
    )  # fmt: skip


def _is_entry(dandiset: str, entry: str) -> bool:
    """Whether a text is a listing of the Dandiset from which :func:`draft_of` can read."""
    try:
        facts = _parsed(entry)
        if not isinstance(facts, dict) or facts.get("identifier") != dandiset:
            return False
        draft = facts.get("draft")
        if not isinstance(draft, dict) or not isinstance(facts.get("embargo_status"), str):
            return False
        parse_time(draft.get("modified"))
        return isinstance(draft.get("name"), str) and type(draft.get("asset_count")) is int
    except (ValueError, RecursionError):
        return False


def _parsed(text: str) -> object:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return json.loads(text)  # a name with half a surrogate pair


def _findings(found: object) -> tuple[Finding, ...]:
    """Findings of a file.

    Raises:
        ValueError, TypeError: they are none.
    """
    if found == "[]":
        return ()
    parsed = _parsed(found) if isinstance(found, str) else found
    if not isinstance(parsed, list):
        raise TypeError("no list of findings")
    return tuple(map(_finding, parsed))


def _finding(facts: object) -> Finding:
    if not isinstance(facts, dict) or not all(isinstance(value, str) for value in facts.values()):
        raise TypeError("no finding")
    return Finding(**facts | {"kind": FindingKind(facts.get("kind", ""))})


def _failure(found: object) -> Failure | None:
    """A failure of a file.

    Raises:
        ValueError, TypeError: it is none.
    """
    if found is None:
        return None
    facts = _parsed(found) if isinstance(found, str) else found
    failure = Failure(**facts) if isinstance(facts, dict) else None
    if failure is None or type(failure.exit_code) is not int or not isinstance(failure.message, str):
        raise TypeError("no failure")
    if isinstance(failure.when, bool) or not isinstance(failure.when, int | float) or not 0 <= failure.when < _LATEST:
        raise TypeError("no failure")
    return failure
