"""The archive of a clone of a mirror, which has no note of it: what its datasets say, and what its own id says."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from dandi_mirror.errors import MirrorError, UsageError
from dandi_mirror.workflows.access.current_clone import api_of_dataset

if TYPE_CHECKING:
    from dandi_mirror.archive.names import Name
    from dandi_mirror.mirror.state.layout import Mirror

_ID = re.compile(r"^\s*id = ([0-9a-f-]{36})\s*$", re.M)
_LOOKED_AT = 3
"""Datasets: as many as may be damaged before a person should name the archive."""


def archive_of_clone(mirror_path: Path, names: Iterable[Name], *, asked: bool) -> str | None:
    """Return the archive of the clone of a mirror, by its known name or its API; None if the folder is no mirror.

    Also None if nothing tells it: then, if the archive is to be ``asked``, that is an error.  What the clone says does
    not count where it leads to an address on this machine or network that git-annex may not ask.

    Raises:
        UsageError: nothing that counts tells which archive to ask.
    """
    from dandi_mirror.archive.instances import known_name
    from dandi_mirror.mirror.state.layout import Mirror

    mirror = Mirror(mirror_path.absolute())
    here, registered = mirror.dandisets(), mirror.registered()
    if not (here or registered) or (not asked and any(name.instance for name in names)):
        return None
    recorded = [found for dandiset in here[:_LOOKED_AT] if (found := _recorded(mirror, dandiset))]
    for dandiset, _ in recorded:
        if api := api_of_dataset(Path(mirror.folder(dandiset))):
            return known_name(api) or api
    if not recorded and (known := _known_by_id(mirror)):
        return known
    if not asked or any(name.instance for name in names):
        return None  # the name says it
    raise UsageError(_why(mirror, recorded[0][1] if recorded else ""))


def _why(mirror: Mirror, api: str) -> str:
    if not api:
        return f"{mirror.path} does not say which archive it mirrors; name that archive: -i NAME or -i URL"
    return (
        f"{mirror.path} is a clone of a mirror of {api}, and that address is on this machine or network, so what a "
        f"clone says does not count; if you know that archive: -i {api}"
    )


def _recorded(mirror: Mirror, dandiset: str) -> tuple[str, str] | None:
    """Return a Dandiset with the API that its dataset records, wherever it leads; None if it records none."""
    from dandi_mirror.repo.annex.repository import AnnexRepository

    try:
        api = "" if mirror.is_strange(dandiset) else AnnexRepository(Path(mirror.folder(dandiset))).recorded_api()
    except (MirrorError, OSError):
        return None  # a damaged one is found later
    return (dandiset, api) if api else None


def _known_by_id(mirror: Mirror) -> str:
    """Return the known archive whose mirrors' superdatasets have this one's id; empty if there is none."""
    from dandi_mirror.archive.instances import KNOWN
    from dandi_mirror.files.opening import read_file
    from dandi_mirror.model import Instance

    config = (read_file(mirror.path / ".datalad" / "config") or b"").decode(errors="replace")
    if not (found := _ID.search(config)):
        return ""
    return next((name for name, url in KNOWN.items() if str(Instance(name.upper(), url).dataset_id()) == found[1]), "")
