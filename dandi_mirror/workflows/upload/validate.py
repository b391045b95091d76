"""Choose the files that `validate` checks: the changed ones of a clone, or all files of a folder."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from dandi_mirror.errors import UsageError
from dandi_mirror.files.own import own_folder
from dandi_mirror.mirror.locate.clones import clone_at
from dandi_mirror.mirror.sync.draft import last_commit
from dandi_mirror.repo.annex.edits import files, read_edits
from dandi_mirror.repo.git.dataset import Dataset
from dandi_mirror.repo.git.files import absolute_path
from dandi_mirror.repo.git.ignored import ignored, in_index
from dandi_mirror.upload.kinds import Kinds, is_hidden, is_left_folder
from dandi_mirror.upload.validate import ValidationTargets, belongs, select_targets


def select_files(paths: Iterable[Path], everything: bool) -> Iterable[tuple[Path, ValidationTargets, int]]:
    """For each dataset or plain folder, give its top, the files to check, and how many are left out as unchanged.

    Raises:
        UsageError: a path does not exist, or is a mirror of many Dandisets.
    """
    wanted: dict[Path, list[str]] = {}
    clones = set()
    for path in paths:
        if not os.path.lexists(path):
            raise UsageError(f"{path} does not exist")
        found = clone_at(str(path))
        given = absolute_path(path)
        root = found.folder if found else _top(given)
        clones |= {root} if found else set()
        inside = (found.name.path or "") if found else str(given.relative_to(root))
        wanted.setdefault(root, []).append("" if inside == "." else inside.rstrip("/"))
    for root, below in wanted.items():
        there = files(root) if root in clones else _listing(root)
        candidates = _changed(root) if root in clones and not everything else there
        chosen = [name for name in candidates if any(_is_in(name, folder) for folder in below)]
        passed = sum(belongs(name) and any(_is_in(name, folder) for folder in below) for name in {*there} - {*chosen})
        kinds = Kinds.of(there)
        selection = select_targets(root, chosen, kinds, _tracked(root, chosen, kinds) if root in clones else set())
        if root in clones:
            selection.strange.update(ignored(root, filter(None, below)))
        yield root, selection, passed


def _changed(root: Path) -> list[str]:
    """List the files that differ from the last sync, or from what is checked out if there was no sync."""
    dataset = Dataset(root)
    return [edit.path for edit in read_edits(dataset, last_commit(dataset) or "HEAD")]


def _tracked(root: Path, paths: Iterable[str], kinds: Kinds) -> set[str]:
    """Those of the hidden files that git knows; a Zarr counts as one file."""
    return {kinds.zarr(path) or path for path in in_index(root, filter(is_hidden, paths))}


def _is_in(path: str, folder: str) -> bool:
    return not folder or path == folder or path.startswith(f"{folder}/")


def _top(path: Path) -> Path:
    """Find the top of the Dandiset that a file or folder outside of git is in; else that folder itself."""
    if own_folder(path).is_folder():
        raise UsageError(f"{path} is a mirror of many Dandisets; name a dataset in it, as {path}/000123")
    around = next((folder for folder in (path, *path.parents) if (folder / "dandiset.yaml").is_file()), None)
    return around or (path if path.is_dir() else path.parent)


def _listing(root: Path) -> list[str]:
    """List the files of a folder that is not a repository."""
    found = []
    for top, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not is_left_folder(str(Path(top, name).relative_to(root)))]
        found += [str(Path(top, name).relative_to(root)) for name in names]
    return sorted(found)
