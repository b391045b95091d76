"""Which content is leaving the archive: files that no version names any more, and that the archive will remove.

The archive keeps a blob that nothing names for about 30 days.  All of this is read from the history of the draft, so
nothing has to be remembered between runs.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from dandi_mirror.errors import MirrorError
from dandi_mirror.mirror.copies.versions import commits_of, files_of_versions
from dandi_mirror.mirror.state.layout import Mirror
from dandi_mirror.mirror.state.remembered import draft_of
from dandi_mirror.model import DRAFT, parse_time
from dandi_mirror.repo.annex.keys import size_of
from dandi_mirror.repo.annex.pointers import LONGEST_POINTER, key_in
from dandi_mirror.repo.annex.repository import AnnexRepository
from dandi_mirror.repo.git.dataset import Dataset
from dandi_mirror.repo.git.process import git
from dandi_mirror.repo.git.stream import LINK

DAYS = 30
"""So long, about, the archive keeps content that it does not list any more."""
_DAY = 86400
_BEGIN = "\x01"


@dataclass(frozen=True, slots=True)
class Leaving:
    """Content of one Dandiset that is leaving the archive and is not here."""

    until: Mapping[str, float] = field(default_factory=dict)
    """Key → until when, about, the archive still has it, in seconds since 1970; the soonest first."""

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(map(size_of, self.until))

    @property
    def day(self) -> str:
        """The day on which the first of it goes: ``2026-12-29``; empty if there is none."""
        return time.strftime("%Y-%m-%d", time.gmtime(min(self.until.values()))) if self.until else ""


NOTHING = Leaving()


def leaving(mirror: Mirror, dandiset: str, now: float | None = None) -> Leaving:
    """What of a Dandiset's content is leaving the archive, and is not here; ``now`` in seconds since 1970.

    Nothing if the dataset cannot be read: other commands say why.
    """
    now = time.time() if now is None else now
    try:
        return NOTHING if _is_old(mirror, dandiset, now) else _leaving(mirror, dandiset, now)
    except (MirrorError, OSError, ValueError):
        return NOTHING


def _is_old(mirror: Mirror, dandiset: str, now: float) -> bool:
    """Whether the draft has not changed for so long that nothing of it can be leaving; starts no git."""
    last = mirror.index.get(dandiset)
    modified = draft_of(last.entry).modified if last else ""
    return bool(modified) and now - parse_time(modified).timestamp() > DAYS * _DAY


def _leaving(mirror: Mirror, dandiset: str, now: float) -> Leaving:
    dataset = mirror.dataset(dandiset)
    commits = commits_of(dataset)
    removed = dict(removed_links(_log(dataset, now))) if DRAFT in commits else {}
    if not removed:
        return NOTHING
    named = {key for files in files_of_versions(dataset, commits).values() for key in files.values()}
    with dataset.reader() as reader:
        contents = reader.read(list(removed), LONGEST_POINTER, b"")
        keys = {key_in(LINK, content or b""): when for content, when in zip(contents, removed.values(), strict=True)}
    clone = AnnexRepository(dataset.path)
    gone = {key: when for key, when in keys.items() if key and key not in named and not clone.has(key)}
    known = {key for key, facts in clone.facts(gone) if facts.urls}
    ends = {key: when + DAYS * _DAY for key, when in gone.items() if key in known}
    return Leaving(dict(sorted(ends.items(), key=lambda pair: (pair[1], pair[0]))))


def _log(dataset: Dataset, now: float) -> str:
    """What git says about the changes of the draft in the last days."""
    since = int(now) - DAYS * _DAY
    form = f"--format={_BEGIN}%ct"
    log = ("log", "--first-parent", f"--since={since}", "--raw", "-z", "--no-renames", "--no-abbrev", form)
    return git(dataset.path, *log, f"refs/heads/{DRAFT}").decode(errors="surrogateescape")


def removed_links(log: str) -> Iterator[tuple[str, float]]:
    """The links that commits removed or replaced: object id → when, for the newest time last.  Pure.

    ``log`` is what ``git log --raw -z`` prints with a format that begins with a byte 1 and the time.
    """
    found: list[tuple[str, float]] = []
    when, tokens = 0.0, iter(log.split("\0"))
    for token in tokens:
        text = token.lstrip("\n")
        if text.startswith(_BEGIN):
            head, _, text = text[1:].partition("\n")
            when = float(head)
            text = text.lstrip("\n")
        if text.startswith(":"):
            old_mode, _, old, _, status = text[1:].split(" ")
            next(tokens, "")  # the path
            if old_mode.encode() == LINK and status[:1] in {"D", "M", "T"}:
                found.append((old, when))
    yield from reversed(found)
