"""Say which versions a Dandiset has on this machine, where somebody names one that is not there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dandi_mirror.archive.names import Name
    from dandi_mirror.errors import UsageError


def with_versions(error: UsageError, mirror_path: Path) -> UsageError:
    """Return the error; if it is about a version of a Dandiset that is here, it now names the versions that there are.

    ``mirror_path`` is the mirror; the clone around the current folder counts, too.
    """
    from dandi_mirror.archive.name_parts import WrongVersion, no_version

    if isinstance(error, WrongVersion) and (there := _versions(error.dandiset, mirror_path)):
        error.args = (no_version(error.dandiset, error.version, *there),)
    return error


def lacking(name: Name, mirror_path: Path) -> str:
    """Return the message that the Dandiset is here, but without the version of a name; empty if that is not so."""
    from dandi_mirror.archive.name_parts import no_version

    there = _versions(name.dandiset, mirror_path) if name.dandiset and name.version else None
    if not there or name.version in there[1]:
        return ""
    return no_version(str(name.dandiset), str(name.version), *there)


def _versions(dandiset: str, mirror_path: Path) -> tuple[Path, list[str]] | None:
    """Return the dataset of a Dandiset and its versions, oldest first; None if it is not here or cannot be read."""
    from dandi_mirror.errors import MirrorError
    from dandi_mirror.mirror.locate.versions import dataset_of, states

    for place in (mirror_path, Path()):
        try:
            dataset = dataset_of(place.absolute(), dandiset)
            return dataset.path, [state.name for state in states(dataset)]
        except MirrorError:
            continue
    return None
