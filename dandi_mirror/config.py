"""Settings: ``dandi-mirror.toml`` in the mirror, and the environment; a command's flags come before both."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NewType, get_type_hints
from urllib.parse import urlsplit

from dandi_mirror.errors import UsageError

FILE = "dandi-mirror.toml"
VERSIONS = ("all", "published", "latest", "draft")
MOST_JOBS = 64
_RANGES = {"jobs": (1, MOST_JOBS), "recheck_days": (0, 3650), "keep_runs": (1, 100_000)}
HOSTS = ("github", "gitea", "forgejo", "gogs")
"""Services that keep repositories, as the type of a sibling names them."""
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")
_SCP = re.compile(r"[A-Za-z0-9][\w.@-]*:(?!//)[^:]+")

Bytes = NewType("Bytes", int)
"""A number of bytes; in the file and on the command line also ``"500 GB"``."""

VARIABLES: Mapping[str, str] = {
    "instance": "DANDI_INSTANCE",
    "versions": "DANDI_MIRROR_VERSIONS",
    "embargoed": "DANDI_MIRROR_EMBARGOED",
    "jobs": "DANDI_MIRROR_JOBS",
    "recheck-days": "DANDI_MIRROR_RECHECK_DAYS",
    "include": "DANDI_MIRROR_INCLUDE",
    "exclude": "DANDI_MIRROR_EXCLUDE",
    "get": "DANDI_MIRROR_GET",
    "get-budget": "DANDI_MIRROR_GET_BUDGET",
    "get-budget-each": "DANDI_MIRROR_GET_BUDGET_EACH",
    "content-hosts": "DANDI_MIRROR_CONTENT_HOSTS",
    "metrics": "DANDI_MIRROR_METRICS",
    "keep-runs": "DANDI_MIRROR_KEEP_RUNS",
}
"""Each setting's name in the file, and its environment variable; an empty variable counts as none."""


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
    error: str = ""
    """Why nothing can be pushed there: a value that cannot be, which is no hindrance to anything else."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What is in force, but for a command's flags."""

    instance: str = "dandi"
    """Name or API URL of the archive."""
    versions: str = "all"
    """``all``, ``published``, ``latest`` or ``draft``."""
    embargoed: bool = False
    """Whether embargoed Dandisets are mirrored, too; needs a token."""
    jobs: int = 4
    """Dandisets at once, 1 to 64."""
    recheck_days: int = 7
    """Each Dandiset is read in full once in so many days, 0 (never) to 3650."""
    include: tuple[str, ...] = ()
    """Rules of which Dandisets to take where none is named; see :mod:`dandi_mirror.mirror.sync.filters`."""
    exclude: tuple[str, ...] = ()
    """Rules of which not to take."""
    get: tuple[str, ...] = ()
    """Globs, as git-annex understands them, of the files whose content is brought after a sync."""
    get_budget: Bytes | None = None
    """Most bytes of content that one run brings."""
    get_budget_each: Bytes | None = None
    """Most bytes of content that are brought for one Dandiset, with what is there already."""
    content_hosts: tuple[str, ...] = ()
    """Further hosts (``host`` or ``host:port``) that content URLs may name."""
    metrics: str = ""
    """The file for Prometheus; empty: none."""
    keep_runs: int = 100
    """So many logs of past runs are kept."""
    sibling: Mapping[str, Sibling] = field(default_factory=dict)
    """Where to push to, by name; a table of the file, without a variable."""

    def with_flags(self, **flags: object) -> Settings:
        """These settings where a flag was not given: where it is None, or empty.

        Raises:
            UsageError: a value that cannot be.
        """
        given: dict[str, Any] = {
            name: _value(f"--{_spelled(name)}", name, value) for name, value in flags.items() if value not in (None, ())
        }
        return replace(self, **given)


def read_settings(mirror: Path) -> Settings:
    """The settings of a mirror: from the environment, else from its file, else as they are by default.

    Raises:
        UsageError: not TOML, an unknown key (with the nearest known one), or a value that cannot be.
    """
    return settings_and_sources(mirror)[0]


