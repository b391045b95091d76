"""Export a version, for the interface: as the command, without a line on the terminal."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from dandi_mirror.archive.names import Name
from dandi_mirror.errors import UsageError
from dandi_mirror.export import FORMS
from dandi_mirror.interface.getting import Collected
from dandi_mirror.workflows.export.bag import export_bag
from dandi_mirror.workflows.export.export import Exported, export_file, place_for
from dandi_mirror.workflows.export.source import find_version


def export(
    name: Name, form: str, to: str | PathLike[str] | None, top: Path, dataset: Path, instance: str | None, *,
    payload: bool, overwrite: bool, jobs: int, show: bool,
) -> Exported:  # fmt: skip
    """Write an export of a version of the dataset; see :meth:`.Dandiset.export`."""
    if form not in FORMS:
        raise UsageError(f"{form}: no such format; there are {', '.join(FORMS)}")
    if payload and form != "bagit":
        raise UsageError("payload is for bagit only")
    source = find_version(name, top, dataset, instance)
    path = place_for(source, form, Path(to) if to is not None else None, overwrite=overwrite)
    if form == "bagit":
        return export_bag(source, path, Collected(show), payload=payload, jobs=jobs)
    return export_file(source, form, path)
