"""Read a file that tells something about a Dandiset: its record, a publication's (DOI), or a person's (ORCID).  Pure.

DataCite and Crossref give the record of a DOI as JSON, in the form of DataCite, of Crossref's API, or of CSL (``curl -L
-H 'Accept: application/vnd.citationstyles.csl+json' https://doi.org/…``).  ORCID gives that of a person (``curl -H
'Accept: application/json' https://pub.orcid.org/v3.0/…/record``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from dandi_mirror.errors import UsageError
from dandi_mirror.upload.record.fields import Record, replaced
from dandi_mirror.upload.record.yaml_text import NotYaml, read_yaml

_DOI = re.compile(r"(?:https?://(?:dx\.)?doi\.org/|doi:)?(10\.[0-9]{4,9}/[^\s\"<>]+)", re.IGNORECASE)
_ORCID = re.compile(r"[0-9]{4}-[0-9]{4}-[0-9]{4}-[0-9]{3}[0-9X]")
_FORMS = (
    "the record of a Dandiset (dandiset.yaml), of a DOI (CSL, DataCite or Crossref JSON), or of a person (ORCID JSON)"
)


def with_file(record: Mapping[str, object], text: str, file: str) -> Record:
    """A record with what a file says: a Dandiset's record replaces what people wrote, the others add one entry.

    A publication becomes a related resource that describes the Dandiset, a person becomes a contributor.  One that is
    there already is not added again, but brought up to date.

    Raises:
        UsageError: the file is none of these; ``file`` is its name.
    """
    try:
        said = read_yaml(text)
    except NotYaml as error:
        raise UsageError(f"{file}: it is neither YAML nor JSON ({error}); give {_FORMS}") from None
    if isinstance(said, dict):
        if "orcid-identifier" in said:
            return _added(record, "contributor", _person(said))
        if doi := _doi(publication := _publication(said)):
            return _added(record, "relatedResource", _resource(publication, doi))
        if said.get("schemaKey", "Dandiset") == "Dandiset" and ("description" in said or "contributor" in said):
            return replaced(record, said)
    raise UsageError(f"{file}: nothing in it says what it is; give {_FORMS}")


def _publication(said: Mapping[str, object]) -> Mapping[str, object]:
    """What a registry says about a publication, without the envelope that DataCite and Crossref put around it."""
    for name in ("message", "data", "attributes"):
        inner = said.get(name)
        said = inner if isinstance(inner, dict) else said
    return said


def _doi(publication: Mapping[str, object]) -> str:
    # a Dandiset's own record has a DOI, too
    if "schemaKey" in publication or "assetsSummary" in publication:
        return ""
    for name in ("DOI", "doi"):
        said = publication.get(name)
        if isinstance(said, str) and (found := _DOI.fullmatch(said.strip())):
            return found[1]
    return ""


def _resource(publication: Mapping[str, object], doi: str) -> Record:
    title = _first(publication.get("titles")) or _first(publication.get("title"))
    resource: Record = {"schemaKey": "Resource", "identifier": f"doi:{doi}", "url": f"https://doi.org/{doi}"}
    return resource | ({"name": title} if title else {}) | {"relation": "dcite:IsDescribedBy"}


def _first(said: object) -> str:
    """The text of a title: registries give it alone, in a list, or in a list of objects."""
    said = said[0] if isinstance(said, list) and said else said
    said = said.get("title") if isinstance(said, dict) else said
    return " ".join(said.split()) if isinstance(said, str) else ""


def _person(said: Mapping[str, object]) -> Record:
    identifier = _at(said, "orcid-identifier", "path")
    family, given = (_at(said, "person", "name", part, "value") for part in ("family-name", "given-names"))
    if not _ORCID.fullmatch(identifier) or not family or not given:
        raise UsageError("the ORCID record shows no number or no name: a person may keep the name private")
    person: Record = {"schemaKey": "Person", "name": f"{family}, {given}", "identifier": identifier}
    return person | {"roleName": ["dcite:Author"], "includeInCitation": True, "affiliation": []}


def _at(said: object, *names: str) -> str:
    for name in names:
        said = said.get(name) if isinstance(said, dict) else None
    return " ".join(said.split()) if isinstance(said, str) else ""


def _added(record: Mapping[str, object], field: str, entry: Record) -> Record:
    """A record with an entry added to a list, or joined with the one of the same identifier, whose own words stay."""
    there = record.get(field)
    entries = [*there] if isinstance(there, list) else []
    for number, old in enumerate(entries):
        if isinstance(old, dict) and _same(old.get("identifier"), entry["identifier"]):
            entries[number] = entry | old | {key: entry[key] for key in ("name",) if key in entry}
            return {**record, field: entries}
    return {**record, field: [*entries, entry]}


def _same(one: object, other: object) -> bool:
    return isinstance(one, str) and isinstance(other, str) and _bare(one) == _bare(other)


def _bare(identifier: str) -> str:
    return re.sub(r"^(https?://(dx\.)?doi\.org/|doi:|https?://orcid\.org/)", "", identifier.lower())
