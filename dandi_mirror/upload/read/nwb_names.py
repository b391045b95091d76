"""The names of NWB files, as dandi makes them, and what they are made of.  Runs in the worker only."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dandi_mirror.upload.read.findings import LONGEST, why_not_hdf5
from dandi_mirror.upload.read.nwb_zarr import nwb_zarr_facts

Request = Mapping[str, Any]
NWB_ZARR = ".nwb.zarr"
"""How the name of an NWB-Zarr ends."""
_MEDIA = (
    "it refers to the media file {}, and organize brings media files along only with NWB files of HDF5; refer to it by "
    "a URL, or put both at their paths yourself"
)
_NAMING = (
    "subject_id", "session_id", "session_start_time", "tissue_sample_id", "slice_id", "cell_id", "description",
    "probe_ids", "nd_types",
)  # fmt: skip
_OF_SUBJECT = ("subject_id", "age", "sex", "species", "strain", "genotype", "description")
_TEXTS = (*(f"general/subject/{name}" for name in _OF_SUBJECT), "general/session_id", "identifier")
"""Fields of an NWB file that are text."""


def nwb_facts(asked: Request) -> dict[str, Any]:
    """See :meth:`dandi_mirror.upload.read.worker.Worker.nwb_facts`."""
    if Path(asked["file"]).is_dir():
        facts = nwb_zarr_facts(asked["file"])
        if facts["media_files"]:
            raise ValueError(_MEDIA.format(facts["media_files"][0]))
        named = {name: _plain(facts.get(name)) for name in _NAMING}
        return named | {"path": asked["file"], "object_id": facts["object_id"], "media": [], "zarr": True}
    return _facts_of_file(asked)


def _facts_of_file(asked: Request) -> dict[str, Any]:
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


def nwb_names(asked: Request) -> dict[str, str]:
    """See :meth:`dandi_mirror.upload.read.worker.Worker.nwb_names`."""
    from dandi.organize import create_unique_filenames_from_metadata

    rows = [_row(facts) for facts in asked["facts"]]
    known = {row["path"]: str(facts["object_id"]) for row, facts in zip(rows, asked["facts"], strict=True)}
    with _object_ids(known):
        named = create_unique_filenames_from_metadata(rows, required_fields=asked["required"] or None)
    return dict(_path_and_name(row["path"], row["dandi_path"]) for row in named)


_INSIDE = "/nwb.zarr"
"""What makes dandi see the ending of a Zarr, whatever its folder is called."""


def _row(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Facts as dandi has them."""
    row = {name: value for name, value in facts.items() if name not in {"media", "zarr"}}
    return row | {"path": row["path"] + _INSIDE} if facts.get("zarr") else row


def _path_and_name(path: str, name: str) -> tuple[str, str]:
    if not path.endswith(_INSIDE):
        return path, name
    return path.removesuffix(_INSIDE), name.removesuffix(".zarr") + NWB_ZARR


@contextmanager
def _object_ids(known: Mapping[str, str]) -> Iterator[None]:
    """Let dandi take object ids from facts; it would read the files again, as HDF5."""
    from dandi import pynwb_utils

    def get_object_id(path: str) -> str:
        if not known[path]:
            raise KeyError("object_id")
        return known[path]

    before, pynwb_utils.get_object_id = pynwb_utils.get_object_id, get_object_id
    try:
        yield
    finally:
        pynwb_utils.get_object_id = before


def rewrite_media(asked: Request) -> None:
    """See :meth:`dandi_mirror.upload.read.worker.Worker.rewrite_media`."""
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
