"""Read the names of files and Zarrs that people type: globs, the state behind a Zarr's path, and a path inside it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from dandi_mirror.workflows.names import naming

if TYPE_CHECKING:
    from dandi_mirror.archive.names import Name

ENDINGS = (".zarr", ".ngff")


def read_zarr_place(text: str, mirror_path: Path | None = None) -> tuple[Name, Path | None]:
    """Read a name as :func:`.read_place`, also ``x.ome.zarr@CHECKSUM/3`` and a glob of paths in the current clone.

    A path in a Zarr need not exist on disk.

    Raises:
        UsageError: it is no name, or a state stands behind something that is no Zarr.
    """
    from dataclasses import replace

    from dandi_mirror.archive.names import split_entry, split_state
    from dandi_mirror.errors import UsageError
    from dandi_mirror.mirror.locate.clones import clone_at

    plain, state = split_state(text)
    asset, entry = split_entry(plain)
    try:
        name, folder = naming.read_place(plain, mirror_path=mirror_path)
    except UsageError:
        if entry and (clone := clone_at(asset)):
            name, folder = replace(clone.name, path=clone.name.path.rstrip("/"), entry=entry), clone.folder
        elif (around := clone_at(".")) and (glob := _glob(asset, around.folder)):
            name, folder = replace(around.name, path="", glob=glob, entry=entry), around.folder
        else:
            raise
    if folder and not name.entry:
        # that a folder is on disk does not say whether somebody means the Zarr or what is in it
        path = name.path if plain.endswith("/") else name.path.rstrip("/")
        path, entry = split_entry(path if split_entry(path)[1] or path.endswith(ENDINGS) else name.path)
        name = replace(name, path=path, entry=entry)
    return _with_state(name, text, state), folder


def _glob(text: str, top: Path) -> str:
    """A glob as somebody typed it in the current folder, from the top of the clone; empty if it is none of there."""
    glob = os.path.relpath(Path.cwd().resolve() / text, top)
    return glob if "*" in text and naming.may_be_path(text) and not glob.startswith("../") else ""


def read_zarr_name(text: str) -> Name:
    """Read the name of a Dandiset or a part of one, which may name the state of a Zarr.

    Raises:
        UsageError: it is no name, or a state stands behind something that is no Zarr.
    """
    from dandi_mirror.archive.names import parse, split_state

    plain, state = split_state(text)
    return _with_state(parse(plain), text, state)


def _with_state(name: Name, text: str, state: str) -> Name:
    from dataclasses import replace

    from dandi_mirror.errors import UsageError

    if state and not (name.zarr or name.path.endswith(ENDINGS)):
        raise UsageError(f"{text}: a state stands behind the path of one Zarr, as x.ome.zarr@{state[:8]}…/3")
    return replace(name, text=text, state=state)
