"""OME-Zarr folders of many small chunks, as zarr-python writes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dandi_mirror.embedded import Dandiset
from dandi_mirror.embedded.bucket.contents import pieces
from tests.support.uploading import Person


def write_ome(folder: Path, form: int = 2, *, fill: int = 0, levels: int = 2) -> Path:
    """An OME-Zarr of a few chunks in each level, in format 2 or 3; ``fill`` is added to each value."""
    import numpy
    import zarr

    top = zarr.open_group(str(folder), mode="w", zarr_format=form)
    axes = [{"name": name, "type": "space"} for name in "yx"]
    datasets = [{"path": str(level), "coordinateTransformations": [{"type": "scale", "scale": [2.0**level] * 2}]}
                for level in range(levels)]  # fmt: skip
    top.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": datasets}]
    for level in range(levels):
        side = 32 >> level
        array = top.create_array(str(level), shape=(side, side), chunks=(8, 8), dtype="uint16")
        array[:] = numpy.arange(side * side, dtype="uint16").reshape(side, side) + fill
    return folder


def set_attribute(folder: Path, form: int, name: str, value: Any) -> None:
    """Change an attribute of a Zarr as zarr-python writes it."""
    file = folder / (".zattrs" if form == 2 else "zarr.json")
    held = json.loads(file.read_bytes())
    (held if form == 2 else held["attributes"])[name] = value
    file.write_text(json.dumps(held))


def held(dandiset: Dandiset, path: str) -> dict[str, bytes]:
    """The entries that the archive has of the Zarr at a path."""
    asset = dandiset.draft.asset_at(path)
    assert asset and asset.zarr, "there is a Zarr asset at the path"
    return {entry: b"".join(pieces(content)) for entry, content in sorted(asset.zarr.files.items())}


def sent_entries(person: Person) -> list[str]:
    """The entries whose bytes went to the bucket, relative to their Zarrs."""
    puts = (request.path for request in person.writes() if request.method == "PUT")
    return [path.partition("/zarr/")[2].partition("/")[2] for path in puts if "/zarr/" in path[:40]]
