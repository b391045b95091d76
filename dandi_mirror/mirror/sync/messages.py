"""The messages of commits and tags: pure functions, so that hashes agree between mirrors."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dandi_mirror.mirror.format.tree import FORMAT, Carried, Listing
from dandi_mirror.mirror.sync.plan import SyncPlan
from dandi_mirror.model import Asset, Instance, spell_time

_BLANKS = re.compile(r"[\x00-\x20\x7f-\x9f\u2028\u2029]+")


@dataclass(frozen=True, slots=True)
class VersionCounts:
    """How much a version has: files, subjects, bytes."""

    files: int
    subjects: int
    size: int
    """Bytes."""

    @classmethod
    def of(cls, assets: Iterable[Asset | Carried]) -> VersionCounts:
        """The counts of some assets."""
        files = size = 0
        pairs: set[tuple[str, str]] = set()
        for asset in assets:
            files += 1
            size += asset.size
            pairs.update(asset.fields)
        return cls(files, sum(field == "subject" for field, _ in pairs), size)

    def __str__(self) -> str:
        return f"{plural(self.files, 'file')} of {plural(self.subjects, 'subject')}, {plural(self.size, 'byte')}"


def plural(count: int, noun: str) -> str:
    """``1 file``, ``2 files``, ``6,197,474,020 bytes``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def version_message(instance: Instance, dandiset: str, listing: Listing) -> str:
    """The message of a published version's commit."""
    identifier = f"{instance.identifier(dandiset)}/{listing.entry.version}"
    return _message(
        f"{identifier}: {one_line(listing.metadata.get('name'))}",
        f"{VersionCounts.of(listing.assets.values())}.",
        {
            "Dandiset": instance.identifier(dandiset),
            "Dandi-Version": listing.entry.version,
            **_doi(listing.metadata),
            "Mirror-Format": str(FORMAT),
        },
    )


def version_tag(instance: Instance, dandiset: str, version: str, record: Mapping[str, object]) -> str:
    """The message of a published version's tag: its citation, from ``record``, the Dandiset's own record."""
    identifier = f"{instance.identifier(dandiset)}/{version}"
    return _message(
        f"Version {version} of Dandiset {instance.identifier(dandiset)}",
        one_line(record.get("citation")) or identifier,
        _doi(record) or {"Dandiset": identifier},
    )


def branch_commit(
    instance: Instance,
    dandiset: str,
    listing: Listing,
    counts: VersionCounts,
    plan: SyncPlan,
    new: Iterable[str],
    *,
    closed: bool = False,
) -> str:
    """The message of a commit on the branch: what changed, and how much it has; ``closed``: it is embargoed."""
    changes = [
        f"{sign}{len(paths)}" for sign, paths in (("+", plan.added), ("~", plan.changed), ("-", plan.gone)) if paths
    ]
    versions = list(new)
    what = f"{' '.join(changes)} files" if changes else "records" if plan.files else "history"
    subject = f"{dandiset}: {what}" + (f", version {', '.join(versions)}" if versions else "")
    return _message(
        subject,
        f"{one_line(listing.metadata.get('name'))}\n{counts}.",
        {
            "Dandiset": instance.identifier(dandiset),
            "Dandi-Version": listing.entry.version,
            "Dandi-Modified": spell_time(listing.entry.modified),
            **({EMBARGO: "yes"} if closed else {}),
            "Mirror-Format": str(FORMAT),
        },
    )


EMBARGO = "Dandi-Embargo"
"""A trailer of commits that a sync made during an embargo."""
TRAILER = "\nMirror-Format: "
"""In every commit that a sync makes on a branch, and in no other."""
TRAILER_LINE = f"{TRAILER.strip()} .*"
"""A regular expression for its line, with which git finds these commits."""


def version_in_message(message: str) -> str:
    """The version in the trailer of a sync's commit; empty for other commits."""
    _, _, rest = message.partition("\nDandi-Version: ")
    return rest.partition("\n")[0]


def instance_of(message: str) -> str:
    """The archive's name in the trailer of a sync's commit; empty for other commits."""
    _, _, rest = message.partition("\nDandiset: ")
    name, colon, _ = rest.partition("\n")[0].partition(":")
    return name if colon else ""


def one_line(text: object) -> str:
    """A text of the archive on one line, without control characters; empty if it is no text."""
    if not isinstance(text, str):
        return ""
    return _BLANKS.sub(" ", text.encode("utf-8", "replace").decode()).strip()


def _doi(record: Mapping[str, object]) -> Mapping[str, str]:
    doi = one_line(record.get("doi"))
    return {"DOI": doi} if doi else {}


def _message(subject: str, body: str, trailers: Mapping[str, str]) -> str:
    lines = [subject, "", body, "", *(f"{name}: {value}" for name, value in trailers.items())]
    return "\n".join(line.strip() for line in lines) + "\n"
