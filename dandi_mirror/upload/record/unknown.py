"""Find fields that a schema does not know: one that allows others as well says nothing about a slip.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from dandi_mirror.text import closest
from dandi_mirror.upload.record.fields import COMPUTED

Node = Mapping[str, Any]
Place = tuple[str, ...]
_DEFINITIONS = "#/$defs/"
_MEMBER = "*"
_DEEPEST = 50


def unknown_fields(before: Mapping[str, object], after: Mapping[str, object], schema: Node) -> list[str]:
    """A sentence for each field of a changed record that the schema does not know, and that was not there before."""
    known = {_any_member(place) for place, _ in _unknown(before, [schema], schema, ())}
    found = _unknown(after, [schema], schema, ())
    return [_words(place, names) for place, names in found if _any_member(place) not in known]


def _words(place: Place, names: Sequence[str]) -> str:
    near = closest(place[-1], names)
    hint = f"did you mean {'.'.join([*place[:-1], near])}?" if near else f"there are {', '.join(names)}"
    return f"{'.'.join(place)}: no such field; {hint}"


def _any_member(place: Place) -> Place:
    return tuple(_MEMBER if part.isdigit() else part for part in place)


def _unknown(value: object, nodes: Iterable[Node], schema: Node, place: Place) -> Iterator[tuple[Place, list[str]]]:
    """The place of each unknown field, and the fields that may stand there."""
    if len(place) > _DEEPEST or not isinstance(value, dict | list):
        return
    meant = _meant(value, list(_alternatives(nodes, schema, 0)))
    if isinstance(value, list):
        members = [node["items"] for node in meant if isinstance(node.get("items"), dict)]
        for number, member in enumerate(value):
            yield from _unknown(member, members, schema, (*place, str(number)))
        return
    fields: dict[str, list[Node]] = {}
    for node in meant:
        for name, field in _fields(node).items():
            fields.setdefault(name, []).append(field)
    if not fields:
        return  # anything may stand there
    for name, inner in value.items():
        if name in fields:
            yield from _unknown(inner, fields[name], schema, (*place, name))
        elif place or name not in COMPUTED:
            yield (*place, str(name)), sorted({*fields} - ({"schemaKey"} if place else COMPUTED))


def _alternatives(nodes: Iterable[Node], schema: Node, depth: int) -> Iterator[Node]:
    """What a value may be by some nodes: references and combinations are followed."""
    for node in nodes:
        if not isinstance(node, dict) or depth > _DEEPEST:
            continue
        yield node
        inner = [one for key in ("allOf", "anyOf", "oneOf") for one in node.get(key) or ()]
        reference = node.get("$ref")
        if isinstance(reference, str) and reference.startswith(_DEFINITIONS):
            inner.append((schema.get("$defs") or {}).get(reference.removeprefix(_DEFINITIONS)))
        yield from _alternatives(inner, schema, depth + 1)


def _meant(value: object, nodes: list[Node]) -> list[Node]:
    """Of several kinds of objects the one that the value's ``schemaKey`` names; all if it names none of them."""
    kind = value.get("schemaKey") if isinstance(value, dict) else None
    named = [node for node in nodes if kind and (_fields(node).get("schemaKey") or {}).get("const") == kind]
    return named or nodes


def _fields(node: Node) -> Mapping[str, Any]:
    found = node.get("properties")
    return found if isinstance(found, dict) else {}
