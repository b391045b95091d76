"""Read what an NWB-Zarr folder says about itself that its name is made of.  Runs in the worker only.

Only attributes, and texts of one value, are read, in formats 2 and 3; no library of NWB is needed.  A text of format 2
may be pickled, as hdmf-zarr does it: of a pickle only plain arrays of plain values are believed.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LARGEST = 64 << 20
"""Bytes of a file of metadata or of a text."""
DEEPEST = 100
"""Groups in groups."""
MOST = 1_000_000
"""Groups and arrays."""
NO_NWB = "it is a Zarr without the metadata of NWB, and names are made of these; put it at its path yourself"
_OF_SUBJECT = "general/subject"
_EXTENSION = "DandiIcephysMetadata"
_OF_EXTENSION = ("tissue_sample_id", "slice_id", "cell_id")
_ROOT = "NWBFile"
_LINKS = ("zarr_link", "_LINKS")
"""The attributes in which hdmf-zarr keeps links."""
_OWN_STORE = (None, "", ".", "..")
"""How the source of a link names the Zarr that the link is in."""


@dataclass(frozen=True, slots=True)
class Node:
    """A group or an array of a Zarr."""

    folder: Path
    place: str
    """Its path in the Zarr; empty at the top."""
    attributes: Mapping[str, Any]
    array: Mapping[str, Any] | None
    """The metadata of an array; None for a group."""
    version: int

    @property
    def type(self) -> str:
        """Of NWB; empty if it has none."""
        return str(self.attributes.get("neurodata_type", ""))


def is_nwb_zarr(folder: str) -> bool:
    """Whether a folder is a Zarr with the metadata of NWB."""
    top = _node(Path(folder), "")
    return top is not None and top.array is None and _is_nwb(top)


def nwb_zarr_facts(folder: str) -> dict[str, Any]:
    """As of an NWB file: see :meth:`dandi_mirror.upload.read.worker.Worker.nwb_facts`.

    In place of ``media`` there is ``media_files``: the names of media files on this machine that it refers to.

    Raises:
        ValueError: it is no NWB-Zarr, is damaged, or has a link to another file.
    """
    nodes: dict[str, Node] = {}
    for node in _walk(Path(folder)):
        nodes[node.place] = node
        if not node.place and not _is_nwb(node):
            raise ValueError(NO_NWB)
        _check_links(node)
    if not nodes:
        raise ValueError(NO_NWB)
    found = {
        "subject_id": _field(nodes, _OF_SUBJECT, "subject_id"),
        "session_id": _field(nodes, "general", "session_id"),
        "session_start_time": _field(nodes, "", "session_start_time"),
    }
    for node in nodes.values():
        if node.type == _EXTENSION:
            found |= {name: _field(nodes, node.place, name) for name in _OF_EXTENSION}
    types = Counter(node.type for node in nodes.values() if node.array is None) - Counter({"": MOST, _ROOT: MOST})
    return found | {
        "object_id": str(nodes[""].attributes.get("object_id", "")),
        "nd_types": [f"{name} ({count})" if count > 1 else name for name, count in sorted(types.items())],
        "probe_ids": _probes(nodes) or None,
        "media_files": [
            name for node in nodes.values() if _is_media(node) for name in _texts(node) if "://" not in name
        ],
    }


def is_text_of_3(folder: Path) -> bool:
    """Whether a folder is an array of texts in format 3 that zarr opens."""
    node = _node(folder, "")
    if node is None or node.array is None or node.version != 3 or node.array.get("data_type") != "string":
        return False
    try:
        _open(node)
    except Exception:
        return False
    return True


def has_texts_of_2(folder: Path) -> bool:
    """Whether a folder is a Zarr of format 2 with texts, and all metadata in it can be read."""
    try:
        nodes = list(_walk(folder))
    except (OSError, ValueError):
        return False
    return any(node.version == 2 and node.array is not None and node.array.get("dtype") == "|O" for node in nodes)


def _is_nwb(top: Node) -> bool:
    return top.type == _ROOT or "nwb_version" in top.attributes


def _probes(nodes: Mapping[str, Node]) -> list[str]:
    """The ids of the probes among the devices."""
    devices = (node for place, node in sorted(nodes.items()) if place.rpartition("/")[0] == "general/devices")
    return [str(node.attributes["probe_id"]) for node in devices if "probe_id" in node.attributes]


def _check_links(node: Node) -> None:
    """Refuse a link to another file, which would not go with the Zarr."""
    links = [link for name in _LINKS if isinstance(some := node.attributes.get(name), list) for link in some]
    for link in links:
        source = link.get("source") if isinstance(link, dict) else None
        if source not in _OWN_STORE:
            raise ValueError(f"{node.place or '/'} has a link to another file, which does not go with it: {source}")


def _is_media(node: Node) -> bool:
    """Whether it is the names of the media files of an ImageSeries."""
    return node.array is not None and node.place.rpartition("/")[2] == "external_file"


# --- the folder ------------------------------------------------------------------------------------------------------


def _walk(top: Path) -> Iterator[Node]:
    """The groups and arrays of a Zarr; what is in an array is not looked at."""
    waiting, count = [("", 0)], 0
    while waiting:
        place, depth = waiting.pop()
        node = _node(top / place, place)
        count += 1
        if depth > DEEPEST or count > MOST:
            raise ValueError(f"its groups are nested more than {DEEPEST} deep, or are more than {MOST:,}")
        if node is None:
            continue
        yield node
        if node.array is None:
            with os.scandir(node.folder) as members:
                names = [one.name for one in members if one.is_dir(follow_symlinks=False)]
            waiting += [(f"{place}/{name}" if place else name, depth + 1) for name in names]


def _node(folder: Path, place: str) -> Node | None:
    """What is in a folder of a Zarr; None if that is neither a group nor an array."""
    if (third := _json(folder / "zarr.json")) is not None:
        attributes = third.get("attributes")
        is_array = third.get("node_type") == "array"
        return Node(folder, place, attributes if isinstance(attributes, dict) else {}, third if is_array else None, 3)
    array = _json(folder / ".zarray")
    if array is None and _json(folder / ".zgroup") is None:
        return None
    return Node(folder, place, _json(folder / ".zattrs") or {}, array, 2)


def _json(file: Path) -> dict[str, Any] | None:
    content = _read(file)
    if content is None:
        return None
    found = json.loads(content)
    if not isinstance(found, dict):
        raise ValueError(f"{file.name} of it is no object of JSON")
    return found


def _read(file: Path) -> bytes | None:
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError):
        return None
    with os.fdopen(descriptor, "rb") as opened:
        content = opened.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise ValueError(f"{file.name} of it has more than {LARGEST >> 20} MiB")
    return content


# --- texts -----------------------------------------------------------------------------------------------------------


def _field(nodes: Mapping[str, Node], group: str, name: str) -> str | None:
    """A field of NWB that is text: an array of one value, or an attribute; None if it is not there."""
    place = f"{group}/{name}" if group else name
    if place in nodes:
        node = nodes[place]
        values = _values(node)
        if values and isinstance(values[0], int | float):
            raise ValueError(
                f"{place} is a number ({values[0]}), and NWB has text there; write it again with text: "
                f"{name}='{values[0]}'"
            )
        return _text(values[0]) if values else None
    value = nodes[group].attributes.get(name) if group in nodes else None
    return None if value is None else _text(value)


def _texts(node: Node) -> list[str]:
    return [_text(value) for value in _values(node)]


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _values(node: Node) -> list[Any]:
    """The values of a small array, as plain values of Python."""
    assert node.array is not None
    shape = node.array.get("shape")
    if not isinstance(shape, list) or not all(isinstance(side, int) for side in shape):
        raise ValueError(f"{node.place} of it has no shape")
    if len(shape) > 1 or any(side > MOST for side in shape):
        raise ValueError(f"{node.place} of it should be one text, and is an array of the shape {shape}")
    if 0 in shape:
        return []
    values = _values_of_2(node, shape) if node.version == 2 else _values_of_3(node)
    return [_plain(value) for value in values]


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value


def _values_of_3(node: Node) -> list[Any]:
    import numpy as np

    return list(np.asarray(_open(node)[...], dtype=object).reshape(-1))


def _open(node: Node) -> Any:
    import zarr

    try:
        return zarr.open_array(str(node.folder), mode="r")
    except Exception as error:
        if not zarr.__version__.startswith("2."):
            raise
        raise ValueError("it is a Zarr of format 3, which zarr 2 does not read; type: pip install -U zarr") from error


def _values_of_2(node: Node, shape: list[int]) -> list[Any]:
    array = node.array or {}
    length = shape[0] if shape else 1
    chunks = array.get("chunks")
    step = chunks[0] if shape and isinstance(chunks, list) and chunks and isinstance(chunks[0], int) else length
    found: list[Any] = []
    for number in range(-(-length // max(step, 1))):
        found += _chunk_of_2(node, array, number, step)
    return found[:length]


def _chunk_of_2(node: Node, array: Mapping[str, Any], number: int, length: int) -> list[Any]:
    import numpy as np

    data: Any = _read(node.folder / str(number))
    if data is None:
        return [array.get("fill_value")] * length
    for codec in [array.get("compressor"), *reversed(array.get("filters") or [])]:
        if codec:
            data = _decoded(codec, data)
    if isinstance(data, np.ndarray) and data.dtype.hasobject:
        return list(data.reshape(-1))
    kind = np.dtype(array.get("dtype"))
    if kind.hasobject:
        raise ValueError(f"{node.place} of it has no codec that says what its values are")
    return list(np.frombuffer(data, kind))


def _decoded(codec: Mapping[str, Any], data: Any) -> Any:
    import numcodecs

    from dandi_mirror.upload.read.plain_pickle import load

    if codec.get("id") == "pickle":
        return load(bytes(data))
    return numcodecs.get_codec(dict(codec)).decode(data)
