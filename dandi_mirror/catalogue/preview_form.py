"""The form of a preview: what the worker tells comes from a file, which may be hostile, so it is read strictly."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Sequence
from math import isfinite
from typing import Annotated

import msgspec

VERSION = 2
"""Of what a preview holds; with another one, all are made again."""
LARGEST = 400_000
"""Bytes of a preview."""
Text = Annotated[str, msgspec.Meta(max_length=5000)]
Numbers = Annotated[list[float], msgspec.Meta(max_length=1000)]
Side = Annotated[int, msgspec.Meta(ge=1, le=256)]


class Node(msgspec.Struct, frozen=True):
    """An object in the file."""

    path: Text
    kind: Text
    type: Text
    shape: Text


class Traces(msgspec.Struct, frozen=True, tag="traces", tag_field="kind"):
    """Lines over time: of each the seconds and the values."""

    title: Text
    unit: Text
    lines: Annotated[
        list[Annotated[list[Numbers], msgspec.Meta(min_length=2, max_length=2)]], msgspec.Meta(max_length=8)
    ]
    of: list[int] = []


class Positions(msgspec.Struct, frozen=True, tag="path", tag_field="kind"):
    """A path in the plane."""

    title: Text
    unit: Text
    lines: Annotated[
        list[Annotated[list[Numbers], msgspec.Meta(min_length=2, max_length=2)]], msgspec.Meta(max_length=1)
    ]


class Raster(msgspec.Struct, frozen=True, tag="raster", tag_field="kind"):
    """Spikes of units, in seconds from the first on."""

    title: Text
    seconds: float
    rows: Annotated[list[Numbers], msgspec.Meta(max_length=64)]


class Image(msgspec.Struct, frozen=True, tag="image", tag_field="kind"):
    """An image in shades of grey, one byte for each point."""

    title: Text
    width: Side
    height: Side
    pixels: Annotated[str, msgspec.Meta(max_length=100_000)]


class Level(msgspec.Struct, frozen=True):
    """An array of an image that a Zarr has at several resolutions."""

    path: Text
    shape: Annotated[list[int], msgspec.Meta(max_length=16)]
    chunks: Annotated[list[int], msgspec.Meta(max_length=16)]
    type: Text


class Multiscale(msgspec.Struct, frozen=True):
    """An image of OME-Zarr."""

    path: Text
    name: Text
    axes: Annotated[list[Text], msgspec.Meta(max_length=16)]
    levels: Annotated[list[Level], msgspec.Meta(max_length=32)]
    without: Text = ""
    """Why there is no picture of it."""


class Preview(msgspec.Struct, frozen=True):
    """What a page shows of the inside of a file."""

    tree: Annotated[list[Node], msgspec.Meta(max_length=500)] = []
    facts: Annotated[
        list[Annotated[list[Text], msgspec.Meta(min_length=2, max_length=2)]], msgspec.Meta(max_length=50)
    ] = []
    plots: Annotated[list[Traces | Positions | Raster | Image], msgspec.Meta(max_length=12)] = []
    images: Annotated[list[Multiscale], msgspec.Meta(max_length=8)] = []
    error: Text = ""
    ranges: bool = False
    """Whether parts of the content came from the archive, which need not have been compared with its digest."""
    spent: bool = False
    """Whether more was wanted than may be asked of the archive."""
    grade: int = 2
    """2: of the whole content; 1: of what may be asked of the archive; 0: of what was here, which is not all."""


def checked(content: bytes) -> Preview:
    """A preview in JSON, if it has the form of one.

    Raises:
        msgspec.DecodeError: it has not.
    """
    if len(content) > LARGEST:
        raise msgspec.ValidationError("a preview is larger than one can be")
    preview = msgspec.json.decode(content, type=Preview)
    for plot in preview.plots:
        if isinstance(plot, Image):
            _pixels(plot)
            continue
        rows: Sequence[Sequence[float]]
        rows = plot.rows if isinstance(plot, Raster) else [one for line in plot.lines for one in line]
        if not all(isfinite(value) for row in rows for value in row):
            raise msgspec.ValidationError("a number that is none")
        if not isinstance(plot, Raster) and any(len(line[0]) != len(line[1]) for line in plot.lines):
            raise msgspec.ValidationError("a line of points without places")
    return preview


def page_value(preview: Preview) -> dict[str, object]:
    """What the page gets: as the preview, with images as PNG."""
    value: dict[str, object] = msgspec.to_builtins(preview)
    plots = []
    for plot, found in zip(preview.plots, value["plots"], strict=True):  # type: ignore[call-overload]
        if isinstance(plot, Image):
            found = {**found, "pixels": base64.b64encode(png(plot.width, plot.height, _pixels(plot))).decode()}
        plots.append(found)
    return value | {"plots": plots}


def _pixels(image: Image) -> bytes:
    try:
        found = base64.b64decode(image.pixels, validate=True)
    except ValueError:
        found = b""
    if len(found) != image.width * image.height:
        raise msgspec.ValidationError("an image of another size than it says")
    return found


def png(width: int, height: int, pixels: bytes) -> bytes:
    """A PNG of shades of grey."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        whole = kind + content
        return struct.pack(">I", len(content)) + whole + struct.pack(">I", zlib.crc32(whole))

    rows = b"".join(b"\0" + pixels[start : start + width] for start in range(0, len(pixels), width))
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
