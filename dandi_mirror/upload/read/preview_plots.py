"""Plots of what is in an NWB file, as numbers: traces, a path, spikes, images.  Runs in the worker only."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from dandi_mirror.upload.read.asking import BlockFile
from dandi_mirror.upload.read.findings import short_message

LONGEST = 300
"""Characters of a fact."""
SAMPLES = 2000
"""Of a time series."""
POINTS = 400
"""That are drawn of these: half of them least, half greatest values."""
CHANNELS = 4
SERIES = 4
UNITS = 30
SPIKES = 150
"""Of one unit."""
WINDOW = 10.0
"""Seconds of the raster."""
PIXELS = 128
"""Of the longer side of an image."""
LARGEST_CHUNK = 64 << 20
"""Bytes."""
MOST_READ = 256 << 20
"""Bytes of the chunks that one plot needs."""
DEEPEST_LINK = 8
"""Links that lead to links."""
_FIRST = ("ElectricalSeries", "PatchClampSeries", "VoltageClampSeries", "CurrentClampSeries", "RoiResponseSeries",
          "SpatialSeries", "TimeSeries")  # fmt: skip
_IMAGES = ("TwoPhotonSeries", "OnePhotonSeries", "ImageSeries", "OpticalSeries", "GrayscaleImage", "RGBImage", "Image")
Plot = dict[str, Any]


def member(group: Any, path: str, depth: int = 0) -> Any:
    """What a path leads to within the file, None if nothing: no link to another file, no data that are in one."""
    import h5py

    found = group.file["/"] if path.startswith("/") else group
    for name in filter(None, path.split("/")):
        link = found.get(name, getlink=True) if isinstance(found, h5py.Group) else None
        if isinstance(link, h5py.SoftLink):
            found = member(found, link.path, depth + 1) if depth < DEEPEST_LINK else None
        else:
            found = found[name] if isinstance(link, h5py.HardLink) else None
    if isinstance(found, h5py.Dataset):
        properties = found.id.get_create_plist()
        if properties.get_layout() not in {h5py.h5d.COMPACT, h5py.h5d.CONTIGUOUS, h5py.h5d.CHUNKED}:
            return None  # a virtual one
        return None if properties.get_external_count() else found
    return found


def shown_text(value: Any) -> str:
    """A value as text in one line."""
    value = value.decode(errors="replace") if isinstance(value, bytes) else value
    return " ".join(str(value).encode("utf-8", "replace").decode().split())[:LONGEST]


class _Drawing:
    """A file, and how much of it a plot may read."""

    def __init__(self, file: Any, source: BlockFile | None) -> None:
        self.file = file
        self._source = source

    @property
    def most(self) -> int:
        """Bytes that may be read for one more plot; most of what is left is for other plots."""
        return min(MOST_READ, self._source.left // 4) if self._source else MOST_READ

    def _falls_short(self, enough: object) -> None:
        if self._source and not enough:
            self._source.fall_short()
            self._source.spent = False  # the next plot may need less

    def data(self, group: Any, name: str) -> Any:
        """A dataset of numbers that can be read in part without much memory; None if there is none."""
        import h5py

        found = member(group, name) if isinstance(group, h5py.Group) else None
        if not isinstance(found, h5py.Dataset) or found.dtype.kind not in "iuf" or not found.size:
            return None
        return found if not found.chunks or _chunk_size(found) <= LARGEST_CHUNK else None

    def rows(self, data: Any, most: int = SAMPLES) -> int:
        """How many rows of an array may be read from its start on; 0 if its first chunk is too large already."""
        if not data.chunks:
            row = data.dtype.itemsize
            for side in data.shape[1:]:
                row *= side
            found = min(most, self.most // max(1, row))
            self._falls_short(found)
            return int(found)
        across = -(-min(CHANNELS, data.shape[1]) // data.chunks[1]) if data.ndim == 2 else 1
        found = min(most, data.chunks[0] * (self.most // max(1, self._stored(data) * across)))
        self._falls_short(found)
        return int(found)

    def fits(self, data: Any, rows: int, columns: int) -> bool:
        """Whether an image in an array, whose sides are the last two before a color, may be read."""
        if not self._source:
            return True
        if data.chunks:
            high, wide = data.chunks[-2:] if data.ndim == 2 or data.shape[-2] == rows else data.chunks[-3:-1]
            needed = -(-rows // high) * -(-columns // wide) * self._stored(data)
        else:
            needed = rows * columns * data.dtype.itemsize
        self._falls_short(needed <= self.most)
        return bool(needed <= self.most)

    def _stored(self, data: Any) -> int:
        """The bytes of a chunk, as the first one is stored where that matters."""
        if not self._source:
            return min(_chunk_size(data), MOST_READ)
        # to count the chunks would read all that is known about them
        return max(1, int(data.id.get_chunk_info_by_coord((0,) * data.ndim).size))


_Make = Callable[[_Drawing, Mapping[str, str]], Plot | None]


def _chunk_size(data: Any) -> int:
    size = data.dtype.itemsize
    for side in data.chunks:
        size *= side
    return int(size)


def plots(file: Any, nodes: list[dict[str, Any]], source: BlockFile | None = None) -> Iterator[Plot]:
    """Plots of what can be read; of what cannot, nothing."""
    drawing = _Drawing(file, source)
    groups = [node for node in nodes if node["type"]]
    series = sorted(
        (node for node in groups if node["type"] in _FIRST or node["type"].endswith("Series")),
        key=lambda node: _FIRST.index(node["type"]) if node["type"] in _FIRST else len(_FIRST),
    )
    images = [node for node in groups if node["type"] in _IMAGES]
    made = 0
    for node in series:
        if made < SERIES and node not in images and (plot := _tried(_traces, drawing, node)):
            made += 1
            yield plot
    if plot := _tried(_raster, drawing, {"path": "/units", "type": "Units"}):
        yield plot
    for node in images[:2]:
        if plot := _tried(_image, drawing, node):
            yield plot


def _tried(
    make: Callable[[_Drawing, Mapping[str, str]], Plot | None], drawing: _Drawing, node: Mapping[str, str]
) -> Any:
    try:
        return make(drawing, node)
    except MemoryError:
        raise
    except Exception as error:
        print(f"no plot of {node['path']!a}: {short_message(error)}")
        return None


def _traces(drawing: _Drawing, node: Mapping[str, str]) -> Plot | None:
    import numpy as np

    group = member(drawing.file, node["path"])
    data = drawing.data(group, "data")
    if data is None or data.ndim not in {1, 2} or len(data) < 2:
        return None
    count = drawing.rows(data)
    values = np.asarray(data[:count] if data.ndim == 1 else data[:count, :CHANNELS], dtype="float64")
    columns = values.reshape(len(values), -1).T
    times = _times(drawing, group, len(values))
    title = f"{node['path']} ({node['type']})"[:LONGEST]
    unit = shown_text(data.attrs.get("unit", ""))[:40]
    if node["type"] == "SpatialSeries" and len(columns) >= 2:
        kept = np.isfinite(columns[0]) & np.isfinite(columns[1])
        path = [_rounded(columns[0][kept][:POINTS]), _rounded(columns[1][kept][:POINTS])]
        return {"kind": "path", "title": title, "unit": unit, "lines": [path]} if len(path[0]) > 1 else None
    lines = [line for column in columns if (line := _line(times, column))]
    total = list(data.shape)
    return {"kind": "traces", "title": title, "unit": unit, "lines": lines, "of": total} if lines else None


def _times(drawing: _Drawing, group: Any, count: int) -> Any:
    """The seconds of the first samples; their numbers, if the file does not say."""
    import numpy as np

    stamps = drawing.data(group, "timestamps")
    if stamps is not None and len(stamps) >= count and drawing.rows(stamps):
        return np.asarray(stamps[:count], dtype="float64")
    start = member(group, "starting_time")
    rate = float(start.attrs.get("rate", 0)) if start is not None else 0.0
    return (float(start[()]) + np.arange(count) / rate) if start is not None and rate > 0 else np.arange(count) * 1.0


def _line(times: Any, values: Any) -> list[list[float]] | None:
    """A line of few points that still has every peak."""
    import numpy as np

    kept = np.isfinite(values) & np.isfinite(times)
    times, values = times[kept], values[kept]
    if len(values) < 2:
        return None
    if len(values) > POINTS:
        parts = np.array_split(np.arange(len(values)), POINTS // 2)
        ends = [sorted((part[values[part].argmin()], part[values[part].argmax()])) for part in parts]
        chosen = np.array(ends).ravel()
        times, values = times[chosen], values[chosen]
    return [_rounded(times - times[0]), _rounded(values)]


def _raster(drawing: _Drawing, node: Mapping[str, str]) -> Plot | None:
    """Spikes of the first units, from the first spike on."""
    import numpy as np

    group = member(drawing.file, "units")
    times, ends = drawing.data(group, "spike_times"), drawing.data(group, "spike_times_index")
    if times is None or ends is None or times.ndim != 1 or ends.ndim != 1:
        return None
    stops = [int(stop) for stop in ends[:UNITS]]
    rows, start = [], 0
    reach = drawing.rows(times, len(times))
    for stop in stops:
        if start >= reach:
            break
        if not start <= stop <= len(times):
            return None
        some = np.asarray(times[start : min(stop, start + 20 * SPIKES, reach)], dtype="float64")
        rows.append(some[np.isfinite(some)])
        start = stop
    first = min((float(row.min()) for row in rows if len(row)), default=None)
    if first is None:
        return None
    spikes = [_rounded(row[(row >= first) & (row <= first + WINDOW)][:SPIKES] - first) for row in rows]
    title = f"/units: {len(spikes)} of {len(ends):,}, from {first:.2f} s on"
    return {"kind": "raster", "title": title, "seconds": WINDOW, "rows": spikes}


def _image(drawing: _Drawing, node: Mapping[str, str]) -> Plot | None:
    """An image, or the middle one of a series, in shades of grey."""
    import h5py
    import numpy as np

    found = member(drawing.file, node["path"])
    data = found if isinstance(found, h5py.Dataset) else drawing.data(found, "data")
    single = isinstance(found, h5py.Dataset)
    if data is None or data.dtype.kind not in "iuf" or not data.size:
        return None
    if data.ndim not in ({2, 3} if single else {3, 4}):
        return None
    rows, columns = data.shape[:2] if single else data.shape[1:3]
    if not drawing.fits(data, rows, columns):
        return None
    step = max(1, -(-max(rows, columns) // PIXELS))
    corner = (slice(None, None, step), slice(None, None, step))
    picture = np.asarray(data[corner] if single else data[len(data) // 2, *corner], dtype="float64")
    picture = picture[..., :3].mean(axis=2) if picture.ndim == 3 else picture
    return grey(picture, f"{node['path']} ({node['type']}), {rows} × {columns}")


def grey(picture: Any, title: str) -> Plot | None:
    """An image of numbers in shades of grey, from the darkest hundredth to the lightest; None if it has no numbers."""
    import numpy as np

    if picture.ndim != 2 or not np.isfinite(picture).any():
        return None
    low, high = np.nanpercentile(picture[np.isfinite(picture)], [1, 99])
    scaled = np.clip((np.nan_to_num(picture) - low) / ((high - low) or 1), 0, 1)
    pixels = base64.b64encode((scaled * 255).astype("uint8").tobytes()).decode()
    sides = {"width": scaled.shape[1], "height": scaled.shape[0]}
    return {"kind": "image", "title": title[:LONGEST], **sides, "pixels": pixels}


def _rounded(values: Any) -> list[float]:
    return [float(f"{value:.5g}") for value in values]
