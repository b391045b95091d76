"""A version as a detached RO-Crate 1.2: a JSON-LD file about data that is on the web."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from dandi_mirror.export.version import Contributor, ExportFile, ExportVersion, contributors
from dandi_mirror.model import DRAFT, spell_time

CONTEXT = "https://w3id.org/ro/crate/1.2/context"
PROFILE = "https://w3id.org/ro/crate/1.2"
_PUBLISHER = "https://dandiarchive.org/"


def ro_crate(version: ExportVersion) -> bytes:
    """Return ``ro-crate-metadata.json`` of a version."""
    people = [_agent(number, one) for number, one in enumerate(contributors(version.record), start=1)]
    parts = [*map(_file, version.files), *map(_folder, version.zarrs)]
    graph = [_descriptor(version), _root(version, people, parts), *_license(version), _publisher(), *people, *parts]
    return orjson.dumps({"@context": CONTEXT, "@graph": graph}, option=orjson.OPT_INDENT_2) + b"\n"


def _descriptor(version: ExportVersion) -> dict[str, Any]:
    return {
        "@id": "ro-crate-metadata.json",
        "@type": "CreativeWork",
        "about": {"@id": version.url},
        "conformsTo": {"@id": PROFILE},
    }


def _root(version: ExportVersion, people: list[dict[str, Any]], parts: list[dict[str, Any]]) -> dict[str, Any]:
    what = version.citation
    return {
        "@id": version.url,
        "@type": "Dataset",
        "name": version.name,
        "description": version.description,
        "datePublished": spell_time(what.published),
        "identifier": what.identifier,
        "version": version.version,
        "license": {"@id": version.license},
        "publisher": {"@id": _PUBLISHER},
        "creator": [{"@id": one["@id"]} for one in people],
        "creditText": what.form("text").partition("\n")[0],
        "conditionsOfAccess": "embargoed" if version.embargoed else "open",
        "creativeWorkStatus": "draft" if version.version == DRAFT else "published",
        "hasPart": [{"@id": part["@id"]} for part in parts],
    } | ({"keywords": version.keywords} if version.keywords else {})


def _license(version: ExportVersion) -> Iterator[dict[str, Any]]:
    if version.license != version.url:
        name = version.citation.license
        about = f"The license {name}, by its identifier in the list of SPDX"
        yield {"@id": version.license, "@type": "CreativeWork", "name": name, "description": about}


def _publisher() -> dict[str, Any]:
    return {"@id": _PUBLISHER, "@type": "Organization", "name": "DANDI Archive", "url": _PUBLISHER}


def _agent(number: int, one: Contributor) -> dict[str, Any]:
    family, comma, given = one.name.partition(", ")
    names = {"familyName": family, "givenName": given} if one.is_person and comma else {}
    where = {"affiliation": list(one.affiliations)} if one.affiliations else {}
    kind = "Person" if one.is_person else "Organization"
    # an identifier may be there twice, by mistake; then the number tells them apart
    return {"@id": f"#agent-{number}", "@type": kind, "name": one.name, **names, **where} | (
        {"identifier": one.identifier, "url": one.identifier} if one.identifier else {}
    )


def _file(file: ExportFile) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "@id": file.page,
        "@type": "File",
        "name": file.path,
        "localPath": file.path,
        "contentSize": str(file.size),
        "encodingFormat": file.media_type,
        "sha256": file.sha256,
    }
    return facts | ({"contentUrl": list(file.places)}) | ({"dateModified": file.modified} if file.modified else {})


def _folder(zarr: ExportFile) -> dict[str, Any]:
    return {"@id": zarr.page, "@type": "Dataset", "name": zarr.path, "localPath": f"{zarr.path}/"} | {
        "description": f"A Zarr of {zarr.size:,} bytes: an array, as a folder of files"
    }
