"""Previews of NWB files: made once for each content, in the worker that reads hostile files, and kept by its digest.

What the worker tells comes from the file, so it is read here against a strict form; pages get numbers and text alone.
"""

from __future__ import annotations

import base64
import stat
import struct
import zlib
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from math import isfinite
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Annotated, Self

import msgspec
import orjson

from dandi_mirror.catalogue.scripts import data_script
from dandi_mirror.errors import DiskError
from dandi_mirror.files.own import OwnPath
from dandi_mirror.repo.annex.repository import copies
from dandi_mirror.upload.read.worker import FileError, Limits, Worker

VERSION = 1
"""Of what a preview holds; with another one, all are made again."""
FOLDER = "previews"
"""The folder in a mirror's ``.dandi-mirror``."""
LIMITS = Limits(seconds=60.0, memory=2 << 30)
"""What one file may take."""
LARGEST = 400_000
"""Bytes of a preview."""
UNREADABLE = "There is no preview of this file"
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


class Preview(msgspec.Struct, frozen=True):
    """What a page shows of the inside of a file."""

    tree: Annotated[list[Node], msgspec.Meta(max_length=500)] = []
    facts: Annotated[
        list[Annotated[list[Text], msgspec.Meta(min_length=2, max_length=2)]], msgspec.Meta(max_length=50)
    ] = []
    plots: Annotated[list[Traces | Positions | Raster | Image], msgspec.Meta(max_length=12)] = []
    error: Text = ""


def script_name(digest: str) -> str:
    """The file name of the script with the preview of a content."""
    return f"preview-{VERSION}-{digest[:32]}.js"


def is_previewed(path: str) -> bool:
    """Whether files of this name have previews."""
    return path.endswith(".nwb")


class Previews:
    """The previews of a mirror's files; the worker is started for the first that has none yet."""

    def __init__(self, folder: OwnPath, jobs: int = 1) -> None:
        """``folder``: where previews are kept."""
        self._folder, self._jobs = folder / str(VERSION), jobs
        self._open = ExitStack()
        self._worker: Worker | None = None
        self._starting = Lock()
        self._stopped = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the worker."""
        self._open.close()
        self._worker = None

    def stop(self) -> None:
        """End what is being read now, and refuse to read more; from any thread."""
        self._stopped = True
        if self._worker:
            self._worker.stop()

    def script(self, digest: str, file: Path) -> bytes:
        """The script with the preview of a file, which has this SHA-256.

        Raises:
            DiskError: it cannot be kept.
            FileError: reading was stopped.
        """
        preview = self._kept(digest) or self._made(digest, file)
        return data_script(script_name(digest).removesuffix(".js"), page_value(preview))

    def _kept(self, digest: str) -> Preview | None:
        with suppress(OSError, msgspec.DecodeError):
            return checked(self._place(digest).read())
        return None

    def _made(self, digest: str, file: Path) -> Preview:
        try:
            preview = checked(orjson.dumps(self._started().preview(file)))
        except FileError as error:
            if self._stopped:
                raise  # it says nothing about the file
            preview = Preview(error=f"{UNREADABLE}: {error}"[:1000])
        except (msgspec.DecodeError, TypeError, orjson.JSONEncodeError):
            preview = Preview(error=f"{UNREADABLE}: what it says about itself is not in the form of a preview")
        place = self._place(digest)
        try:
            place.replace(msgspec.json.encode(preview), to_disk=False)
        except OSError as error:
            raise DiskError.of(place, error) from error
        return preview

    def _started(self) -> Worker:
        with self._starting:
            if self._stopped:
                raise FileError("the run was ended")
            self._worker = self._worker or self._open.enter_context(Worker(self._jobs, LIMITS))
            return self._worker

    def _place(self, digest: str) -> OwnPath:
        return self._folder / digest[:2] / f"{digest}.json"


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


def content_file(git_dir: Path, key: str) -> Path | None:
    """The file with the content of a key in git-annex's store, which is no link; None if there is none."""
    for place in copies(git_dir / "annex" / "objects", key):
        with suppress(OSError):
            if stat.S_ISREG(place.lstat().st_mode):
                return place
    return None
