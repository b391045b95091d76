"""Check one value of a setting against its type, and say what it must be."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal, NewType, get_args, get_origin

from dandi_mirror.errors import UsageError
from dandi_mirror.text import closest

Bytes = NewType("Bytes", int)
"""A number of bytes; in the file and on the command line also ``"500 GB"``."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What the table says about a setting, besides its type and default."""

    variable: str = ""
    """Its environment variable; an empty variable counts as none."""
    help: str = ""
    """The comment above it in a new settings file."""
    example: str = ""
    """Its value in a new settings file, as TOML, where that is not the default."""
    section: str = ""
    """Its table in the file; empty for a setting at the top."""
    least: int = 0
    most: int = 0
    each: Callable[[str], str] | None = None
    """Converts each item of a list; raises ValueError with the reason."""


def check_value(where: str, kind: Any, setting: Setting, value: object) -> object:
    """Return ``value`` as the setting has it; ``where`` it stands begins the message of an error.

    Raises:
        UsageError: the value is not of type ``kind``, or out of range.
    """
    if Bytes in get_args(kind):
        return size(where, value)
    found = _convert(where, kind, setting, value, strict=True)
    if setting.each is None or not isinstance(found, tuple):
        return found
    items = []
    for item in found:
        try:
            items.append(setting.each(item))
        except ValueError as error:
            raise UsageError(f"{where}: {item!r} {error}") from None
    return tuple(items)


def from_text(where: str, kind: Any, setting: Setting, text: str) -> object:
    """The value that the text of an environment variable means; blanks separate the items of a list.

    Raises:
        UsageError: it means none.
    """
    if get_origin(kind) is tuple:
        return text.split()
    if kind in (int, bool):
        return _convert(where, kind, setting, text, strict=False)
    return text


def _convert(where: str, kind: Any, setting: Setting, value: object, *, strict: bool) -> object:
    if kind is str and isinstance(value, str):
        return value
    if get_origin(kind) is tuple and isinstance(value, list) and all(isinstance(item, str) and item for item in value):
        return tuple(value)
    import msgspec  # takes 20 ms, and most commands have only settings that are strings

    exact: Any = kind
    if kind is int:
        exact = msgspec.Meta(ge=setting.least, le=setting.most)
        exact = _annotated(int, exact)
    if get_origin(kind) is tuple:
        exact = tuple[_annotated(str, msgspec.Meta(min_length=1)), ...]  # type: ignore[misc]
    try:
        return msgspec.convert(value, exact, strict=strict)
    except msgspec.ValidationError:
        raise UsageError(f"{where} must be {_what(kind, setting)}") from None


def _annotated(kind: type, meta: object) -> Any:
    from typing import Annotated

    return Annotated[kind, meta]


def _what(kind: Any, setting: Setting) -> str:
    if get_origin(kind) is Literal:
        return f"one of {', '.join(get_args(kind))}"
    if get_origin(kind) is tuple:
        return "a list of strings"
    if kind is int:
        return f"a number from {setting.least} to {setting.most}"
    return "true or false" if kind is bool else "a string"


def nearest(word: str, words: Iterable[str]) -> str:
    """A hint at the word that the user may have meant, or at all that there are."""
    known = list(words)
    near = closest(word, known, 0.4)
    return f"did you mean {near!r}?" if near else f"the settings are: {', '.join(known)}"


def regular_expression(text: str) -> str:
    """Return ``text`` if it is a regular expression; raise ValueError otherwise."""
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"is not a regular expression ({error})") from None
    return text


_HOST = re.compile(r"(?:\[[0-9a-f:.]+\]|[\w.-]*\w)(?::[0-9]{1,5})?")


def host(text: str) -> str:
    """Return ``text`` in small letters if it is ``host`` or ``host:port``; raise ValueError otherwise."""
    if not _HOST.fullmatch(small := text.lower()):
        near = small.partition("://")[2].partition("/")[0] or small.partition("/")[0]
        raise ValueError(
            f"is not a host, as in {near if _HOST.fullmatch(near) else 'data.example.org'!r}, or host:port"
        )
    return small


_POWERS = (
    ("", 0),
    ("b", 0),
    *((f"{letter}{b}", 3 * power) for power, letter in enumerate("kmgt", 1) for b in ("", "b")),
)

_UNITS = {unit: 10**power for unit, power in _POWERS}
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([a-z]*)", re.ASCII)


def size(where: str, value: object) -> Bytes:
    """A number of bytes as people type it: ``50G``, ``500 MB``; ``where`` it stands begins the message of an error.

    Raises:
        UsageError: the value is not a number of bytes.
    """
    found = _SIZE.fullmatch(str(value).lower()) if isinstance(value, str | int) else None
    if isinstance(value, bool) or not found or found[2] not in _UNITS:
        raise UsageError(f"{where} must be a number of bytes, or as '500 GB' (kB, MB, GB, TB)")
    return Bytes(round(float(found[1]) * _UNITS[found[2]]))
