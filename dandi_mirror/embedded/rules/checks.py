"""Validation errors of records, in the words of the server.

Only the recorded ones: the real archive validates against dandischema, and this is no substitute for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def version_errors(metadata: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Errors of a Dandiset's record."""
    errors = _missing(metadata, ("schemaKey", "contributor", "license"))
    for field in ("contributor", "license"):
        if metadata.get(field) == []:
            errors.append({"field": field, "message": "[] should be non-empty"})
    return errors


def asset_errors(metadata: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Errors of an asset's record."""
    errors = _missing(metadata, ("schemaKey", "encodingFormat"))
    given = metadata.get("encodingFormat", "")
    if not isinstance(given, str):
        errors.append({"field": "encodingFormat", "message": f"{given!r} is not valid under any of the given schemas"})
    return errors


def _missing(metadata: Mapping[str, Any], wanted: Iterable[str]) -> list[dict[str, Any]]:
    return [{"field": "", "message": f"{name!r} is a required property"} for name in wanted if name not in metadata]
