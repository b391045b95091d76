"""What is in an NWB file, in numbers that a page can draw: its structure, what it says about itself, a few plots.

Runs in the worker only.  Nothing is read whole: of each array, a corner; and no chunk that is larger than a limit.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from dandi_mirror.upload.read.findings import short_message, why_not_hdf5

MOST_NODES = 400
"""Objects that the tree names."""
DEEPEST = 12
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
_FIRST = ("ElectricalSeries", "PatchClampSeries", "VoltageClampSeries", "CurrentClampSeries", "RoiResponseSeries",
          "SpatialSeries", "TimeSeries")  # fmt: skip
_IMAGES = ("TwoPhotonSeries", "OnePhotonSeries", "ImageSeries", "OpticalSeries", "GrayscaleImage", "RGBImage", "Image")
_FACTS = ("session_description", "identifier", "session_start_time", "general/session_id", "general/experimenter",
          "general/institution", "general/lab", "general/experiment_description", "general/keywords",
          "general/subject/subject_id", "general/subject/species", "general/subject/sex", "general/subject/age",
          "general/subject/date_of_birth", "general/subject/strain", "general/subject/genotype",
          "general/subject/weight", "general/subject/description")  # fmt: skip


def preview_file(asked: Mapping[str, Any]) -> dict[str, Any]:
    """See :meth:`dandi_mirror.upload.read.worker.Worker.preview`."""
    import h5py

    if reason := why_not_hdf5(asked["file"]):
        raise ValueError(reason)
    with h5py.File(asked["file"], "r") as file:
        nodes = list(_nodes(file))
        return {"tree": nodes, "facts": list(_facts(file)), "plots": list(_plots(file, nodes))}


# --- structure -------------------------------------------------------------------------------------------------------


def _nodes(file: Any) -> Iterator[dict[str, Any]]:
    """The objects of the file, those nearest to the top first: path, kind, type, shape."""
    import h5py

    level = [("", file)]
    left = MOST_NODES
    for _ in range(DEEPEST):
        below = []
        for place, group in level:
            for name in map(_name, group.id):
                if left == 0:
                    yield {"path": "…", "kind": "more", "type": "", "shape": ""}
                    return
                if not name or not isinstance(group.get(name, getlink=True), h5py.HardLink):
                    continue
                left -= 1
                member, path = group[name], f"{place}/{name}"
                yield _node(member, path)
                if isinstance(member, h5py.Group):
                    below.append((path, member))
        level = below


def _name(name: bytes) -> str:
    """A name that can be shown; empty if it is no text, or longer than usual."""
    try:
        return name.decode() if len(name) <= LONGEST else ""
    except UnicodeDecodeError:
        return ""


def _node(member: Any, path: str) -> dict[str, Any]:
    import h5py

    kind = _text(member.attrs.get("neurodata_type", ""))
    if isinstance(member, h5py.Dataset):
        shape = " × ".join(str(size) for size in member.shape or ()) if member.shape is not None else "empty"
        return {"path": path, "kind": "dataset", "type": kind, "shape": f"{shape} {member.dtype}"[:LONGEST].strip()}
    return {"path": path, "kind": "group", "type": kind, "shape": ""}


def _facts(file: Any) -> Iterator[list[str]]:
    for path in _FACTS:
        value = _scalar(file, path)
        if value:
            yield [path.rpartition("/")[2].replace("_", " "), value]


def _scalar(file: Any, path: str) -> str:
    """A text, or a short list of texts; empty for anything else."""
    import h5py

    try:
        found = file.get(path)
        if not isinstance(found, h5py.Dataset) or found.size is None or not 0 < found.size <= 20:
            return ""
        values = [found[()]] if found.shape == () else list(found[:].ravel())
        return ", ".join(filter(None, map(_text, values)))[:LONGEST]
    except (OSError, ValueError, TypeError, KeyError):
        return ""


def _text(value: Any) -> str:
    value = value.decode(errors="replace") if isinstance(value, bytes) else value
    return " ".join(str(value).encode("utf-8", "replace").decode().split())[:LONGEST]


# --- plots -----------------------------------------------------------------------------------------------------------


def _plots(file: Any, nodes: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Plots of what can be read; of what cannot, nothing."""
    groups = [node for node in nodes if node["type"]]
    series = sorted(
        (node for node in groups if node["type"] in _FIRST or node["type"].endswith("Series")),
        key=lambda node: _FIRST.index(node["type"]) if node["type"] in _FIRST else len(_FIRST),
    )
    images = [node for node in groups if node["type"] in _IMAGES]
    made = 0
    for node in series:
        if made < SERIES and node not in images and (plot := _tried(_traces, file, node)):
            made += 1
            yield plot
    if plot := _tried(_raster, file, {"path": "/units", "type": "Units"}):
        yield plot
    for node in images[:2]:
        if plot := _tried(_image, file, node):
            yield plot


def _tried(make: Callable[[Any, Mapping[str, str]], dict[str, Any] | None], file: Any, node: Mapping[str, str]) -> Any:
    try:
        return make(file, node)
    except MemoryError:
        raise
    except Exception as error:
        print(f"no plot of {node['path']!a}: {short_message(error)}")
        return None


