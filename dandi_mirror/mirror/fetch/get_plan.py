"""Decide which files of a clone a selection needs, and which of them are here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from dandi_mirror.mirror.contents.selection import FileSelection, meets, nearest, pick_within, select
from dandi_mirror.repo.annex.content import AnnexedFile
from dandi_mirror.repo.annex.keys import size_of
from dandi_mirror.repo.annex.repository import AnnexRepository, Tracked
from dandi_mirror.repo.git.stream import GITLINK

SHOWN = 5
"""Values of a field that a message lists when no file meets a condition."""


@dataclass(slots=True)
class GetPlan:
    """Which files of a clone to download, and why others are left out."""

    missing: list[Tracked] = field(default_factory=list)
    """In the order of download; several may have the same key."""
    here: list[Tracked] = field(default_factory=list)
    """Files whose content is present."""
    odd: list[str] = field(default_factory=list)
    """Paths whose links name no valid key, so that their content cannot be found."""
    nothing: list[str] = field(default_factory=list)
    """Patterns that select no file."""
    near: dict[str, str] = field(default_factory=dict)
    """The most similar path for each of those that has one."""
    unmet: str = ""
    """The conditions that no file meets, with the values that files have."""
    beyond: int = 0
    """Number of files beyond the size limit."""

    @property
    def size(self) -> int:
        """Bytes to download; content that several files share counts once."""
        return sum({file.key: size_of(file.key) for file in self.missing}.values())


def plan_get(clone: AnnexRepository, selection: FileSelection, commit: str | None = None) -> GetPlan:
    """Decide which files of a commit, or of the index, a selection needs."""
    listing = {path: entry for path, entry in clone.listing(commit).items() if entry[0] != GITLINK}
    chosen, nothing = select(listing, selection.paths or (".",))
    meant = [file for file in clone.tracked(listing) if file.path in chosen]
    files, odd = [file for file in meant if file.key], [file.path for file in meant if not file.key]
    unmet = ""
    if selection.where:
        known = clone.fields({file.key for file in files})
        fitting = [file for file in files if meets(selection.where, known[file.key])]
        unmet = "" if fitting or not files else _unmet(selection.where, known.values())
        files = fitting
    has = {key: clone.has(key) for key in {file.key for file in files}}
    near = {text: found for text in nothing if (found := nearest(text, listing))}
    choice = GetPlan(here=[file for file in files if has[file.key]], odd=odd, nothing=nothing, near=near, unmet=unmet)
    missing = [file for file in files if not has[file.key]]
    when: Mapping[str, str] = {}
    if selection.newest and missing:
        from dandi_mirror.mirror.format.record_reader import times  # it needs much else

        when = times(clone.dataset, commit or "HEAD")
    sized = [AnnexedFile(file.path, file.key, size_of(file.key)) for file in missing]
    order = {file.key: place for place, file in enumerate(pick_within(sized, when, selection.most))}
    choice.missing = sorted((file for file in missing if file.key in order), key=lambda file: order[file.key])
    choice.beyond = len(missing) - len(choice.missing)
    return choice


def _unmet(where: Iterable[tuple[str, tuple[str, ...]]], known: Iterable[Iterable[tuple[str, str]]]) -> str:
    """Describe conditions that no file meets, each with the values that files have."""
    pairs = {pair for fields in known for pair in fields}
    parts = []
    for name, patterns in where:
        values = sorted(value for field, value in pairs if field == name)
        shown = ", ".join(values[:SHOWN]) + (f", … ({len(values):,})" if len(values) > SHOWN else "")
        parts.append(f"{name}:{' '.join(patterns)} (the values are: {shown or 'none'})")
    return ", ".join(parts)
