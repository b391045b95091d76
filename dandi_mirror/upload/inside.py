"""The program of the worker: the only place that imports dandi.

Requests come as JSON Lines on standard input, answers go as JSON Lines to what was standard output.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

Request = Mapping[str, Any]

UNKNOWN_FILE = "DANDI.UNKNOWN_FILE"
UNREADABLE = "HDF5.UNREADABLE"

_GRACE = 10.0
"""Seconds after which it ends by itself, if nobody has ended it."""
_NETWORK = ("socket.connect", "socket.getaddrinfo", "socket.sendto", "socket.bind")
_LONGEST = 2000
"""Characters of a message or a field."""
_MOST = 500
"""Findings of one file."""
_NAMING = (
    "subject_id", "session_id", "session_start_time", "tissue_sample_id", "slice_id", "cell_id", "description",
    "probe_ids", "nd_types",
)  # fmt: skip


def main() -> None:
    """Answer until standard input ends."""
    limits = json.loads(sys.argv[1])
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    _limit(limits)
    try:
        import dandi.files
        import dandi.metadata.nwb  # noqa: F401
    except Exception as error:
        _say(answers, {"error": _words(error)})
        return
    _say(answers, {"value": "ready"})
    for line in sys.stdin.buffer:
        asked = json.loads(line)
        _allow_writing(None if asked["writes"] else limits["written"])
        # whoever asked may be gone; Python itself may be held up in a library
        signal.setitimer(signal.ITIMER_REAL, limits["seconds"] + _GRACE)
        answer = _answered(asked)
        signal.setitimer(signal.ITIMER_REAL, 0)
        _say(answers, answer)


def _limit(limits: Mapping[str, Any]) -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (limits["memory"], limits["memory"]))
    resource.setrlimit(resource.RLIMIT_NOFILE, (limits["files"], limits["files"]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.addaudithook(_no_network)


def _allow_writing(size: int | None) -> None:
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard if size is None else size, hard))


def _no_network(event: str, arguments: tuple[Any, ...]) -> None:
    if event in _NETWORK:
        raise PermissionError("the reader of files has no network")


def _say(answers: Any, answer: object) -> None:
    # half surrogates in a path are escaped as JSON can
    answers.write(json.dumps(answer, ensure_ascii=True, default=str).encode() + b"\n")
    answers.flush()


def _answered(asked: Request) -> dict[str, Any]:
    try:
        return {"value": _ANSWERS[asked["what"]](asked)}
    except MemoryError:
        # what is left of it may be broken
        print("out of memory", file=sys.stderr, flush=True)
        return {"error": "reading it takes more memory than it may have"}
    except Exception as error:
        import traceback

        traceback.print_exc()
        return {"error": _words(error)}


def _words(error: Exception) -> str:
    """An exception in one line."""
    said = " ".join(str(error).split())[:300]
    return f"{said} ({type(error).__name__})" if said else type(error).__name__


# --- metadata ----------------------------------------------------------------------------------------------------


def _schema_version(asked: Request) -> str:
    from dandischema.models import get_schema_version

    return str(get_schema_version())


def _asset_metadata(asked: Request) -> dict[str, Any]:
    from dandi.misctypes import Digest

    asset = _asset(asked)
    digests = asked["digests"]
    if _is_nwb(asset) and (reason := _no_hdf5(asked["file"])):
        raise ValueError(reason)
    record = asset.get_metadata(digest=Digest.dandi_etag(digests["dandi:dandi-etag"]), ignore_errors=False)
    metadata: dict[str, Any] = record.model_dump(mode="json", exclude_none=True)
    metadata |= {"path": asked["path"], "schemaKey": "Asset", "digest": metadata.get("digest", {}) | digests}
    return _fitting(metadata, asked["schema"])


def _fitting(metadata: dict[str, Any], wanted: str) -> dict[str, Any]:
    """A record at a version of the schema that an archive of version ``wanted`` takes."""
    from dandischema.consts import ALLOWED_TARGET_SCHEMAS
    from dandischema.metadata import migrate
    from packaging.version import Version

    have = metadata["schemaVersion"]
    if not wanted or Version(wanted) >= Version(have):
        return metadata
    if wanted in ALLOWED_TARGET_SCHEMAS:
        return dict(migrate(metadata, to_version=wanted, skip_validation=True))
    if Version(wanted).release[:2] == Version(have).release[:2]:
        return metadata
    raise ValueError(f"the archive's schema is {wanted}, and dandi here writes {have}; install an older dandi")


def _asset(asked: Request) -> Any:
    """The file as dandi sees it, with the BIDS dataset that it is in."""
    from dandi.files import dandi_file

    file, root = Path(asked["file"]), Path(asked["root"])
    if not file.is_relative_to(root):
        found = dandi_file(file)
        found.path = asked["path"]
        return found
    return dandi_file(file, root, bids_dataset_description=_bids(file, root))


_DATASETS: dict[Path, Any] = {}
"""BIDS datasets, each read once."""


def _bids(file: Path, root: Path) -> Any:
    """The description of the outermost BIDS dataset that a file is in; None for itself, and for none."""
    from dandi.files import dandi_file

    folders = [folder for folder in file.parents if folder.is_relative_to(root)]
    for folder in reversed(folders):
        description = folder / "dataset_description.json"
        if os.path.lexists(description):
            if description == file:
                return None
            if folder not in _DATASETS:
                _DATASETS[folder] = dandi_file(description, root)
            return _DATASETS[folder]
    return None


# --- names -------------------------------------------------------------------------------------------------------


def _nwb_facts(asked: Request) -> dict[str, Any]:
    from dandi.metadata.nwb import get_metadata
    from dandi.pynwb_utils import get_object_id

    if reason := _no_hdf5(asked["file"]):
        raise ValueError(reason)
    metadata = get_metadata(asked["file"]) or {}
    facts = {name: _plain(metadata.get(name)) for name in _NAMING}
    media = [
        {
            "id": str(one["id"]),
            "field": one.get("field", "external_file"),
            "files": [str(file) for file in one["external_files"]],
        }
        for one in metadata.get("external_file_objects", [])
    ]
    try:
        object_id = str(get_object_id(asked["file"]))
    except KeyError:
        object_id = ""
    return facts | {"path": asked["file"], "object_id": object_id, "media": [one for one in media if one["files"]]}


def _plain(value: Any) -> Any:
    """A value as JSON has it; text, or lists of text."""
    if value is None:
        return None
    if isinstance(value, list | tuple | set):
        return [str(one)[:_LONGEST] for one in list(value)[:_LONGEST]]
    if isinstance(value, bytes):
        return value.decode(errors="replace")[:_LONGEST]
    return (value.isoformat() if hasattr(value, "isoformat") else str(value))[:_LONGEST]


def _nwb_names(asked: Request) -> dict[str, str]:
    from dandi.organize import create_unique_filenames_from_metadata

    rows = [{name: value for name, value in facts.items() if name != "media"} for facts in asked["facts"]]
    named = create_unique_filenames_from_metadata(rows, required_fields=asked["required"] or None)
    return {row["path"]: row["dandi_path"] for row in named}


def _rewrite_media(asked: Request) -> None:
    from dandi.metadata.nwb import get_metadata
    from dandi.pynwb_utils import rename_nwb_external_files

    file, media = asked["file"], asked["media"]
    objects = [
        {
            "id": one["id"],
            "field": one["field"],
            "external_files": one["files"],
            "external_files_renamed": one["renamed"],
        }
        for one in media
    ]
    folder, name = os.path.split(file)
    rename_nwb_external_files([{"path": file, "dandi_path": name, "external_file_objects": objects}], folder)
    found = (get_metadata(file) or {}).get("external_file_objects", [])
    written = {str(one["id"]): [str(path) for path in one["external_files"]] for one in found}
    if any(written.get(one["id"]) != one["renamed"] for one in media):
        raise ValueError("the names of its media files could not be changed in it")


# --- findings ----------------------------------------------------------------------------------------------------


def _findings(asked: Request) -> list[dict[str, Any]]:
    from dandi.files import BIDSAsset, GenericAsset, LocalAsset, NWBAsset
    from dandi.validate import _types as types

    asset, present = _asset(asked), asked["present"]
    if type(asset) is GenericAsset:
        return [_finding_of("WARNING", UNKNOWN_FILE, "DANDI knows no such kind of file", asked["path"])]
    first = []
    if present and isinstance(asset, NWBAsset) and (reason := _no_hdf5(asked["file"])):
        # each of dandi's validators would say the same in words of its own
        first, present = [_finding_of("ERROR", UNREADABLE, reason, asked["path"])], False
    missing = None if present else types.MissingFileContent.only_non_data
    if isinstance(asset, BIDSAsset):
        # what its dataset has to say of it is said with the dataset's description
        results = NWBAsset.get_validation_errors(asset, missing_file_content=missing) if _is_nwb(asset) else []
    else:
        results = list(asset.get_validation_errors(missing_file_content=missing))
    if present and isinstance(asset, NWBAsset):
        # dandi looks either at the file or at what the archive would be told of it
        results += LocalAsset.get_validation_errors(asset)
    return first + [_finding(result, Path(asked["root"]), asked["path"]) for result in results[:_MOST]]


def _is_nwb(asset: Any) -> bool:
    from dandi.files import NWBAsset

    return isinstance(asset, NWBAsset)


def _no_hdf5(file: str) -> str:
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
        return f"it is no whole HDF5 file: {_words(error)}"
    return f"it refers to another file, which does not go with it: {' '.join(outside)[:_LONGEST]}" if outside else ""


def _finding(result: Any, root: Path, path: str) -> dict[str, Any]:
    where = result.path
    if where is not None and Path(where).is_relative_to(root):
        path = Path(where).relative_to(root).as_posix()
    severity = result.severity.name if result.severity is not None else "INFO"
    within = "; ".join((result.within_asset_paths or {}).values())
    standard = result.origin.standard.value if result.origin.standard else ""
    found = _finding_of(severity, result.id, result.message or "", path)
    return found | {"within": within[:_LONGEST], "validator": result.origin.validator.value, "standard": standard}


def _finding_of(severity: str, name: str, message: str, path: str) -> dict[str, Any]:
    said = " ".join(message.split())[:_LONGEST]
    return {"severity": severity, "id": name[:_LONGEST], "message": said, "path": path, "within": "",
            "validator": "dandi", "standard": "DANDI-LAYOUT"}  # fmt: skip


_ANSWERS: Mapping[str, Callable[[Request], Any]] = {
    "schema_version": _schema_version,
    "asset_metadata": _asset_metadata,
    "nwb_facts": _nwb_facts,
    "nwb_names": _nwb_names,
    "rewrite_media": _rewrite_media,
    "findings": _findings,
}


def _run() -> NoReturn:
    main()
    # no library may have a word in how this ends
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    _run()
