"""Format the citation of a published version, or of a state of the draft: as text, BibTeX, RIS and CFF.  Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

import orjson

from dandi_mirror.mirror.sync.messages import one_line
from dandi_mirror.mirror.zarr.gitmodules import ZarrModule
from dandi_mirror.model import DRAFT, parse_time

Zarrs = Mapping[str, ZarrModule]
NO_ZARRS: Zarrs = {}
SHOWN_ZARRS = 10
"""How many Zarrs a citation names; the others are counted."""
FORMS = ("text", "bibtex", "ris", "cff")


@dataclass(frozen=True, slots=True)
class Citation:
    """The facts of a citation."""

    identifier: str
    """``DANDI:000004/0.220126.1852``."""
    version: str
    title: str
    authors: tuple[str, ...]
    """``Family, Given`` in the order of the record; organisations by their full names."""
    doi: str
    url: str
    published: datetime
    license: str
    """An SPDX identifier, or empty."""
    commit: str
    """The commit of the version's tag: the same in every mirror; of a draft, the one that this mirror made of it."""
    zarrs: Zarrs = field(default_factory=dict)
    """Its Zarrs with their states, by path."""

    @classmethod
    def of(cls, record: Mapping[str, object], commit: str, published: datetime, zarrs: Zarrs = NO_ZARRS) -> Citation:
        """Take the facts from the Dandiset's record of a version; ``published`` counts if the record has no date."""
        doi = one_line(record.get("doi"))
        licenses = record.get("license")
        first = one_line(licenses[0]) if isinstance(licenses, list) and licenses else ""
        return cls(
            one_line(record.get("id")),
            one_line(record.get("version")),
            one_line(record.get("name")),
            tuple(_authors(record.get("contributor"))),
            doi,
            f"https://doi.org/{doi}" if doi else one_line(record.get("url")),
            _published(record, published),
            first.removeprefix("spdx:"),
            commit,
            zarrs,
        )

    def form(self, name: str) -> str:
        """Return the citation in one of :data:`FORMS`, with a newline at the end."""
        return {"text": self._text, "bibtex": self._bibtex, "ris": self._ris, "cff": self._cff}[name]()

    def _text(self) -> str:
        authors = "; ".join(self.authors)
        return (
            f"{authors} ({self.published.year}) {self.title} (Version {self.version}) [Data set]. DANDI Archive. "
            f"{self.url}\nIn git: {self._commit}\n"
        ) + "".join(f"{line}\n" for line in self._zarr_lines())

    @property
    def _commit(self) -> str:
        state = f", the draft of {self.published:%Y-%m-%d} in this mirror" if self.version == DRAFT else ""
        return f"commit {self.commit}{state}"

    def _zarr_lines(self) -> list[str]:
        """Name the Zarrs by their states; of many only the first, and where all are."""
        shown = list(self.zarrs.values())[:SHOWN_ZARRS]
        more = len(self.zarrs) - len(shown)
        lines = [f"Zarr {one_line(zarr.path)}: checksum {zarr.checksum}" for zarr in shown]
        return lines + ([f"… and {more:,} more Zarrs, in .gitmodules of that commit"] if more else [])

    def _bibtex(self) -> str:
        key = re.sub(r"[^A-Za-z0-9]+", "_", self.identifier).strip("_").lower()
        fields = {
            "author": " and ".join(_braced(author) for author in self.authors),
            "title": "{" + _tex(self.title) + "}",
            "year": str(self.published.year),
            "month": str(self.published.month),
            "version": self.version,
            "publisher": "DANDI Archive",
            "doi": self.doi,
            "url": self.url,
            "note": "; ".join([f"git {self._commit}", *map(_tex, self._zarr_lines())]),
        }
        lines = [f"  {name} = {{{value}}}," for name, value in fields.items() if value]
        return "\n".join([f"@dataset{{{key},", *lines, "}"]) + "\n"

    def _ris(self) -> str:
        lines = [
            "TY  - DATA",
            *(f"AU  - {author}" for author in self.authors),
            f"TI  - {self.title}",
            f"PY  - {self.published.year}",
            f"DA  - {self.published:%Y/%m/%d}",
            f"ET  - {self.version}",
            "PB  - DANDI Archive",
            *([f"DO  - {self.doi}"] if self.doi else []),
            f"UR  - {self.url}",
            f"N1  - git {self._commit}",
            *(f"N1  - {line}" for line in self._zarr_lines()),
            "ER  - ",
        ]
        return "\n".join(lines) + "\n"

    def _cff(self) -> str:
        lines = [
            "cff-version: 1.2.0",
            "type: dataset",
            'message: "If you use these data, please cite them as below."',
            f"title: {_quoted(self.title)}",
            "authors:",
            *(line for author in self.authors for line in _cff_author(author)),
            f"version: {_quoted(self.version)}",
            f"date-released: {self.published:%Y-%m-%d}",
            *([f"doi: {_quoted(self.doi)}"] if self.doi else []),
            *([f"license: {_quoted(self.license)}"] if self.license else []),
            f"url: {_quoted(self.url)}",
            f"commit: {_quoted(self.commit)}",
            *self._cff_zarrs(),
        ]
        return "\n".join(lines) + "\n"

    def _cff_zarrs(self) -> Iterator[str]:
        """Give the states of Zarrs as identifiers."""
        shown = list(self.zarrs.values())[:SHOWN_ZARRS]
        if shown:
            yield "identifiers:"
        for zarr in shown:
            yield "  - type: other"
            yield f"    value: {_quoted(zarr.checksum)}"
            yield f"    description: {_quoted(f'DANDI checksum of the Zarr {one_line(zarr.path)}')}"
        if more := len(self.zarrs) - len(shown):
            yield f"# and {more:,} more Zarrs, in .gitmodules of the commit"


def _authors(contributors: object) -> list[str]:
    people = contributors if isinstance(contributors, list) else []
    named = [one_line(p.get("name")) for p in people if isinstance(p, dict) and p.get("includeInCitation")]
    return [name for name in named if name]


def _published(record: Mapping[str, object], created: datetime) -> datetime:
    try:
        return parse_time(record.get("datePublished"))
    except ValueError:
        return created


_TEX_SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
}  # fmt: skip


def _tex(text: str) -> str:
    return "".join(_TEX_SPECIAL.get(letter, letter) for letter in text)


def _braced(author: str) -> str:
    # braces keep BibTeX from splitting an organisation's name into family and given name
    return _tex(author) if ", " in author else "{" + _tex(author) + "}"


def _quoted(text: str) -> str:
    # a JSON string is a YAML string
    return orjson.dumps(text).decode()


def _cff_author(author: str) -> list[str]:
    family, comma, given = author.partition(", ")
    if not comma:
        return [f"  - name: {_quoted(author)}"]
    return [f"  - family-names: {_quoted(family)}", f"    given-names: {_quoted(given)}"]
