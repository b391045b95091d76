"""What is in a Zarr: its groups and arrays, the levels of an image, and a small picture of the smallest one.

Runs in the worker only.  ``listed`` has ``metadata``: the paths of its metadata entries, those nearest to the top
first; and ``chunks``: how many chunks the Zarr's state lists for each array.  Contents of entries come from the parent.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from dandi_mirror.upload.read.asking import Ask
from dandi_mirror.upload.read.findings import short_message
from dandi_mirror.upload.read.preview_plots import LONGEST, shown_text
from dandi_mirror.upload.read.thumbnail import NoPicture, thumbnail

MOST_NODES = 400
"""Groups and arrays that the tree names."""
MOST_IMAGES, MOST_LEVELS, MOST_AXES = 4, 20, 10
KEPT_FOR_PICTURE = 8
"""Requests that the structure leaves."""
_METADATA = (".zarray", ".zgroup", ".zattrs", "zarr.json")
Described = dict[str, dict[str, Any]]
"""By path of a group or array: ``zarr.json``, or what the files of the second format say."""


def preview_of_zarr(asked: Mapping[str, Any]) -> dict[str, Any]:
    """See :meth:`dandi_mirror.upload.read.worker.Worker.preview_of_zarr`."""
    listed, ask = asked["listed"], asked["ask"]
    described = _read(listed["metadata"], ask)
    if not described:
        raise ValueError("none of its metadata can be read")
    found: dict[str, Any] = {"tree": list(_nodes(described)), "facts": [], "plots": [], "images": []}
    for path, attributes in _attributes(described):
        for image in _multiscales(path, attributes, described):
            if len(found["images"]) < MOST_IMAGES:
                _draw(image, described, listed["chunks"], ask, found)
    return found


def _draw(image: dict[str, Any], described: Described, chunks: Mapping[str, int], ask: Ask, found: Any) -> None:
    """Add an image with multiple levels, and the picture of its smallest level or why there is none."""
    sized = [level for level in image["levels"] if level["shape"]]
    smallest = min(sized, key=lambda level: _count(level["shape"]), default=None)
    if smallest:
        try:
            path = smallest["path"]
            found["plots"].append(thumbnail(path, described[path.strip("/")], chunks.get(path.strip("/"), 0), ask))
        except NoPicture as error:
            image["without"] = str(error)[:LONGEST]
        except MemoryError:
            raise
        except Exception as error:
            image["without"] = f"the smallest level cannot be read: {short_message(error)}"[:LONGEST]
    found["images"].append(image)


def _count(shape: list[int]) -> int:
    count = 1
    for side in shape:
        count *= side
    return count


# --- metadata --------------------------------------------------------------------------------------------------------


def _read(paths: list[str], ask: Ask) -> Described:
    """What the metadata say; from one entry if it has all."""
    for whole in ("zarr.json", ".zmetadata"):
        if whole in paths and (content := _json(whole, ask)):
            inner = content.get("consolidated_metadata") if whole == "zarr.json" else content
            metadata = inner.get("metadata") if isinstance(inner, dict) else None
            if isinstance(metadata, dict):
                members = {path: value for path, value in metadata.items() if isinstance(value, dict)}
                if whole == ".zmetadata":
                    return _second_format(members)
                return {"": content} | {path.strip("/"): value for path, value in list(members.items())[:MOST_NODES]}
    found = {}
    groups = [path for path in paths if _is(path, ".zgroup")]  # they say nothing
    for path in paths:
        if path in groups:
            continue
        told, content = _asked(path, ask, KEPT_FOR_PICTURE)
        if content is not None:
            found[path] = content
        if told["requests"] <= KEPT_FOR_PICTURE:
            break
    if not found and len(groups) < len(paths):
        return {}
    found |= {path: dict[str, Any]() for path in groups}
    third = {path[: -len("zarr.json")].strip("/"): value for path, value in found.items() if _is(path, "zarr.json")}
    return third or _second_format(found)


def _second_format(members: Mapping[str, dict[str, Any]]) -> Described:
    found: Described = {}
    for path, value in members.items():
        folder, _, name = path.rpartition("/")
        if name in _METADATA and (len(found) < MOST_NODES or folder in found):
            place = found.setdefault(folder, {"node_type": "group", "attributes": {}})
            if name == ".zattrs":
                place["attributes"] = value
            elif name == ".zarray":
                place |= {"node_type": "array", "second": value}
    return found


def _is(path: str, name: str) -> bool:
    return path == name or path.endswith(f"/{name}")


def _json(path: str, ask: Ask) -> dict[str, Any] | None:
    return _asked(path, ask)[1]


def _asked(path: str, ask: Ask, kept: int = 0) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """The JSON object in an entry; None if it has none, or if it may not be read."""
    told, content = ask({"entry": path, "kept": kept})
    try:
        found = json.loads(content) if content else None
    except (ValueError, RecursionError):
        found = None
    return told, found if isinstance(found, dict) else None


def _attributes(described: Described) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, about in described.items():
        attributes = about.get("attributes")
        if isinstance(attributes, dict):
            yield path, attributes


# --- what a page shows -----------------------------------------------------------------------------------------------


def _nodes(described: Described) -> Iterator[dict[str, Any]]:
    """The groups and arrays: path, kind, type, shape; each below its group."""
    attributes = dict(_attributes(described))
    for path in sorted(described, key=lambda path: (path.count("/"), path)):
        if path and len(path) <= LONGEST:
            shape, chunks, kind = _array(described[path])
            is_array = described[path].get("node_type") == "array"
            told = f"{' × '.join(map(str, shape)) or 'a number'} {kind}, in chunks of {' × '.join(map(str, chunks))}"
            yield {
                "path": f"/{shown_text(path)}",
                "kind": "dataset" if is_array else "group",
                "type": shown_text(attributes.get(path, {}).get("neurodata_type", "")),
                "shape": told[:LONGEST] if is_array else "",
            }


def _array(about: Mapping[str, Any]) -> tuple[list[int], list[int], str]:
    """The shape, the shape of the chunks, and the type of an array; nothing of what is no array."""
    second = about.get("second")
    if isinstance(second, dict):
        return _sides(second.get("shape")), _sides(second.get("chunks")), shown_text(second.get("dtype", ""))[:40]
    grid = about.get("chunk_grid")
    settings = grid.get("configuration") if isinstance(grid, dict) else None
    chunks = settings.get("chunk_shape") if isinstance(settings, dict) else None
    return _sides(about.get("shape")), _sides(chunks), shown_text(about.get("data_type", ""))[:40]


def _sides(value: Any) -> list[int]:
    good = isinstance(value, list) and len(value) <= MOST_AXES and all(type(one) is int and one >= 0 for one in value)
    return [min(one, 2**53) for one in value] if good else []


def _multiscales(path: str, attributes: Mapping[str, Any], described: Described) -> Iterator[dict[str, Any]]:
    """The images of a group of OME-Zarr, by either version of its metadata."""
    newer = attributes.get("ome")
    some = (newer if isinstance(newer, dict) else attributes).get("multiscales")
    for one in some if isinstance(some, list) else []:
        datasets = one.get("datasets") if isinstance(one, dict) else None
        if not isinstance(datasets, list):
            continue
        levels = []
        for each in datasets[:MOST_LEVELS]:
            place = "/".join(
                filter(None, (path, str(each.get("path", "")).strip("/") if isinstance(each, dict) else ""))
            )
            shape, chunks, kind = _array(described.get(place, {}))
            levels.append({"path": f"/{place}"[:LONGEST], "shape": shape, "chunks": chunks, "type": kind})
        name = shown_text(one.get("name") or "")
        about = {"path": f"/{shown_text(path)}", "name": name, "axes": _axes(one.get("axes"))}
        yield about | {"levels": levels, "without": ""}


def _axes(value: Any) -> list[str]:
    """The names of the axes, with their units."""
    some = value[:MOST_AXES] if isinstance(value, list) else []
    pairs = [(one.get("name", ""), one.get("unit") or "") if isinstance(one, dict) else (one, "") for one in some]
    return [shown_text(" in ".join(filter(None, map(str, pair))))[:60] for pair in pairs]
