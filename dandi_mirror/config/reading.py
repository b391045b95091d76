"""Read the settings of a mirror from its file and the environment."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from dandi_mirror.config.siblings import read_siblings
from dandi_mirror.config.table import TABLE, VARIABLES, Settings, check
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
    for key, value in (_read_file(path) if file else {}).items():
        if key not in TABLE:
            raise UsageError(f"{path}: there is no setting {key!r}; {nearest(key, TABLE)}")
        where = f"{path}: {key}"
        values[key.replace("-", "_")] = read_siblings(where, value) if key == "sibling" else check(where, key, value)
        sources[key] = str(path)
    for key, variable in VARIABLES.items():
        if text := os.environ.get(variable, ""):
            value = from_text(variable, *TABLE[key], text)
            values[key.replace("-", "_")] = check(variable, key, value)
            sources[key] = variable
    return Settings(**values), sources


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
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: {error}") from error
