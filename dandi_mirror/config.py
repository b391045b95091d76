"""Settings: ``dandi-mirror.toml`` in the mirror, every one with a flag and an environment variable too."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_type_hints

from dandi_mirror.errors import UsageError

FILE = "dandi-mirror.toml"
VERSIONS = ("all", "published", "latest", "draft")
MOST_JOBS = 64
_NUMBERS = {"jobs": (1, MOST_JOBS), "recheck-days": (0, 3650)}


@dataclass(frozen=True, slots=True)
class Settings:
    """What the file may say; None where it says nothing."""

    instance: str | None = None
    """Name or API URL of the archive."""
    versions: str | None = None
    """``all``, ``published``, ``latest`` or ``draft``."""
    jobs: int | None = None
    """Dandisets at once, 1 to 64."""
    recheck_days: int | None = None
    """Each Dandiset is read in full once in so many days, 0 (never) to 3650."""
    content_hosts: tuple[str, ...] = ()
    """Further hosts (``host`` or ``host:port``) that content URLs may name."""


def read_settings(mirror: Path) -> Settings:
    """The settings of a mirror; all unset when it has no file.

    Raises:
        UsageError: not TOML, an unknown key (with the nearest known one), or a value that cannot be.
    """
    path = mirror / FILE
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return Settings()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
    try:
        values = tomllib.loads(content.decode())
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: {error}") from error
    known: dict[str, Any] = {_known(path, key): _value(path, key, value) for key, value in values.items()}
    return Settings(**known)


def _known(path: Path, key: str) -> str:
    names = {field.name.replace("_", "-"): field.name for field in fields(Settings)}
    if key in names:
        return names[key]
    near = get_close_matches(key, names, 1, cutoff=0.4)
    hint = f"did you mean {near[0]!r}?" if near else f"known are: {', '.join(names)}"
    raise UsageError(f"{path}: unknown setting {key!r}; {hint}")


def _value(path: Path, key: str, value: object) -> object:
    wanted = get_type_hints(Settings)[key.replace("-", "_")]
    if wanted == tuple[str, ...]:
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return tuple(item.lower() for item in value)
        raise UsageError(f"{path}: {key} must be a list of strings")
    if key == "versions" and value not in VERSIONS:
        raise UsageError(f"{path}: versions must be one of {', '.join(VERSIONS)}")
    if isinstance(value, bool) or not isinstance(value, wanted):
        raise UsageError(f"{path}: {key} must be {'a number' if key in _NUMBERS else 'a string'}")
    if isinstance(value, int) and not _NUMBERS[key][0] <= value <= _NUMBERS[key][1]:
        raise UsageError(f"{path}: {key} must be a number from {_NUMBERS[key][0]} to {_NUMBERS[key][1]}")
    return value
