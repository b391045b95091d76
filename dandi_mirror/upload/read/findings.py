"""Run dandi's validators on a file and turn their results into JSON.  Runs in the worker only."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from dandi_mirror.paths import is_own
from dandi_mirror.upload.read.nwb_zarr import has_texts_of_2, is_nwb_zarr, is_text_of_3, nwb_zarr_facts

UNKNOWN_FILE = "DANDI.UNKNOWN_FILE"
UNREADABLE = "HDF5.UNREADABLE"
NWB_ZARR = "DANDI_MIRROR.NWB_ZARR"
MISMATCH = "DANDI.METADATA_MISMATCH_SUBJECT"
NOT_RUN = "BIDS.VALIDATOR_ERROR"
TOO_MANY = "BIDS.TOO_MANY_ERRORS"
LONGEST = 2000
"""Characters of a message or a field."""
_LONGEST_LINE = 300
"""Characters of an exception's words."""
_DEEPEST = 100
"""Groups in groups; what walks them by their paths takes the square of that, or more."""
MOST = 500
"""Findings of one file."""
MOST_OF_DATASET = 20_000
"""Findings of a BIDS dataset, of which each file may have dozens of hints."""
_NOT_IN_NAMES = re.compile(r"[_*\\/<>:|\"'?%@;,.\s]")
"""What dandi replaces in the name of a subject's folder."""
_Object = tuple[int, int]


def findings(asset: Any, asked: Mapping[str, Any]) -> list[dict[str, Any]]:
    """See :meth:`dandi_mirror.upload.read.worker.Worker.findings`; ``asset`` is the file as dandi sees it."""
    from dandi.files import BIDSAsset, BIDSDatasetDescriptionAsset, GenericAsset, LocalAsset, NWBAsset, ZarrAsset

    present = asked["present"]
    if type(asset) is GenericAsset:
        return [_finding_of("WARNING", UNKNOWN_FILE, "DANDI does not know this kind of file", asked["path"])]
    first = []
    if present and isinstance(asset, NWBAsset) and (reason := why_not_hdf5(asked["file"])):
        # otherwise each of dandi's validators would report the same in its own words
        first, present = [_finding_of("ERROR", UNREADABLE, reason, asked["path"])], False
    missing = None if present else "only-non-data"
    if isinstance(asset, BIDSAsset):
        results = _own_results(asset, missing)
    else:
        results = list(asset.get_validation_errors(missing_file_content=missing))
    if present and isinstance(asset, NWBAsset):
        # dandi checks either the file or the record that the archive would get
        results += LocalAsset.get_validation_errors(asset)
    if present and isinstance(asset, ZarrAsset) and is_nwb_zarr(asked["file"]):
        first += _of_nwb_zarr(asked["file"], asked["path"])
    if isinstance(asset, ZarrAsset):
        results = [result for result in results if not _is_false(result, Path(asked["file"]))]
    found = (_finding(result, Path(asked["root"]), asked["path"]) for result in results)
    if isinstance(asset, BIDSDatasetDescriptionAsset):
        return of_dataset(found, asked["path"])
    return first + list(islice(found, MOST))


def _is_false(result: Any, zarr: Path) -> bool:
    """Whether a result is about texts that dandi's readers do not know, and that others read.

    tensorstore has no texts at all; zarr 3 refuses those of format 2 that zarr 2 wrote, and with them the whole Zarr.
    """
    if result.id == "zarr.tensorstore_cannot_open":
        return result.path is not None and is_text_of_3(Path(result.path))
    return result.id == "zarr.cannot_open" and has_texts_of_2(zarr)


def _of_nwb_zarr(file: str, path: str) -> list[dict[str, Any]]:
    """What the metadata of NWB in a Zarr lack; dandi looks at the arrays only."""
    try:
        subject = nwb_zarr_facts(file)["subject_id"]
    except (OSError, ValueError) as error:
        return [_finding_of("ERROR", NWB_ZARR, short_message(error), path)]
    if not subject:
        return [_finding_of("WARNING", NWB_ZARR, "it has no subject", path)]
    folder, expected = path.partition("/")[0], f"sub-{_NOT_IN_NAMES.sub('-', subject)}"
    if folder.startswith("sub-") and folder != expected:
        message = f"its subject is {subject}, so its folder should be {expected}, and it is in {folder}"
        return [_finding_of("WARNING", MISMATCH, message, path)]
    return []


def _own_results(asset: Any, missing: str | None) -> list[Any]:
    """The results about a file of a BIDS dataset; those of its dataset are reported with the dataset's description."""
    from dandi.files import NWBAsset, ZarrAsset

    if is_nwb(asset):
        return list(NWBAsset.get_validation_errors(asset, missing_file_content=missing))
    if isinstance(asset, ZarrAsset):
        results = ZarrAsset.get_validation_errors(asset, missing_file_content=missing)
        return [result for result in results if not result.id.startswith("BIDS.")]
    return []


