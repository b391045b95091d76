"""The archive of a mirror, and whether -i, the settings and the names of Dandisets mean that one."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from dandi_mirror.text import quoted

if TYPE_CHECKING:
    from dandi_mirror.archive.names import Name


def own_archive(mirror_path: Path) -> str:
    """Return the archive of a mirror, by its known name, else by its API; empty if the folder is not a mirror."""
    from dandi_mirror.archive.instances import known_name
    from dandi_mirror.mirror.state.layout import Mirror

    api = Mirror(mirror_path.absolute()).archive()
    return known_name(api) or api


def check_names(mirror_path: Path, names: Iterable[Name]) -> None:
    """See that names and the mirror mean the same archive, without asking it.

    An archive on this machine is not checked: only itself could say which archive it stands in for.

    Raises:
        UsageError: a name means another archive.
    """
    from dandi_mirror.addresses import is_at_loopback
    from dandi_mirror.archive.instances import api_url

    own = own_archive(mirror_path)
    if own and not is_at_loopback(api_url(own)):
        check_is_of(mirror_path, own, "", None, names)


def check_is_of(mirror_path: Path, own: str, source: str, given: str | None, names: Iterable[Name]) -> None:
    """See that -i or a setting (``source`` says ``given``) and the names mean the archive of the mirror.

    Raises:
        UsageError: one means another archive.
    """
    from urllib.parse import urlsplit

    from dandi_mirror.addresses import is_at_loopback
    from dandi_mirror.archive.instances import api_url
    from dandi_mirror.errors import UsageError

    other = [(source, given)] if given and not is_at(given, own) else []
    other += [(name.text, name.instance) for name in names if name.instance and not is_api_of([name], api_url(own))]
    for who, archive in other:
        advice = "leave that out, or name a mirror of that archive, or a new folder: -d DIR"
        same_path = urlsplit(api_url(archive)).path == urlsplit(api_url(own)).path
        if same_path and is_at_loopback(archive) and is_at_loopback(own):
            config = quoted(mirror_path.absolute() / ".git" / "config")
            tell = f"git config -f {config} dandi-mirror.archive {api_url(archive)}"
            advice += f"; if it is the same archive at another port, tell the mirror: {tell}"
        raise UsageError(f"{mirror_path.absolute()} is a mirror of {own}, and {who} says {archive}; {advice}")


def is_at(archive: str, own: str) -> bool:
    """Whether two archives have the same API; this machine has two names."""
    from dandi_mirror.addresses import same_address
    from dandi_mirror.archive.instances import api_url

    return same_address(api_url(archive), api_url(own))


def is_api_of(names: Iterable[Name], api: str) -> bool:
    """Whether the names can mean the archive with this API, which a repository names as its own.

    A known name means its exact URL; an API on this machine may stand in for any archive.
    """
    from dandi_mirror.addresses import is_at_loopback
    from dandi_mirror.archive.instances import KNOWN, agreed
    from dandi_mirror.errors import UsageError

    names = list(names)
    if not is_at_loopback(api) and any(KNOWN.get(name.instance or "", api) != api for name in names):
        return False
    try:
        for name in names:
            agreed(name.instance, api, api)
    except UsageError:
        return False
    return True
