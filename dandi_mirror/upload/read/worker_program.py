"""The program of the worker: the only place that imports dandi.

Its arguments are the limits, as JSON, and a folder that was made for it, which it removes at its end.
Requests come as JSON Lines on standard input, answers go as JSON Lines to what was standard output.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from dandi_mirror.upload.read.findings import LONGEST, findings, is_nwb, short_message, why_not_hdf5
from dandi_mirror.upload.read.preview import preview_file

Request = Mapping[str, Any]


_GRACE = 10.0
"""Seconds after which it ends by itself, if nobody has ended it."""
_NETWORK = ("socket.connect", "socket.getaddrinfo", "socket.sendto", "socket.bind")
_NAMING = (
    "subject_id", "session_id", "session_start_time", "tissue_sample_id", "slice_id", "cell_id", "description",
    "probe_ids", "nd_types",
)  # fmt: skip


def main() -> bool:
    """Answer until standard input ends, or something else does; whether it was the input."""
    limits = json.loads(sys.argv[1])
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    _limit(limits)
    try:
        import dandi.files
        import dandi.metadata.nwb

        # dandi reads what an NWB file says, and what its BIDS dataset says about it, in turn (NWBBIDSAsset);
        # but its reader of NWB would ask for the dataset by itself, which asks that reader again, and so on
        dandi.metadata.nwb.find_bids_dataset_description = lambda *_: None
    except Exception as error:
        _say(answers, {"error": short_message(error)})
        return False
    _say(answers, {"value": "ready"})
    for line in sys.stdin.buffer:
        asked = json.loads(line)
        _allow_writing(None if asked["writes"] else limits["written"])
        # whoever asked may be gone; Python itself may be held up in a library
        signal.setitimer(signal.ITIMER_REAL, limits["seconds"] + _GRACE)
        answer = _answered(asked)
        signal.setitimer(signal.ITIMER_REAL, 0)
        _say(answers, answer)
        if answer.get("ends"):
            return False
    return True


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
        return {"error": "reading it takes more memory than it may have", "ends": True}
    except Exception as error:
        import traceback

        traceback.print_exc()
        return {"error": short_message(error)}


# --- metadata ----------------------------------------------------------------------------------------------------


def _schema_version(asked: Request) -> str:
    from dandischema.models import get_schema_version

    return str(get_schema_version())


def _asset_metadata(asked: Request) -> dict[str, Any]:
    from dandi.misctypes import Digest

    asset = _asset(asked)
    digests = asked["digests"]
    etag = digests.get("dandi:dandi-etag")  # a Zarr has none
    if is_nwb(asset) and (reason := why_not_hdf5(asked["file"])):
        raise ValueError(reason)
    record = asset.get_metadata(digest=Digest.dandi_etag(etag) if etag else None, ignore_errors=False)
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


_OF_SUBJECT = ("subject_id", "age", "sex", "species", "strain", "genotype", "description")
_TEXTS = (*(f"general/subject/{name}" for name in _OF_SUBJECT), "general/session_id", "identifier")
"""Fields of an NWB file that are text."""


def _nwb_facts(asked: Request) -> dict[str, Any]:
    from dandi.metadata.nwb import get_metadata
    from dandi.pynwb_utils import get_object_id

    if reason := why_not_hdf5(asked["file"]) or _numbers(asked["file"]):
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


def _numbers(file: str) -> str:
    """Say which fields have a number where NWB has text, which pynwb does not read; empty if none has."""
    import h5py

    with h5py.File(file, "r", locking=False) as opened:
        there = {field: opened.get(field) for field in _TEXTS}
        found = {
            field: str(value[()]) for field, value in there.items()
            if isinstance(value, h5py.Dataset) and value.shape == () and value.dtype.kind in "iuf"
        }  # fmt: skip
    if not found:
        return ""
    what = ", ".join(f"{field} is a number ({value})" for field, value in found.items())
    field, value = next(iter(found.items()))
    return f"{what}, and NWB has text there; write the file again with text: {field.rpartition('/')[2]}='{value}'"


def _plain(value: Any) -> Any:
    """A value as JSON has it; text, or lists of text."""
    if value is None:
        return None
    if isinstance(value, list | tuple | set):
        return [str(one)[:LONGEST] for one in list(value)[:LONGEST]]
    if isinstance(value, bytes):
        return value.decode(errors="replace")[:LONGEST]
    return (value.isoformat() if hasattr(value, "isoformat") else str(value))[:LONGEST]


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


_ANSWERS: Mapping[str, Callable[[Request], Any]] = {
    "schema_version": _schema_version,
    "asset_metadata": _asset_metadata,
    "nwb_facts": _nwb_facts,
    "nwb_names": _nwb_names,
    "rewrite_media": _rewrite_media,
    "findings": lambda asked: findings(_asset(asked), asked),
    "preview": preview_file,
}


def _run() -> NoReturn:
    if main():
        # whoever asked may have been killed, and this folder was made for this process alone
        made = Path(sys.argv[2])
        shutil.rmtree(made, ignore_errors=True)
        with suppress(OSError):
            made.parent.rmdir()
    # no library may have a word in how this ends
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    _run()