def of_dataset(found: Iterable[dict[str, Any]], path: str) -> list[dict[str, Any]]:
    """The findings about the files of a dataset, errors first, without the mirror's own files."""
    errors, others = list[dict[str, Any]](), list[dict[str, Any]]()
    for one in found:
        if not is_own(one["path"]):
            (errors if one["severity"] in {"ERROR", "CRITICAL"} else others).append(one)
    if len(errors) > MOST_OF_DATASET:
        errors = errors[:MOST_OF_DATASET]
        message = f"more than {MOST_OF_DATASET:,} errors in this dataset; the others are not named"
        errors.append(_finding_of("CRITICAL", TOO_MANY, message, path))
    return [*errors, *others][: max(MOST_OF_DATASET, len(errors))]


def is_nwb(asset: Any) -> bool:
    """Whether dandi treats a file as NWB."""
    from dandi.files import NWBAsset

    return isinstance(asset, NWBAsset)


def why_not_hdf5(file: str) -> str:
    """Why a file is not complete HDF5 without other files; empty if it is."""
    import h5py

    try:
        with h5py.File(file, "r") as opened:
            return next(_strange(opened), "")[:LONGEST]
    except (OSError, RuntimeError) as error:
        return f"it is not a complete HDF5 file: {short_message(error)}"


def _strange(top: Any) -> Iterator[str]:
    """Parts of an HDF5 file that would make HDF5 read other files of this machine, or never end."""
    from h5py import h5l, h5o

    seen: set[_Object] = set()
    groups: list[tuple[Any, str, tuple[_Object, ...]]] = [(top.id, "", (_object(h5o.get_info(top.id)),))]
    while groups:
        group, place, above = groups.pop()
        if len(above) > _DEEPEST:
            yield f"its groups are nested more than {_DEEPEST} deep"
            return
        for name in group:
            path = f"{place}/{name.decode(errors='replace')}"
            yield from _link_to_file(group, name, path)
            if group.links.get_info(name).type != h5l.TYPE_HARD:
                continue
            facts = h5o.get_info(group, name)
            this = _object(facts)
            if this in above:
                yield f"its groups go round in a circle at {path}"
            if this in seen:
                continue
            seen.add(this)
            if facts.type == h5o.TYPE_GROUP:
                groups.append((h5o.open(group, name), path, (*above, this)))
            elif facts.type == h5o.TYPE_DATASET:
                yield from _data_in_file(group, name, path)


def _link_to_file(group: Any, name: bytes, path: str) -> Iterator[str]:
    """Whether a name in a group is a link to another file."""
    from h5py import h5l

    if group.links.get_info(name).type == h5l.TYPE_EXTERNAL:
        other = group.links.get_val(name)[0].decode(errors="replace")
        yield f"{path} is a link to another file, which does not go with it: {other}"


def _data_in_file(group: Any, name: bytes, path: str) -> Iterator[str]:
    """Whether the numbers of an HDF5 dataset are in another file."""
    from h5py import h5d

    properties = h5d.open(group, name).get_create_plist()
    if properties.get_external_count():
        other = properties.get_external(0)[0].decode(errors="replace")
        yield f"the data of {path} is in another file, which does not go with it: {other}"


def _object(facts: Any) -> _Object:
    """What tells an object of an HDF5 file from all others."""
    return facts.fileno, facts.addr


def _finding(result: Any, root: Path, path: str) -> dict[str, Any]:
    where = result.path
    if where is not None and Path(where).is_relative_to(root):
        path = Path(where).relative_to(root).as_posix()
    severity = result.severity.name if result.severity is not None else "INFO"
    # dandi reports this as information only, but a dataset that was not checked must not count as valid
    severity = "ERROR" if result.id == NOT_RUN else severity
    within = "; ".join((result.within_asset_paths or {}).values())
    standard = result.origin.standard.value if result.origin.standard else ""
    found = _finding_of(severity, result.id, result.message or "", path)
    return found | {"within": within[:LONGEST], "validator": result.origin.validator.value, "standard": standard}


def _finding_of(severity: str, name: str, message: str, path: str) -> dict[str, Any]:
    said = " ".join(message.split())[:LONGEST]
    return {"severity": severity, "id": name[:LONGEST], "message": said, "path": path, "within": "",
            "validator": "dandi", "standard": "DANDI-LAYOUT"}  # fmt: skip


def short_message(error: Exception) -> str:
    """The message of an exception in one line; if long, its beginning and its end, where libraries put the reason."""
    said = " ".join(str(error).split())
    said = said if len(said) <= _LONGEST_LINE else f"{said[:100]} … {said[-(_LONGEST_LINE - 103) :]}"
    if said and isinstance(error, OSError | ValueError):
        return said
    return f"{said} ({type(error).__name__})" if said else type(error).__name__
