"""Read the settings of a mirror from its file and the environment."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dandi_mirror.config.siblings import read_siblings
from dandi_mirror.config.table import SECTIONS, TABLE, VARIABLES, Settings, attribute, check_setting
from dandi_mirror.config.values import from_text, nearest
from dandi_mirror.errors import UsageError

FILE = "dandi-mirror.toml"


def read_settings(mirror: Path) -> Settings:
    """The settings of a mirror: from the environment, else from its file, else the defaults.

    Raises:
        UsageError: the file is not TOML, has an unknown key, or a value of the wrong type or out of range.
    """
    return settings_and_sources(mirror)[0]


def settings_and_sources(mirror: Path, *, file: bool = True) -> tuple[Settings, dict[str, str]]:
    """The settings, and where each comes from: the path of the file, a variable or ``default``.

    Raises as :func:`read_settings`.
    """
    path = mirror / FILE
    values: dict[str, Any] = {}
    sources = dict.fromkeys(TABLE, "default")
    for key, value in _by_name(path, _read_file(path) if file else {}):
        if key not in TABLE:
            raise UsageError(f"{path}: there is no setting {key!r}; {nearest(key, TABLE)}")
        where = f"{path}: {key}"
        values[attribute(key)] = read_siblings(where, value) if key == "sibling" else check_setting(where, key, value)
        sources[key] = str(path)
    for key, variable in VARIABLES.items():
        if text := os.environ.get(variable, ""):
            value = from_text(variable, *TABLE[key], text)
            values[attribute(key)] = check_setting(variable, key, value)
            sources[key] = variable
    return Settings(**values), sources


def _by_name(path: Path, found: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    """The settings of a file by their names: of one in a table, with the table's."""
    for key, value in found.items():
        if key not in SECTIONS:
            yield key, value
        elif isinstance(value, dict):
            yield from ((f"{key}.{name}", inner) for name, inner in value.items())
        else:
            raise UsageError(f"{path}: {key} is a table of its own: [{key}]")


def _read_file(path: Path) -> dict[str, object]:
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
    import tomllib

    try:
        return tomllib.loads(content.decode())
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: it is not text in UTF-8; write it anew: dandi-mirror config --init") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: it is not TOML: {error}") from error
