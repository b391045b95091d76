"""Settings: ``dandi-mirror.toml`` in the mirror, every one with a flag and an environment variable too."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_type_hints
from urllib.parse import urlsplit

from dandi_mirror.errors import UsageError

FILE = "dandi-mirror.toml"
VERSIONS = ("all", "published", "latest", "draft")
MOST_JOBS = 64
_NUMBERS = {"jobs": (1, MOST_JOBS), "recheck-days": (0, 3650)}
HOSTS = ("github", "gitea", "forgejo", "gogs")
"""Services that keep repositories, as the type of a sibling names them."""
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")
_SCP = re.compile(r"[A-Za-z0-9][\w.@-]*:(?!//)[^:]+")


@dataclass(frozen=True, slots=True)
class Sibling:
    """Where a mirror is pushed to."""

    name: str
    """Of the remote in each dataset."""
    url: str
    """A folder, an ssh address, a RIA store, or the superdataset's page at a service."""
    type: str
    """``bare``, ``ria``, ``github``, ``gitea``, ``forgejo`` or ``gogs``."""
    private: bool = False
    """Declared to show nothing to the public: embargoed Dandisets may go there."""
    credential: str = ""
    """DataLad's name of the token for making repositories at a service; empty: its own choice."""


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
    sibling: Mapping[str, Sibling] = field(default_factory=dict)
    """Where to push to, by name."""


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
    if key == "sibling":
        if not isinstance(value, dict):
            raise UsageError(f"{path}: a sibling is a table of its own: [sibling.NAME]")
        return {name: _sibling(f"{path}: sibling {name!a}", name, table) for name, table in value.items()}
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


def _sibling(where: str, name: str, table: object) -> Sibling:
    if not _NAME.fullmatch(name) or name in {"dandiapi", "web"}:
        raise UsageError(f"{where}: its name must be letters, digits and dashes, and not that of a remote of git-annex")
    if not isinstance(table, dict) or set(table) - {"url", "type", "private", "credential"} or "url" not in table:
        raise UsageError(f"{where} must have a url, and may have type, private and credential; nothing else")
    url, kind, private = table["url"], table.get("type"), table.get("private", False)
    credential = table.get("credential", "")
    if not isinstance(url, str) or not isinstance(private, bool) or not isinstance(credential, str):
        raise UsageError(f"{where}: url and credential must be strings, private true or false")
    found = _type(where, url, kind)
    if kind not in {None, found}:
        raise UsageError(f"{where}: its type is for https URLs, one of {', '.join(HOSTS)}; leave it out for others")
    return Sibling(name, url.rstrip("/"), found, private, credential)


def _type(where: str, url: str, kind: object) -> str:
    """What a sibling is, by its URL; ``kind`` is what its table says."""
    try:
        parts = urlsplit(url)
    except ValueError:
        raise UsageError(f"{where}: its url is none") from None
    if parts.password is not None or parts.query or parts.fragment:
        # not repeated: it may hold a password
        raise UsageError(f"{where}: its url must be plain; git and DataLad keep passwords and tokens themselves")
    if parts.scheme in {"ria+file", "ria+ssh"}:
        return "ria"
    if url.startswith("/") or (parts.scheme == "ssh" and parts.hostname and parts.path) or _SCP.fullmatch(url):
        return "bare"
    if parts.scheme == "https" and len(parts.path.strip("/").split("/")) == 2:
        if parts.hostname == "github.com":
            return "github"
        if isinstance(kind, str) and kind in HOSTS:
            return kind
    raise UsageError(
        f"{where}: its url must be /FOLDER, ssh://HOST/FOLDER, ria+file:///STORE, ria+ssh://HOST/STORE, "
        f"https://github.com/OWNER/NAME, or https://HOST/OWNER/NAME with a type: {', '.join(HOSTS[1:])}"
    )
