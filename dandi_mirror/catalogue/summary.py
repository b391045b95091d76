"""What the index page, the search and the feed know of a Dandiset: kept between builds.  Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

import msgspec
import orjson

from dandi_mirror.catalogue.values import DandisetFacts
from dandi_mirror.model import is_version_id

MOST_WORDS = 400
"""Members of a list that search knows: subjects, variables, people."""
ABSTRACT = 1200
"""Characters of the abstract that search knows."""
FEED = 20
"""Versions of one Dandiset that the feed may name."""


class Published(msgspec.Struct, frozen=True):
    """A published version, for the feed."""

    name: str
    seconds: int
    doi: str
    note: str
    """What changed, in words."""


class Summary(msgspec.Struct, frozen=True):
    """One Dandiset, as the index page shows it."""

    identifier: str
    state: str
    """What it was made from; if that is the same, nothing of it is written again."""
    title: str
    people: list[str]
    species: list[str]
    techniques: list[str]
    subjects: list[str]
    variables: list[str]
    keywords: list[str]
    abstract: str
    version: str
    seconds: int
    files: int
    size: int
    here: int
    here_size: int
    subject_count: int
    embargoed: bool
    published: list[Published]
    """The newest versions, newest first."""
    scripts: list[str]
    """The file names of its parts."""


def summary_of(facts: DandisetFacts, state: str, scripts: Iterable[str]) -> Summary:
    """The summary of a Dandiset."""
    about, shown = facts.about, facts.listed[0]
    subjects = sorted({
        value for text in {row.facts for row in facts.rows} for name, value in orjson.loads(text) if name == "subject"
    })  # fmt: skip
    version = next(version for version in facts.versions if version.name == shown)
    text = " ".join("".join(piece.text for piece in paragraph) for paragraph in about.abstract)
    return Summary(
        identifier=facts.identifier,
        state=state,
        title=about.title,
        people=[one.name.text for one in about.contributors][:MOST_WORDS],
        species=list(about.species),
        techniques=[*about.approaches, *about.techniques][:MOST_WORDS],
        subjects=subjects[:MOST_WORDS],
        variables=list(about.variables)[:MOST_WORDS],
        keywords=[*about.keywords, *(link.text for link in about.studied)][:MOST_WORDS],
        abstract=text[:ABSTRACT],
        version=shown,
        seconds=version.seconds,
        files=facts.totals.files,
        size=facts.totals.size,
        here=facts.totals.here,
        here_size=facts.totals.here_size,
        subject_count=len(subjects),
        embargoed=facts.embargoed,
        published=_published(facts),
        scripts=sorted(scripts),
    )


def _published(facts: DandisetFacts) -> list[Published]:
    found = [
        Published(one.name, one.seconds, one.doi, change_words(one.changes))
        for one in facts.versions
        if is_version_id(one.name)
    ]
    return found[: -FEED - 1 : -1]


def change_words(changes: Iterable[object]) -> str:
    """``3 files added, 1 replaced``; empty if nothing changed."""
    parts = [f"{change.count:,} {change.kind}" for change in changes]  # type: ignore[attr-defined]
    return ", ".join(parts)


def day(seconds: int) -> str:
    """``2022-01-26``."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d}"


def search_document(summary: Summary) -> dict[str, object]:
    """What the page of all Dandisets needs of one: to find it, and to show it."""
    names = ("title", "people", "species", "techniques", "subjects", "variables", "keywords", "abstract")
    document = {name: getattr(summary, name) for name in names}
    return {"id": summary.identifier} | document | {
        "version": summary.version,
        "day": day(summary.seconds),
        "seconds": summary.seconds,
        "files": summary.files,
        "size": summary.size,
        "here": summary.here,
        "hereSize": summary.here_size,
        "subjectCount": summary.subject_count,
        "embargoed": summary.embargoed,
    }  # fmt: skip
