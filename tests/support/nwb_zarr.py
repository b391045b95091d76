"""NWB-Zarr folders: as hdmf-zarr wrote them, with other texts, or with something that nobody should have."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

DATA = Path(__file__).parents[1] / "data/nwb-zarr"


def nwb_zarr(folder: Path, zarr_format: int, *, subject: str | None = "m1", session: str | None = "s1") -> Path:
    """An NWB-Zarr of hdmf-zarr with this subject and session; without a text, that field is not there."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(DATA / f"format{zarr_format}.zip") as packed:
        packed.extractall(folder)
    for field, value, before in (
        ("general/subject/subject_id", subject, "m1"),
        ("general/session_id", session, "s1"),
    ):
        if value is None:
            shutil.rmtree(folder / field)
        elif value != before:
            write_text(folder / field, value)
    return folder


def write_text(array: Path, value: str) -> None:
    """Write one text in place of another, in the format that an array has, by zarr-python."""
    import zarr

    opened = zarr.open_array(str(array), mode="r+")
    opened[...] = value


def edit_attributes(folder: Path, **new: Any) -> None:
    """Set attributes of a group or an array of either format."""
    file = folder / "zarr.json" if (folder / "zarr.json").exists() else folder / ".zattrs"
    content = json.loads(file.read_text()) if file.exists() else {}
    target = content.setdefault("attributes", {}) if file.name == "zarr.json" else content
    target.update(new)
    file.write_text(json.dumps(content))


def pickled_text(array: Path, value: Any) -> None:
    """Let an array of format 2 hold a pickled value, as hdmf-zarr writes columns of texts."""
    import numpy as np
    from numcodecs import Blosc, Pickle

    shutil.rmtree(array, ignore_errors=True)
    array.mkdir(parents=True)
    values = value if isinstance(value, np.ndarray) else np.array([value], dtype=object)
    compressor = Blosc()
    facts = {
        "zarr_format": 2, "shape": [1], "chunks": [1], "dtype": "|O", "fill_value": None, "order": "C",
        "compressor": compressor.get_config(), "filters": [Pickle().get_config()],
    }  # fmt: skip
    (array / ".zarray").write_text(json.dumps(facts))
    (array / "0").write_bytes(compressor.encode(Pickle().encode(values)))
