"""A Dandiset as schema.org/Dataset, for machines that read web pages.  Pure."""

from __future__ import annotations

from typing import Any

from dandi_mirror.catalogue.about import Contributor
from dandi_mirror.catalogue.summary import day
from dandi_mirror.catalogue.values import DandisetFacts, Version
from dandi_mirror.model import is_version_id

_MOST = 100
_ABSTRACT = 5000
"""Characters: what search engines read."""


def json_ld(facts: DandisetFacts, url: str, archive_url: str) -> dict[str, Any]:
    """The Dandiset in its first listed version; ``url`` is the page's own address, empty if unknown."""
    about = facts.about
    shown = next(version for version in facts.versions if version.name == facts.listed[0])
    text = "\n\n".join("".join(piece.text for piece in paragraph) for paragraph in about.abstract)
    doi = f"https://doi.org/{about.doi}" if about.doi else ""
    found = {
        "@context": "https://schema.org",
        "@type": "Dataset",
        "@id": doi or archive_url or None,
        "name": about.title,
        "description": text[:_ABSTRACT] or about.title,
        "identifier": [value for value in (f"DANDI:{facts.identifier}/{shown.name}", doi) if value],
        "url": url or archive_url or None,
        "sameAs": [value for value in (doi, archive_url) if value],
        "version": shown.name,
        "license": [one.url or one.text for one in about.licenses],
        "creator": [_agent(one) for one in about.contributors if one.author][:_MOST],
        "keywords": list(about.keywords),
        "measurementTechnique": [*about.approaches, *about.techniques],
        "variableMeasured": list(about.variables)[:_MOST],
        "isAccessibleForFree": not facts.embargoed,
        "conditionsOfAccess": "under embargo" if facts.embargoed else None,
        "size": f"{shown.size} bytes",
        **_dates(shown),
    }
    return {name: value for name, value in found.items() if value not in (None, [], "")}


def _dates(version: Version) -> dict[str, str]:
    return {"datePublished" if is_version_id(version.name) else "dateModified": day(version.seconds)}


def _agent(one: Contributor) -> dict[str, Any]:
    agent: dict[str, Any] = {"@type": "Person" if one.person else "Organization", "name": one.name.text}
    if one.name.url:
        agent["sameAs"] = one.name.url
    if one.affiliations:
        agent["affiliation"] = [{"@type": "Organization", "name": name} for name in one.affiliations]
    return agent
