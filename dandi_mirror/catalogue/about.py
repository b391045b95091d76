"""What a Dandiset's own record tells, as text and links that may stand on a page.  Pure; the record may be hostile."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from dandi_mirror.mirror.sync.messages import one_line
from dandi_mirror.paths import is_visible

MOST = 500
"""Members of a list that are shown."""
LONGEST = 20_000
"""Characters of a long text that are shown."""
_LONGEST_URL = 2000
_ORCID = re.compile(r"[0-9]{4}-[0-9]{4}-[0-9]{4}-[0-9]{3}[0-9X]")
_DOI = re.compile(r"10\.[0-9]{4,9}/[-._;()/:A-Za-z0-9]+")
_SPDX = re.compile(r"spdx:([A-Za-z0-9.+-]+)")
_PARAGRAPH = re.compile(r"(?:\r\n|\r|\n)[ \t]*(?:\r\n|\r|\n)\s*")
_URL = re.compile(r"https?://[^\s<>\"'`{}|\\^]+[^\s<>\"'`{}|\\^.,;:!?)\]]")


@dataclass(frozen=True, slots=True)
class WebLink:
    """Text, and where it leads; without a link if ``url`` is empty."""

    text: str
    url: str = ""


@dataclass(frozen=True, slots=True)
class Contributor:
    """A person or an organisation."""

    name: WebLink
    roles: tuple[str, ...]
    affiliations: tuple[str, ...]
    award: str
    author: bool
    """Whether the citation names it."""
    person: bool


@dataclass(frozen=True, slots=True)
class About:
    """A Dandiset's record, in the order in which a page shows it."""

    title: str
    abstract: tuple[tuple[WebLink, ...], ...]
    """Paragraphs; each of pieces of text, of which some are links."""
    contributors: tuple[Contributor, ...]
    licenses: tuple[WebLink, ...]
    keywords: tuple[str, ...]
    species: tuple[str, ...]
    approaches: tuple[str, ...]
    techniques: tuple[str, ...]
    variables: tuple[str, ...]
    studied: tuple[WebLink, ...]
    """Brain areas, disorders and the like."""
    related: tuple[tuple[str, WebLink], ...]
    """How, and what."""
    ethics: tuple[str, ...]
    acknowledgement: str
    doi: str


def about(record: Mapping[str, object]) -> About:
    """Take from a record what a page shows."""
    summary = record.get("assetsSummary")
    summary = summary if isinstance(summary, dict) else {}
    return About(
        title=one_line(record.get("name")) or "Without a title",
        abstract=paragraphs(record.get("description")),
        contributors=tuple(_contributors(record.get("contributor"))),
        licenses=tuple(_licenses(record.get("license"))),
        keywords=_texts(record.get("keywords")),
        species=_names(summary.get("species")),
        approaches=_names(summary.get("approach")),
        techniques=_names(summary.get("measurementTechnique")),
        variables=_texts(summary.get("variableMeasured")) or _values(summary.get("variableMeasured")),
        studied=tuple(WebLink(one_line(one.get("name")), http_url(one.get("identifier")))
                      for one in _objects(record.get("about")) if one_line(one.get("name"))),
        related=tuple(_related(record.get("relatedResource"))),
        ethics=tuple(filter(None, (_ethics(one) for one in _objects(record.get("ethicsApproval"))))),
        acknowledgement=one_line(record.get("acknowledgement"))[:LONGEST],
        doi=doi_of(record),
    )  # fmt: skip


def doi_of(record: Mapping[str, object]) -> str:
    """The DOI of a record; empty if it has none that may be linked."""
    doi = record.get("doi")
    return doi if isinstance(doi, str) and _DOI.fullmatch(doi) else ""


def http_url(value: object) -> str:
    """A URL that a page may link: http or https, with a host, without a user name and invisible letters; else empty."""
    if not isinstance(value, str) or len(value) > _LONGEST_URL:
        return ""
    if " " in value or not all(map(is_visible, value)):
        return ""
    try:
        parts = urlsplit(value)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and "@" not in parts.netloc
        return value if usable and parts.port != 0 else ""
    except ValueError:
        return ""


def paragraphs(value: object) -> tuple[tuple[WebLink, ...], ...]:
    """The paragraphs of a long text, with its URLs as links."""
    text = value[:LONGEST] if isinstance(value, str) else ""
    found = (tuple(_pieces(one_line(part))) for part in _PARAGRAPH.split(text) if one_line(part))
    return tuple(found)


def _pieces(text: str) -> Iterator[WebLink]:
    end = 0
    for found in _URL.finditer(text):
        if url := http_url(found[0]):
            yield WebLink(text[end : found.start()])
            yield WebLink(url, url)
            end = found.end()
    yield WebLink(text[end:])


def _contributors(value: object) -> Iterator[Contributor]:
    for one in _objects(value):
        if name := one_line(one.get("name")):
            identifier = one.get("identifier")
            is_orcid = isinstance(identifier, str) and _ORCID.fullmatch(identifier)
            url = f"https://orcid.org/{identifier}" if is_orcid else http_url(identifier) or http_url(one.get("url"))
            yield Contributor(
                WebLink(name, url),
                tuple(role.rpartition(":")[2] for role in _texts(one.get("roleName"))),
                _names(one.get("affiliation")),
                one_line(one.get("awardNumber")),
                bool(one.get("includeInCitation")),
                one.get("schemaKey") != "Organization",
            )


def _licenses(value: object) -> Iterator[WebLink]:
    for text in _texts(value):
        found = _SPDX.fullmatch(text)
        yield (
            WebLink(found[1], f"https://spdx.org/licenses/{found[1]}.html") if found else WebLink(text, http_url(text))
        )


def _related(value: object) -> Iterator[tuple[str, WebLink]]:
    for one in _objects(value):
        identifier, url = one_line(one.get("identifier")), http_url(one.get("url"))
        bare = identifier.removeprefix("doi:").removeprefix("https://doi.org/")
        url = url or (f"https://doi.org/{bare}" if _DOI.fullmatch(bare) else http_url(identifier))
        if text := one_line(one.get("name")) or identifier or url:
            yield one_line(one.get("relation")).rpartition(":")[2], WebLink(text, url)


def _ethics(one: Mapping[str, object]) -> str:
    contact = one.get("contactPoint")
    name = one_line(contact.get("name")) if isinstance(contact, dict) else ""
    return " · ".join(filter(None, (one_line(one.get("identifier")), name)))


def _objects(value: object) -> list[dict[str, object]]:
    return [one for one in value[:MOST] if isinstance(one, dict)] if isinstance(value, list) else []


def _texts(value: object) -> tuple[str, ...]:
    found = (one_line(one) for one in value[:MOST] if isinstance(one, str)) if isinstance(value, list) else ()
    return tuple(dict.fromkeys(filter(None, found)))


def _names(value: object) -> tuple[str, ...]:
    return tuple(dict.fromkeys(filter(None, (one_line(one.get("name")) for one in _objects(value)))))


def _values(value: object) -> tuple[str, ...]:
    return tuple(dict.fromkeys(filter(None, (one_line(one.get("value")) for one in _objects(value)))))
