"""Check a Dandiset's record against the JSON Schema that the archive gives.  Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

SHOWN = 160
"""Letters of one error that are shown."""
_KINDS = {"array": "a list", "string": "text", "object": "a group of fields", "boolean": "true or false"}
"""What people call the types of JSON."""


def schema_errors(record: Mapping[str, object], schema: Mapping[str, object]) -> list[str]:
    """What a schema finds wrong with a record, as ``FIELD: words``, sorted; empty for a valid one.

    Raises:
        ValueError: the schema itself is not one, or refers to something outside of it.
    """
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import SchemaError
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    try:
        Draft202012Validator.check_schema(schema)
        # an empty registry: a schema makes nobody ask another address
        found = list(Draft202012Validator(schema, registry=Registry()).iter_errors(dict(record)))
    except (SchemaError, Unresolvable, RecursionError) as error:
        raise ValueError(" ".join(str(error).split())[:SHOWN]) from None
    return sorted({_words(error) for error in found})


def new_errors(before: Mapping[str, object], after: Mapping[str, object], schema: Mapping[str, object]) -> list[str]:
    """The errors of a changed record that it did not have before the change; raises as :func:`schema_errors`."""
    known = set(schema_errors(before, schema))
    return [error for error in schema_errors(after, schema) if error not in known]


def _words(error: ValidationError) -> str:
    error = _nearest(error)
    field = ".".join(str(part) for part in error.absolute_path)
    words = error.message
    if error.validator == "type" and (wanted := _KINDS.get(str(error.validator_value))):
        words = f"{error.instance!r} is not {wanted}"
        words += f"; write it as [{error.instance}]" if wanted == "a list" and isinstance(error.instance, str) else ""
    words = words if len(words) <= SHOWN else f"{words[:SHOWN]}…"
    return f"{field}: {words}" if field else words


def _nearest(error: ValidationError) -> ValidationError:
    """Of a value that is right in none of several ways, what is wrong by the way that its ``schemaKey`` names."""
    while error.context:
        other_kinds = {tried.schema_path[0] for tried in error.context if tried.path and tried.path[-1] == "schemaKey"}
        meant = [tried for tried in error.context if tried.schema_path[0] not in other_kinds]
        if not meant:
            break
        error = meant[0]
    return error