def settings_and_sources(mirror: Path, *, file: bool = True) -> tuple[Settings, dict[str, str]]:
    """The settings, and where each comes from: the ``file``, a variable or ``default``.

    Raises as :func:`read_settings`.
    """
    path = mirror / FILE
    values: dict[str, Any] = {}
    sources = {_spelled(each.name): "default" for each in fields(Settings)}
    for key, value in (_read_file(path) if file else {}).items():
        name = _known(path, key)
        values[name] = _value(f"{path}: {key}", name, value)
        sources[key] = str(path)
    for key, variable in VARIABLES.items():
        if text := os.environ.get(variable, ""):
            name = key.replace("-", "_")
            values[name] = _value(variable, name, _from_text(name, text))
            sources[key] = variable
    return Settings(**values), sources


def _read_file(path: Path) -> dict[str, object]:
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
    try:
        return tomllib.loads(content.decode())
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: {error}") from error


def _known(path: Path, key: str) -> str:
    names = {_spelled(each.name): each.name for each in fields(Settings)}
    if key in names:
        return names[key]
    near = get_close_matches(key, names, 1, cutoff=0.4)
    hint = f"did you mean {near[0]!r}?" if near else f"known are: {', '.join(names)}"
    raise UsageError(f"{path}: unknown setting {key!r}; {hint}")


def _spelled(name: str) -> str:
    return name.replace("_", "-")


def _from_text(name: str, text: str) -> object:
    """A variable's text as the file would have the value; items of a list stand between blanks."""
    wanted = get_type_hints(Settings)[name]
    if wanted == tuple[str, ...]:
        return text.split()
    if wanted is bool:
        return {"true": True, "1": True, "false": False, "0": False}.get(text.lower(), text)
    return int(text) if wanted is int and text.isascii() and text.isdigit() else text


def _value(where: str, name: str, value: object) -> object:
    """A value that the setting may have; ``where`` it was found is how a refusal begins."""
    if name == "sibling":
        if not isinstance(value, dict):
            raise UsageError(f"{where.removesuffix(' sibling')} a sibling is a table of its own: [sibling.NAME]")
        return {key: _sibling_or_error(f"{where} {key!a}", key, table) for key, table in value.items()}
    wanted = get_type_hints(Settings)[name]
    if wanted == tuple[str, ...]:
        return _items(where, name, value)
    if name == "versions" and value not in VERSIONS:
        raise UsageError(f"{where} must be one of {', '.join(VERSIONS)}")
    if wanted == Bytes | None:
        return size(where, value)
    if wanted is bool:
        if not isinstance(value, bool):
            raise UsageError(f"{where} must be true or false")
        return value
    if isinstance(value, bool) or not isinstance(value, wanted):
        raise UsageError(f"{where} must be {'a number' if wanted is int else 'a string'}")
    if isinstance(value, int) and not _RANGES[name][0] <= value <= _RANGES[name][1]:
        raise UsageError(f"{where} must be a number from {_RANGES[name][0]} to {_RANGES[name][1]}")
    return value


def _items(where: str, name: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) and item for item in value):
        raise UsageError(f"{where} must be a list of strings")
    if name in {"include", "exclude"}:
        for item in value:
            try:
                re.compile(item)
            except re.error as error:
                raise UsageError(f"{where}: {item!r} is not a regular expression ({error})") from None
    return tuple(item.lower() for item in value) if name == "content_hosts" else tuple(value)


_POWERS = (
    ("", 0),
    ("b", 0),
    *((f"{letter}{b}", 3 * power) for power, letter in enumerate("kmgt", 1) for b in ("", "b")),
)
_UNITS = {unit: 10**power for unit, power in _POWERS}
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([a-z]*)", re.ASCII)


def size(where: str, value: object) -> Bytes:
    """A number of bytes as it is typed: ``50G``, ``500 MB``; ``where`` is how a refusal begins.

    Raises:
        UsageError: it is none.
    """
    found = _SIZE.fullmatch(str(value).lower()) if isinstance(value, str | int) else None
    if isinstance(value, bool) or not found or found[2] not in _UNITS:
        raise UsageError(f"{where} must be a number of bytes, or as '500 GB' (kB, MB, GB, TB)")
    return Bytes(round(float(found[1]) * _UNITS[found[2]]))


def _sibling_or_error(where: str, name: str, table: object) -> Sibling:
    try:
        return _sibling(where, name, table)
    except UsageError as error:
        # its url is not repeated: it may hold a password
        return Sibling(name, "", "", error=str(error))


def _sibling(where: str, name: str, table: object) -> Sibling:
    if not _NAME.fullmatch(name) or name in {"dandiapi", "dandi-embargoed", "web"}:
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
