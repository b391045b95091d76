"""A picture of one plane of an array in a Zarr, by the zarr library.  Runs in the worker only.

The chunks that the plane needs come from the parent first.  If one that the Zarr lists does not come, there is no
picture: the library would show the fill value in its place.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from itertools import product
from typing import Any

from dandi_mirror.upload.read.asking import Ask
from dandi_mirror.upload.read.preview_plots import LARGEST_CHUNK, PIXELS, Plot, grey

MOST_PIXELS = 1 << 24
"""Of the plane."""
MOST_CHUNKS = 400
_SECOND = {"blosc", "zstd", "gzip", "zlib", "lz4", "bz2", "lzma", "shuffle", "delta"}
_THIRD = {"bytes", "blosc", "zstd", "gzip", "transpose", "sharding_indexed", "crc32c"}
"""Codecs that do nothing but decode; others of the library run programs that are in the data."""
_SECOND_TYPE = re.compile(r"[<>|][iuf][1248]")
_THIRD_TYPE = re.compile(r"u?int(?:8|16|32|64)|float(?:16|32|64)")
_DEEPEST = 3


class NoPicture(Exception):
    """Why there is no picture."""


def thumbnail(path: str, about: Mapping[str, Any], listed: int, ask: Ask) -> Plot:
    """The picture of an array at a path: of the first image, of a stack the middle one.

    ``about`` is the array's metadata, ``listed`` how many chunks the Zarr's state has of it.

    Raises:
        NoPicture: there is none.
    """
    import numpy as np
    import zarr

    name, metadata, shape, chunks, key = _described(about)
    plane = [0] * (len(shape) - 2)
    if len(plane) and shape[-3] > 1:
        plane[-1] = shape[-3] // 2 if len(plane) > 1 or shape[-3] > 4 else 0
    places = [[at // side] for at, side in zip(plane, chunks, strict=False)]
    places += [list(range(-(-shape[axis] // chunks[axis]))) for axis in (-2, -1)]
    wanted = [key(place) for place in product(*places)]
    stored = {name: json.dumps(metadata).encode()}
    absent = _fetch(path.strip("/"), wanted, ask, stored)
    memory = zarr.storage.MemoryStore({each: _buffer(content) for each, content in stored.items()})
    array = zarr.open_array(store=memory, mode="r")
    step = max(1, -(-max(shape[-2:]) // PIXELS))
    picture = np.asarray(array[(*plane, slice(None), slice(None))])[::step, ::step].astype("float64")
    title = f"{path}, {' × '.join(map(str, shape))}"
    if absent:
        title += f"; {absent} of the {len(wanted)} chunks shown are not in the Zarr and have its fill value"
    if absent == len(wanted) or not (made := grey(picture, title)):
        raise NoPicture("the smallest level has no values" if listed == 0 else "the plane in the middle has no values")
    return made


def _buffer(content: bytes) -> Any:
    from zarr.core.buffer.cpu import Buffer

    return Buffer.from_bytes(content)


def _fetch(path: str, wanted: list[str], ask: Ask, stored: dict[str, bytes]) -> int:
    """Add the contents of chunks; how many the Zarr does not have."""
    absent = 0
    for place, each in enumerate(wanted):
        told, content = ask({"entry": f"{path}/{each}" if path else each, "more": len(wanted) - place})
        if not told["listed"]:
            absent += 1
        elif not told["given"]:
            raise NoPicture(told["why"])
        else:
            stored[each] = content
    return absent


def _described(about: Mapping[str, Any]) -> tuple[str, dict[str, Any], list[int], list[int], Any]:
    """Of an array that may be read: name and content of its metadata, shape, shape of chunks, and a chunk's key."""
    second = about.get("second")
    metadata = dict(second if isinstance(second, dict) else about)
    shape = metadata.get("shape")
    if second:
        chunks, separator = metadata.get("chunks"), metadata.get("dimension_separator", ".")
        codecs = [metadata.get("compressor"), *(metadata.get("filters") or [])]
        good = all(one is None or one.get("id") in _SECOND for one in codecs)
        good = good and bool(_SECOND_TYPE.fullmatch(str(metadata.get("dtype"))))
        size = int(str(metadata.get("dtype"))[-1]) if good else 0
        form = "{}"
    else:
        chunks = metadata["chunk_grid"]["configuration"]["chunk_shape"]
        encoding = metadata["chunk_key_encoding"]
        is_default = encoding["name"] == "default"
        separator = encoding.get("configuration", {}).get("separator", "/" if is_default else ".")
        form = f"c{separator}{{}}" if is_default else "{}"
        good = metadata["chunk_grid"]["name"] == "regular" and encoding["name"] in {"default", "v2"}
        good = good and _known(metadata["codecs"]) and not metadata.get("storage_transformers")
        good = good and bool(_THIRD_TYPE.fullmatch(str(metadata.get("data_type"))))
        size = 8
    if not good or separator not in {".", "/"}:
        raise NoPicture("the smallest level is stored in a way that is not read here")
    return _sized(metadata, shape, chunks, size, (".zarray" if second else "zarr.json", form, separator))


def _sized(
    metadata: dict[str, Any], shape: Any, chunks: Any, size: int, named: tuple[str, str, str]
) -> tuple[str, dict[str, Any], list[int], list[int], Any]:
    """The same, if its plane and its chunks are small enough."""
    sides = [*shape, *chunks]
    if len(shape) < 2 or len(shape) != len(chunks) or not all(type(side) is int and side > 0 for side in sides):
        raise NoPicture("the smallest level is no image")
    held = size
    for side in chunks:
        held *= side
    grid = -(-shape[-2] // chunks[-2]) * -(-shape[-1] // chunks[-1])
    if shape[-2] * shape[-1] > MOST_PIXELS or held > LARGEST_CHUNK or grid > MOST_CHUNKS:
        raise NoPicture(f"the smallest level is too large: {' × '.join(map(str, shape))}")
    name, form, separator = named
    return name, metadata, shape, chunks, lambda place: form.format(separator.join(map(str, place)))


def _known(codecs: Any, depth: int = 0) -> bool:
    """Whether all codecs of an array of the third format only decode; a shard has codecs of its own."""
    if not isinstance(codecs, list) or depth > _DEEPEST:
        return False
    for one in codecs:
        if not isinstance(one, dict) or one.get("name") not in _THIRD:
            return False
        inner = one.get("configuration") or {}
        if not all(_known(inner[name], depth + 1) for name in ("codecs", "index_codecs") if name in inner):
            return False
    return True
