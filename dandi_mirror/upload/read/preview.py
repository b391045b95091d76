"""What is in an NWB file, in numbers that a page can draw: its structure, what it says about itself, a few plots.

Runs in the worker only.  Nothing is read whole: of each array, a corner; and no chunk that is larger than a limit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dandi_mirror.upload.read.asking import BlockFile
from dandi_mirror.upload.read.findings import short_message, why_not_hdf5
from dandi_mirror.upload.read.preview_plots import LONGEST, member, plots, shown_text

MOST_NODES = 400
"""Objects that the tree names."""
DEEPEST = 12
KEPT_FOR_FACTS, KEPT_FOR_PLOTS = 7, 6
"""Requests that the tree, and the facts, leave."""
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
        return {"tree": nodes, "facts": list(_facts(file)), "plots": list(plots(file, nodes))}


def preview_of_blocks(asked: Mapping[str, Any]) -> dict[str, Any]:
    """See :meth:`dandi_mirror.upload.read.worker.Worker.preview_of_blocks`."""
    import h5py

    source = BlockFile(asked["ask"], asked["size"], asked["block"])
    try:
        file = h5py.File(source, "r")
    except (OSError, RuntimeError) as error:
        why = (
            "too little of it may be read"
            if source.spent
            else f"it is not a complete HDF5 file: {short_message(error)}"
        )
        raise ValueError(why) from None
    found: dict[str, Any] = {"tree": [], "facts": [], "plots": []}
    parts = (("tree", _nodes(file, source), KEPT_FOR_FACTS), ("facts", _facts(file), KEPT_FOR_PLOTS),
             ("plots", plots(file, found["tree"], source), 0))  # fmt: skip
    for name, values, kept in parts:
        source.kept, source.spent = kept, False
        try:
            for value in values:
                found[name].append(value)
        except (OSError, RuntimeError, KeyError) as error:
            if not source.spent:
                raise ValueError(f"it is damaged: {short_message(error)}") from None
    return found


# --- structure -------------------------------------------------------------------------------------------------------


def _nodes(file: Any, source: BlockFile | None = None) -> Iterator[dict[str, Any]]:
    """The objects of the file, those nearest to the top first: path, kind, type, shape.

    Of a ``source`` that gives no more there are names, as far as these are known.
    """
    import h5py

    level = [("", file)]
    left = MOST_NODES
    for _ in range(DEEPEST):
        below = []
        for place, group in level:
            for name in filter(None, map(_name, _names(group, source))):
                if left == 0:
                    yield {"path": "…", "kind": "more", "type": "", "shape": ""}
                    return
                left -= 1
                path = f"{place}/{name}"
                try:
                    if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                        continue
                    inner = group[name]
                    yield _node(inner, path)
                except (OSError, RuntimeError, KeyError):
                    if not source or not source.spent:
                        raise
                    yield {"path": path, "kind": "unread", "type": "", "shape": ""}
                    continue
                if isinstance(inner, h5py.Group):
                    below.append((path, inner))
        level = below


def _names(group: Any, source: BlockFile | None) -> list[bytes]:
    """The names in a group, one more than the tree names at most; in the order in which they are stored."""
    import h5py

    names: list[bytes] = []

    def note(name: bytes) -> bool | None:
        names.append(name)
        return len(names) > MOST_NODES or None

    try:
        group.id.links.iterate(note, order=h5py.h5.ITER_NATIVE)
    except (OSError, RuntimeError):
        if not source or not source.spent:
            raise
    return sorted(names)


def _name(name: bytes) -> str:
    """A name that can be shown; empty if it is no text, or longer than usual."""
    try:
        return name.decode() if len(name) <= LONGEST else ""
    except UnicodeDecodeError:
        return ""


def _node(inner: Any, path: str) -> dict[str, Any]:
    import h5py

    kind = shown_text(inner.attrs.get("neurodata_type", ""))
    if isinstance(inner, h5py.Dataset):
        shape = " × ".join(str(size) for size in inner.shape or ()) if inner.shape is not None else "empty"
        return {"path": path, "kind": "dataset", "type": kind, "shape": f"{shape} {inner.dtype}"[:LONGEST].strip()}
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
        found = member(file, path)
        if not isinstance(found, h5py.Dataset) or found.size is None or not 0 < found.size <= 20:
            return ""
        values = [found[()]] if found.shape == () else list(found[:].ravel())
        return ", ".join(filter(None, map(shown_text, values)))[:LONGEST]
    except (OSError, ValueError, TypeError, KeyError):
        return ""
