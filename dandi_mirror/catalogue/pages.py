"""The pages, made by templates: whatever is put into them becomes text, never markup."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from dandi_mirror.catalogue.json_ld import json_ld
from dandi_mirror.catalogue.listing import FileScripts
from dandi_mirror.catalogue.preview_form import VERSION as PREVIEW
from dandi_mirror.catalogue.scripts import json_text
from dandi_mirror.catalogue.summary import Published, Summary, change_words, day
from dandi_mirror.catalogue.values import DandisetFacts
from dandi_mirror.text import counted, human_size, printable

TOP = Path(__file__).parent
STATIC = ("catalogue.css", "common.js", "index.js", "dandiset.js", "minisearch.js", "minisearch.LICENSE.txt")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; base-uri 'none'; "
    "form-action 'none'; require-trusted-types-for 'script'; trusted-types catalogue"
)
"""What a page may do: load its own scripts and styles, and nothing from elsewhere."""
HERE, ALL = "here", "all"
"""Previews of NWB files whose content is here, or of all; and of Zarrs."""
FIRST = 30
"""Dandisets that the index page shows before somebody searches."""
FEED = 50
"""Versions that the feed names."""


@dataclass(frozen=True, slots=True)
class ShownArchive:
    """The archive whose mirror it is."""

    name: str
    api: str = ""
    """The URL of its API; empty if it may not be linked."""
    web: str = ""
    """The URL of its pages; empty if unknown."""
    client: str = ""
    """What the DANDI client calls it; empty if it has no name of its own."""
    prefix: str = "DANDI"
    """What its Dandisets' identifiers begin with."""


@dataclass(frozen=True, slots=True)
class Site:
    """What all pages share."""

    title: str
    archive: ShownArchive
    url: str = ""
    """Where the catalogue will be on the web, with a slash at the end; empty if unknown."""
    source: str = ""
    """Where people clone from: a folder or URL that holds the Dandisets' repositories."""
    served: str = ""
    """The API of the server that shows the pages; empty for a folder."""
    previews: str = ""
    """Of what there are previews: ``HERE``, ``ALL`` or nothing."""


def dandiset_page(site: Site, facts: DandisetFacts, listing: FileScripts, summary: Summary) -> bytes:
    """The page of a Dandiset."""
    archive, shown = site.archive, facts.listed[0]
    there = f"{archive.web}/dandiset/{facts.identifier}/{shown}" if archive.web else ""
    here = f"{site.url}d/{facts.identifier}/" if site.url else ""
    config = listing.index | {
        "id": facts.identifier,
        "listed": facts.listed,
        "archive": asdict(archive),
        "source": site.source,
        "served": site.served,
        "embargoed": facts.embargoed,
        "previews": PREVIEW if site.previews else 0,
        "previewsOfAll": site.previews == ALL,
    }
    return _page(
        "dandiset.html", site, "../../",
        facts=facts, about=facts.about, summary=summary, description=summary.abstract[:200],
        newest=next(version for version in facts.versions if version.name == shown),
        versions=facts.versions[::-1], json_ld=Markup(json_text(json_ld(facts, here, there))),
        config=Markup(json_text(config)), config_has_subjects=listing.index["subjects"] is not None,
    )  # fmt: skip


def index_page(site: Site, summaries: Sequence[Summary], parts: Sequence[str]) -> bytes:
    """The page with the search; ``parts`` are the scripts of the search index."""
    newest = sorted(summaries, key=lambda one: (-one.seconds, one.identifier))
    totals = {
        "dandisets": len(summaries),
        "files": sum(one.files for one in summaries),
        "size": sum(one.size for one in summaries),
        "here": sum(one.here for one in summaries),
        "here_size": sum(one.here_size for one in summaries),
        "embargoed": sum(one.embargoed for one in summaries),
    }
    config = Markup(json_text({"parts": list(parts), "count": len(summaries)}))
    return _page("index.html", site, "", totals=totals, shown=newest[:FIRST], config=config, description=site.title)


def all_page(site: Site, summaries: Sequence[Summary]) -> bytes:
    """A list of all Dandisets, which needs no scripts."""
    return _page("all.html", site, "", summaries=sorted(summaries, key=lambda one: one.identifier), description="")


def feed(site: Site, summaries: Iterable[Summary]) -> bytes:
    """An Atom feed of the newest versions."""
    pairs = [(summary, version) for summary in summaries if not summary.embargoed for version in summary.published]
    pairs.sort(key=lambda pair: (-pair[1].seconds, pair[0].identifier))
    entries = [
        {"summary": summary, "version": version, "id": _id(site, summary, version)} for summary, version in pairs[:FEED]
    ]
    about = {"id": site.url or f"tag:dandiarchive.org,2024:{site.archive.prefix}", "entries": entries}
    return _page("feed.xml", site, "", feed=about | {"updated": pairs[0][1].seconds if pairs else 0}, description="")


def _id(site: Site, summary: Summary, version: Published) -> str:
    if version.doi:
        return f"https://doi.org/{version.doi}"
    return f"tag:dandiarchive.org,2024:{site.archive.prefix}:{summary.identifier}/{version.name}"


def waiting_page(site: Site, doing: str, *, over: bool) -> bytes:
    """A page that stands in for others until they are made; with ``over``, they cannot be, and ``doing`` says why."""
    return _page("waiting.html", site, "/", doing=doing, over=over, description="")


def static_file(name: str) -> bytes:
    """A file that all pages share."""
    return (TOP / "static" / name).read_bytes()


def _page(name: str, site: Site, top: str, **values: Any) -> bytes:
    template = _TEMPLATES.get_template(name)
    return template.render(site=site, archive=site.archive, top=top, policy=POLICY, **values).encode()


def _visible(value: object) -> object:
    """Text without letters that cannot be seen or that move others; these are shown as escapes."""
    return printable(value) if type(value) is str else value


def _lines(text: str) -> Markup:
    """Several lines, each made visible by itself."""
    return Markup("\n").join(printable(line) for line in text.rstrip("\n").split("\n"))


def _iso(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"


_TEMPLATES = Environment(
    loader=FileSystemLoader(TOP / "templates"), autoescape=True, undefined=StrictUndefined, finalize=_visible,
    trim_blocks=True, lstrip_blocks=True, auto_reload=False,
)  # fmt: skip
_TEMPLATES.filters |= {
    "counted": counted,
    "number": lambda value: f"{value:,}",
    "bytes": human_size,
    "day": day,
    "iso": _iso,
    "lines": _lines,
    "changes": change_words,
}
