"""A version as Croissant 1.0, which loaders of machine learning read."""

from __future__ import annotations

from typing import Any

import orjson

from dandi_mirror.export.version import Contributor, ExportFile, ExportVersion, contributors
from dandi_mirror.model import DRAFT, spell_time

CONFORMS_TO = "http://mlcommons.org/croissant/1.0"
_CROISSANT = (
    "citeAs", "column", "conformsTo", "data", "dataType", "equivalentProperty", "examples", "extract", "field",
    "fileObject", "fileProperty", "fileSet", "format", "includes", "isLiveDataset", "jsonPath", "key", "md5",
    "parentField", "path", "recordSet", "references", "regex", "repeated", "replace", "samplingRate", "separator",
    "source", "subField", "transform",
)  # fmt: skip


def _context() -> dict[str, Any]:
    """The context of the specification: no program has to ask the network what a word means."""
    words: dict[str, Any] = {name: f"cr:{name}" for name in _CROISSANT}
    words |= {name: {"@id": f"cr:{name}", "@type": "@json"} for name in ("data", "examples")}
    words["dataType"] = {"@id": "cr:dataType", "@type": "@vocab"}
    words["conformsTo"] = "dct:conformsTo"
    prefixes = {"cr": "http://mlcommons.org/croissant/", "rai": "http://mlcommons.org/croissant/RAI/",
                "dct": "http://purl.org/dc/terms/", "sc": "https://schema.org/"}  # fmt: skip
    return {"@language": "en", "@vocab": "https://schema.org/", **prefixes, **words}


def croissant(version: ExportVersion) -> bytes:
    """Return the Croissant metadata of a version, a JSON-LD file; it must have no Zarr, which has no SHA-256."""
    what = version.citation
    facts: dict[str, Any] = {
        "@context": _context(),
        "@type": "sc:Dataset",
        "conformsTo": CONFORMS_TO,
        "name": version.name,
        "description": version.description,
        "url": version.url,
        "license": version.license,
        "version": version.version,
        "datePublished": spell_time(what.published),
        "citeAs": what.form("bibtex"),
        "isLiveDataset": version.version == DRAFT,
        "creator": [_agent(one) for one in contributors(version.record)],
        "publisher": {"@type": "sc:Organization", "name": "DANDI Archive", "url": "https://dandiarchive.org/"},
        "keywords": version.keywords,
        "distribution": [_file(number, file) for number, file in enumerate(version.files, start=1)],
    }
    return orjson.dumps({name: fact for name, fact in facts.items() if fact != []}, option=orjson.OPT_INDENT_2) + b"\n"


def _agent(one: Contributor) -> dict[str, Any]:
    kind = "sc:Person" if one.is_person else "sc:Organization"
    return {"@type": kind, "name": one.name} | ({"url": one.identifier} if one.identifier else {})


def _file(number: int, file: ExportFile) -> dict[str, Any]:
    # an id must have no blanks, which paths may have
    return {
        "@type": "cr:FileObject",
        "@id": f"file-{number}",
        "name": file.path,
        "contentUrl": file.places[0],
        "contentSize": f"{file.size} B",
        "encodingFormat": file.media_type,
        "sha256": file.sha256,
    }
