"""Which published versions a sync reads, and which one the branch follows: pure functions."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from dandi_mirror.mirror.state.options import Options
from dandi_mirror.model import Finding, FindingKind, ListedVersion


@dataclass(frozen=True, slots=True)
class VersionChoice:
    """What a sync does with the versions that the archive lists; all in the archive's order, oldest first."""

    settled: tuple[ListedVersion, ...] = ()
    """Those that the settings ask for and that the archive has finished."""
    to_read: tuple[ListedVersion, ...] = ()
    """Those of them that the sync reads."""
    findings: tuple[Finding, ...] = ()


def choose_versions(
    listed: Sequence[ListedVersion], newest: str, tags: Collection[str], followed: str, options: Options
) -> VersionChoice:
    """Choose among the ``listed`` versions.

    ``newest`` is the version that the archive's list of Dandisets calls the newest, or empty; ``tags`` are the
    versions that are tagged; ``followed`` is the version whose files the branch has.
    """
    if options.versions == "draft":
        return VersionChoice()
    asked = listed[-1:] if options.versions == "latest" else listed
    settled = tuple(entry for entry in asked if entry.settled)
    due = {entry.version for entry in settled} - (set(tags) - options.accepted)
    if options.branch == "published" and settled and settled[-1].version != followed:
        due.add(settled[-1].version)
    to_read = settled if options.mode == "verify" else tuple(entry for entry in settled if entry.version in due)
    return VersionChoice(settled, to_read, tuple(_findings(listed, asked, newest, tags)))


def _findings(
    listed: Iterable[ListedVersion], asked: Iterable[ListedVersion], newest: str, tags: Collection[str]
) -> Iterator[Finding]:
    names = {entry.version for entry in listed}
    for gone in sorted(set(tags) - names):
        yield Finding(gone, "", FindingKind.VANISHED, "tagged here and no longer in the archive; the tag stays")
    if newest and newest not in {*tags, *names}:
        reason = "the archive calls it the newest version and does not list it among the versions"
        yield Finding(newest, "", FindingKind.HELD, reason)
    for entry in asked:
        if not entry.settled:
            yield Finding(entry.version, "", FindingKind.HELD, f"the archive has not finished it ({entry.status})")


def version_to_follow(settled: Iterable[ListedVersion], followed: str, ready: Collection[str]) -> str:
    """The newest of the ``ready`` versions that is not older than the one that the branch has; or empty."""
    order = [entry.version for entry in settled]
    newer = order[order.index(followed) :] if followed in order else order
    return next((version for version in reversed(newer) if version in ready), "")
