"""Siblings: where ``dandi-mirror push`` publishes a mirror, and the other mirrors that it knows."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from dandi_mirror.addresses import is_loopback
from dandi_mirror.config.values import nearest
from dandi_mirror.errors import UsageError

HOSTS = ("github", "gitea", "forgejo", "gogs")
"""Services that host repositories, by the name of their type."""
MIRROR = "mirror"
"""The type of a sibling that is a mirror by itself: what it has is fetched, and nothing is pushed to it."""
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")
_SCP = re.compile(r"[A-Za-z0-9][\w.@-]*:(?!//)[^:]+")


@dataclass(frozen=True, slots=True)
class Sibling:
    """A place that a mirror is pushed to, or another mirror."""

    name: str
    """Name of the remote in each dataset."""
    url: str
    """A folder, an ssh address, a RIA store, or the superdataset's page at a service."""
    type: str
    """``bare``, ``ria``, ``github``, ``gitea``, ``forgejo``, ``gogs``, or ``mirror`` for another mirror."""
    private: bool = False
    """Whether the owner of the mirror says that the public cannot read it: embargoed Dandisets may go there."""
    credential: str = ""
    """DataLad's name of the token that makes repositories at a service; empty: DataLad chooses."""
    error: str = ""
    """Why nothing can be pushed there; everything else works all the same."""


@dataclass(frozen=True, slots=True)
class _Table:
    """What a table ``[sibling.NAME]`` may contain."""

    url: str
    type: str | None = None
    private: bool = False
    credential: str = ""


_KEYS = ("url", "type", "private", "credential")


def read_siblings(where: str, value: object) -> dict[str, Sibling]:
    """The siblings in the tables ``[sibling.NAME]``; one that cannot be used has an ``error``.

    Raises:
        UsageError: ``sibling`` is not a table of tables.
    """
    if not isinstance(value, dict):
        raise UsageError(f"{where.removesuffix(' sibling')} a sibling is a table of its own: [sibling.NAME]")
    return {name: _sibling_or_error(f"{where} {name!a}", name, table) for name, table in value.items()}


def _sibling_or_error(where: str, name: str, table: object) -> Sibling:
    try:
        return _sibling(where, name, table)
    except UsageError as error:
        # without its url, which may contain a password
        return Sibling(name, "", "", error=str(error))


def _sibling(where: str, name: str, table: object) -> Sibling:
    import msgspec

    if not _NAME.fullmatch(name):
        raise UsageError(f"{where}: use letters, digits and dashes for its name")
    if name in {"dandiapi", "dandi-embargoed", "web"}:
        raise UsageError(f"{where}: git-annex has a remote of this name already; choose another name, such as 'public'")
    if isinstance(table, dict) and (unknown := set(table) - set(_KEYS)):
        key = min(unknown)
        raise UsageError(f"{where}: it has no setting {key!a}; {nearest(key, _KEYS)}")
    try:
        given = msgspec.convert(table, _Table)
    except msgspec.ValidationError:
        raise UsageError(
            f"{where} must have a url; url, type and credential must be strings, private true or false"
        ) from None
    kind = _type(where, given.url, given.type)
    if given.type not in {None, kind}:
        raise UsageError(
            f"{where}: its type is {MIRROR}, or for https URLs one of {', '.join(HOSTS)}; leave it out for others"
        )
    return Sibling(name, given.url.rstrip("/"), kind, given.private, given.credential)


def _is_plain_here(parts: SplitResult) -> bool:
    """Whether a URL is one of http to this machine."""
    return parts.scheme == "http" and is_loopback(parts.hostname)


def _type(where: str, url: str, kind: str | None) -> str:
    """The type of a sibling, from its URL; ``kind`` is the type in its table."""
    try:
        parts = urlsplit(url)
    except ValueError:
        raise UsageError(f"{where}: its url is not a URL") from None
    if parts.password is not None or parts.query or parts.fragment:
        # the message does not repeat it: it may contain a password
        raise UsageError(f"{where}: its url must be plain; git and DataLad keep passwords and tokens themselves")
    if parts.scheme in {"ria+file", "ria+ssh"}:
        return "ria"
    if kind == MIRROR and parts.hostname and (parts.scheme == "https" or _is_plain_here(parts)):
        return MIRROR
    if url.startswith("/") or (parts.scheme == "ssh" and parts.hostname and parts.path) or _SCP.fullmatch(url):
        return kind if kind == MIRROR else "bare"
    if parts.scheme == "https" and len(parts.path.strip("/").split("/")) == 2:
        if parts.hostname == "github.com":
            return "github"
        if kind in HOSTS and kind is not None:
            return kind
    raise UsageError(
        f"{where}: its url must be /FOLDER, ssh://HOST/FOLDER, ria+file:///STORE, ria+ssh://HOST/STORE, "
        f"https://github.com/OWNER/NAME, or https://HOST/OWNER/NAME with a type: {', '.join(HOSTS[1:])}; for another "
        f'mirror: type = "{MIRROR}", and its url may be https://HOST/FOLDER, too'
    )
