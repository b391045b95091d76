"""What dandi's validators say of a file.  Runs in the worker only."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

UNKNOWN_FILE = "DANDI.UNKNOWN_FILE"
UNREADABLE = "HDF5.UNREADABLE"
LONGEST = 2000
"""Characters of a message or a field."""
MOST = 500
"""Findings of one file."""


def findings(asset: Any, asked: Mapping[str, Any]) -> list[dict[str, Any]]:
    """See :meth:`dandi_mirror.upload.worker.Worker.findings`; ``asset`` is the file as dandi sees it."""
    from dandi.files import BIDSAsset, GenericAsset, LocalAsset, NWBAsset

    present = asked["present"]
    if type(asset) is GenericAsset:
        return [_finding_of("WARNING", UNKNOWN_FILE, "DANDI knows no such kind of file", asked["path"])]
    first = []
    if present and isinstance(asset, NWBAsset) and (reason := why_not_hdf5(asked["file"])):
        # each of dandi's validators would say the same in words of its own
        first, present = [_finding_of("ERROR", UNREADABLE, reason, asked["path"])], False
    missing = None if present else "only-non-data"
    if isinstance(asset, BIDSAsset):
        # what its dataset has to say of it is said with the dataset's description
        results = NWBAsset.get_validation_errors(asset, missing_file_content=missing) if is_nwb(asset) else []
    else:
        results = list(asset.get_validation_errors(missing_file_content=missing))
    if present and isinstance(asset, NWBAsset):
        # dandi looks either at the file or at what the archive would be told of it
        results += LocalAsset.get_validation_errors(asset)
    return first + [_finding(result, Path(asked["root"]), asked["path"]) for result in results[:MOST]]


def is_nwb(asset: Any) -> bool:
    """Whether dandi takes a file for NWB."""
    from dandi.files import NWBAsset

    return isinstance(asset, NWBAsset)


def why_not_hdf5(file: str) -> str:
    """Why a file cannot be read as HDF5 that stands for itself; empty if it can."""
    import h5py

    outside: list[str] = []

    def look_at_link(name: str, link: Any) -> bool | None:
        if isinstance(link, h5py.ExternalLink):
            outside.append(f"{name} is a link to {link.filename}")
        return True if outside else None

    def look_at(name: str, item: Any) -> bool | None:
        # HDF5 would read any file of this machine for it
        if isinstance(item, h5py.Dataset) and item.external:
            outside.append(f"the data of {name} is in {item.external[0][0]}")
        return True if outside else None

    try:
        with h5py.File(file, "r") as opened:
            opened.visititems_links(look_at_link)
            opened.visititems(look_at)
    except OSError as error:
        return f"it is no whole HDF5 file: {one_line(error)}"
    return f"it refers to another file, which does not go with it: {' '.join(outside)[:LONGEST]}" if outside else ""


def _finding(result: Any, root: Path, path: str) -> dict[str, Any]:
    where = result.path
    if where is not None and Path(where).is_relative_to(root):
        path = Path(where).relative_to(root).as_posix()
    severity = result.severity.name if result.severity is not None else "INFO"
    within = "; ".join((result.within_asset_paths or {}).values())
    standard = result.origin.standard.value if result.origin.standard else ""
    found = _finding_of(severity, result.id, result.message or "", path)
    return found | {"within": within[:LONGEST], "validator": result.origin.validator.value, "standard": standard}


def _finding_of(severity: str, name: str, message: str, path: str) -> dict[str, Any]:
    said = " ".join(message.split())[:LONGEST]
    return {"severity": severity, "id": name[:LONGEST], "message": said, "path": path, "within": "",
            "validator": "dandi", "standard": "DANDI-LAYOUT"}  # fmt: skip


def one_line(error: Exception) -> str:
    """An exception as a message."""
    said = " ".join(str(error).split())[:300]
    return f"{said} ({type(error).__name__})" if said else type(error).__name__
