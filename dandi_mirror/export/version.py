"""A version, as its exports describe it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from urllib.parse import parse_qsl, urlsplit

from dandi_mirror.mirror.history.citation import Citation
from dandi_mirror.mirror.sync.messages import one_line

_SAFE_QUERY = {"download", "prefix", "versionId"}
"""The parts of a query that a URL of content has; any other may be a signature or a token."""
_NOT_IN_URLS = re.compile(r"[\x00-\x20\x7f<>\"\\^`{|}]")
MEDIA_TYPE = re.compile(r"[\w.+-]+/[\w.+-]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class ExportFile:
    """One file of a version, or one entry of a Zarr."""

    path: str
    size: int
    sha256: str = ""
    md5: str = ""
    """Only of an entry of a Zarr, of which the archive has no SHA-256."""
    media_type: str = "application/octet-stream"
    modified: str = ""
    """As the archive writes it; empty if unknown."""
    page: str = ""
    """Its own URL at the API, which no other file has; it leads to the content."""
    urls: tuple[str, ...] = ()
    """Where its content is, without the API: S3 first."""

    @property
    def places(self) -> tuple[str, ...]:
        """All URLs of its content, the API's last."""
        return (*self.urls, *([self.page] if self.page else []))


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A file of a version that an export cannot describe."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class ExportVersion:
    """A version with its files."""

    dandiset: str
    version: str
    record: Mapping[str, object]
    """The Dandiset's record."""
    yaml: bytes
    """The same, as a mirror has it: ``dandiset.yaml``."""
    citation: Citation
    embargoed: bool
    files: tuple[ExportFile, ...]
    zarrs: tuple[ExportFile, ...] = ()
    """Without a SHA-256; ``page`` is that of the asset."""
    left_out: tuple[LeftOut, ...] = ()

    @property
    def name(self) -> str:
        """Its title, in one line."""
        return self.citation.title or self.citation.identifier

    @property
    def url(self) -> str:
        """Its DOI as a URL, else its page at the archive."""
        return self.citation.url or f"https://identifiers.org/{self.citation.identifier}"

    @property
    def description(self) -> str:
        """What its authors say about it; else its title."""
        text = self.record.get("description")
        return text.strip() if isinstance(text, str) and text.strip() else self.name

    @property
    def license(self) -> str:
        """The URL of its license; else that of the version itself, which says that it has none."""
        spdx = self.citation.license
        return f"https://spdx.org/licenses/{spdx}" if re.fullmatch(r"[A-Za-z0-9.+-]+", spdx) else self.url

    @property
    def keywords(self) -> list[str]:
        """Its keywords."""
        words = self.record.get("keywords")
        return [word for each in words if (word := one_line(each))] if isinstance(words, list) else []

    def without_zarrs(self, reason: str) -> ExportVersion:
        """The same without its Zarrs, which the export cannot describe."""
        left = tuple(LeftOut(zarr.path, reason) for zarr in self.zarrs)
        return replace(self, zarrs=(), left_out=(*self.left_out, *left))


@dataclass(frozen=True, slots=True)
class Contributor:
    """A person or an organisation that the citation names."""

    name: str
    is_person: bool
    identifier: str
    """The URL of an ORCID or ROR record; empty if there is none."""
    affiliations: tuple[str, ...] = ()


def contributors(record: Mapping[str, object]) -> Iterator[Contributor]:
    """Yield those whom the citation names, in its order.  Their addresses are left out: an export goes everywhere."""
    people = record.get("contributor")
    for one in people if isinstance(people, list) else []:
        if isinstance(one, dict) and one.get("includeInCitation") and (name := one_line(one.get("name"))):
            is_person = one.get("schemaKey") != "Organization"
            places = one.get("affiliation")
            named = [one_line(place.get("name")) for place in places or [] if isinstance(place, dict)] if isinstance(
                places, list
            ) else []  # fmt: skip
            identifier = _identifier(one_line(one.get("identifier")), is_person)
            yield Contributor(name, is_person, identifier, tuple(filter(None, named)))


def _identifier(text: str, is_person: bool) -> str:
    if is_person:
        return f"https://orcid.org/{text}" if re.fullmatch(r"\d{4}-\d{4}-\d{4}-\d{3}[\dX]", text, re.ASCII) else ""
    return text if re.fullmatch(r"https://ror\.org/[a-z0-9]+", text) else ""


def shareable(urls: Iterable[str]) -> Iterator[str]:
    """Yield the URLs that may stand in a file for everybody: without a user, a password, a signature or a token."""
    for url in urls:
        try:
            url.encode()  # what a git-annex branch has may be no text
            parts = urlsplit(url)
            is_web = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
        except ValueError:
            continue
        names = {name for name, _ in parse_qsl(parts.query, keep_blank_values=True)}
        if is_web and "@" not in parts.netloc and not parts.fragment and names <= _SAFE_QUERY:
            yield _NOT_IN_URLS.sub(lambda found: f"%{ord(found[0]):02X}", url)