def _data(group: Any, name: str) -> Any:
    """A dataset of numbers that can be read in part without much memory; None if there is none."""
    import h5py

    found = group.get(name) if isinstance(group, h5py.Group) else None
    if not isinstance(found, h5py.Dataset) or found.dtype.kind not in "iuf" or not found.size:
        return None
    shape = found.chunks or found.shape
    size = found.dtype.itemsize
    for side in shape if found.chunks else ():
        size *= side
    return found if size <= LARGEST_CHUNK else None


def _traces(file: Any, node: Mapping[str, str]) -> dict[str, Any] | None:
    import numpy as np

    group = file[node["path"]]
    data = _data(group, "data")
    if data is None or data.ndim not in {1, 2} or len(data) < 2:
        return None
    count = _samples(data)
    values = np.asarray(data[:count] if data.ndim == 1 else data[:count, :CHANNELS], dtype="float64")
    columns = values.reshape(len(values), -1).T
    times = _times(group, len(values))
    title = f"{node['path']} ({node['type']})"[:LONGEST]
    unit = _text(data.attrs.get("unit", ""))[:40]
    if node["type"] == "SpatialSeries" and len(columns) >= 2:
        kept = np.isfinite(columns[0]) & np.isfinite(columns[1])
        path = [_rounded(columns[0][kept][:POINTS]), _rounded(columns[1][kept][:POINTS])]
        return {"kind": "path", "title": title, "unit": unit, "lines": [path]} if len(path[0]) > 1 else None
    lines = [line for column in columns if (line := _line(times, column))]
    total = list(data.shape)
    return {"kind": "traces", "title": title, "unit": unit, "lines": lines, "of": total} if lines else None


def _samples(data: Any) -> int:
    """How many samples may be read: of large chunks, only those in the first few."""
    if not data.chunks:
        return SAMPLES
    size = data.dtype.itemsize
    for side in data.chunks:
        size *= side
    return int(min(SAMPLES, data.chunks[0] * max(1, MOST_READ // max(1, size))))


def _times(group: Any, count: int) -> Any:
    """The seconds of the first samples; their numbers, if the file does not say."""
    import numpy as np

    stamps = _data(group, "timestamps")
    if stamps is not None and len(stamps) >= count:
        return np.asarray(stamps[:count], dtype="float64")
    start = group.get("starting_time")
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


def _raster(file: Any, node: Mapping[str, str]) -> dict[str, Any] | None:
    """Spikes of the first units, from the first spike on."""
    import numpy as np

    group = file.get("units")
    times, ends = _data(group, "spike_times"), _data(group, "spike_times_index")
    if times is None or ends is None or times.ndim != 1 or ends.ndim != 1:
        return None
    stops = [int(stop) for stop in ends[:UNITS]]
    rows, start = [], 0
    for stop in stops:
        if not start <= stop <= len(times):
            return None
        some = np.asarray(times[start : min(stop, start + 20 * SPIKES)], dtype="float64")
        rows.append(some[np.isfinite(some)])
        start = stop
    first = min((float(row.min()) for row in rows if len(row)), default=None)
    if first is None:
        return None
    spikes = [_rounded(row[(row >= first) & (row <= first + WINDOW)][:SPIKES] - first) for row in rows]
    title = f"/units: {len(spikes)} of {len(ends):,}, from {first:.2f} s on"
    return {"kind": "raster", "title": title, "seconds": WINDOW, "rows": spikes}


def _image(file: Any, node: Mapping[str, str]) -> dict[str, Any] | None:
    """An image, or the middle one of a series, in shades of grey."""
    import h5py
    import numpy as np

    found = file[node["path"]]
    data = found if isinstance(found, h5py.Dataset) else _data(found, "data")
    single = isinstance(found, h5py.Dataset)
    if data is None or data.dtype.kind not in "iuf" or not data.size:
        return None
    if data.ndim not in ({2, 3} if single else {3, 4}):
        return None
    rows, columns = data.shape[:2] if single else data.shape[1:3]
    step = max(1, -(-max(rows, columns) // PIXELS))
    corner = (slice(None, None, step), slice(None, None, step))
    picture = np.asarray(data[corner] if single else data[len(data) // 2, *corner], dtype="float64")
    picture = picture[..., :3].mean(axis=2) if picture.ndim == 3 else picture
    if picture.ndim != 2 or not np.isfinite(picture).any():
        return None
    low, high = np.nanpercentile(picture[np.isfinite(picture)], [1, 99])
    scaled = np.clip((np.nan_to_num(picture) - low) / ((high - low) or 1), 0, 1)
    pixels = base64.b64encode((scaled * 255).astype("uint8").tobytes()).decode()
    title = f"{node['path']} ({node['type']}), {rows} × {columns}"[:LONGEST]
    return {"kind": "image", "title": title, "width": scaled.shape[1], "height": scaled.shape[0], "pixels": pixels}


def _rounded(values: Any) -> list[float]:
    return [float(f"{value:.5g}") for value in values]
