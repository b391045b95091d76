"""The fields of a Dandiset's record: which of them people write, and changes of some of them.  Pure."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dandi_mirror.errors import UsageError
from dandi_mirror.upload.record.yaml_text import NotYaml, read_yaml

COMPUTED = frozenset({
    "@context", "access", "assetsSummary", "citation", "dateCreated", "dateModified", "datePublished", "doi", "id",
    "identifier", "manifestLocation", "publishedBy", "releaseNotes", "repository", "schemaKey", "schemaVersion", "url",
    "version",
})  # fmt: skip
"""Fields that the archive writes; what a client sends for them has no effect."""

Record = dict[str, object]


@dataclass(frozen=True, slots=True)
class Assignment:
    """One ``FIELD=VALUE`` that somebody typed."""

    field: tuple[str, ...]
    """The names on the way to the value; a member of a list has its number, from 0."""
    value: object
    """None takes the field away."""


def read_assignment(text: str) -> Assignment:
    """Read ``FIELD=VALUE``: the value is YAML, so that ``[a, b]`` is a list; nothing after ``=`` removes the field.

    Raises:
        UsageError: it has another form, or names a field that the archive computes.
    """
    name, equals, written = text.partition("=")
    field = tuple(name.strip().split("."))
    if not equals or not all(field):
        example = "--set 'description=Units of mouse 7'; or, to take a field out, FIELD= alone: --set keywords="
        raise UsageError(f"--set {text}: write FIELD=VALUE, for example: {example}")
    if field[0] in COMPUTED:
        raise UsageError(f"--set {text}: the archive itself writes the field {field[0]}; nobody can set it")
    if len(field) == 1 and field[0] in {"name", "description", "acknowledgement"}:
        return Assignment(field, written.strip() or None)  # text, whatever colons are in it
    try:
        return Assignment(field, read_yaml(written) if written.strip() else None)
    except NotYaml as error:
        raise UsageError(f"--set {text}: the value is not YAML ({error}); put text into quotes") from None


def assign(record: Mapping[str, object], assignments: Iterable[Assignment]) -> Record:
    """A record with some fields changed, in the order of the assignments.

    Raises:
        UsageError: a field lies in something that is neither an object nor a list, or beyond the end of a list.
    """
    changed = copy.deepcopy(dict(record))
    for assignment in assignments:
        holder: object = changed
        for depth, name in enumerate(assignment.field[:-1], 1):
            holder = _inside(holder, name, assignment.field[:depth])
        _put(holder, assignment)
    return changed


def _inside(holder: object, name: str, field: tuple[str, ...]) -> object:
    if isinstance(holder, dict):
        return holder.setdefault(name, {})
    if isinstance(holder, list) and _is_member(holder, name):
        return holder[int(name)]
    raise _no_field(field)


def _put(holder: object, assignment: Assignment) -> None:
    name, value = assignment.field[-1], assignment.value
    if isinstance(holder, dict):
        holder[name] = value
        if value is None:
            del holder[name]
    elif isinstance(holder, list) and (_is_member(holder, name) or name == str(len(holder))):
        holder[int(name) : int(name) + 1] = [] if value is None else [value]
    else:
        raise _no_field(assignment.field)


def _is_member(holder: list[object], name: str) -> bool:
    return re.fullmatch(r"[0-9]{1,6}", name) is not None and int(name) < len(holder)


def _no_field(field: tuple[str, ...]) -> UsageError:
    return UsageError(
        f"the record has no field {'.'.join(field)}; a member of a list has its number, and the next free number adds "
        "one: --set 'keywords.0=mouse'"
    )


def written(record: Mapping[str, object]) -> Record:
    """The fields of a record that people write, without those that the archive computes."""
    return {name: value for name, value in record.items() if name not in COMPUTED}


def replaced(record: Mapping[str, object], fields: Mapping[str, object]) -> Record:
    """A record with all fields that people write replaced by ``fields``; what the archive computes stays."""
    return {name: value for name, value in record.items() if name in COMPUTED} | written(fields)
