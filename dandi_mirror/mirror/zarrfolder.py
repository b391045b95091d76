"""A Zarr as a folder of plain files: bringing it whole, and making one that is there what the archive has."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from dandi_mirror.archive.transfer import Access, Meter
from dandi_mirror.errors import DiskError
from dandi_mirror.mirror.contents import Contents, File
from dandi_mirror.mirror.download import PARTIALS, Done, Plan, bring, judge
from dandi_mirror.repo.disk import sync_to_disk


def plan_zarr(zarr: File, files: list[File], path: Path, folder: Path, existing: str) -> tuple[Plan, Path]:
    """Which files of a Zarr are to come, and where it gathers: at ``path`` if it is there, else in :data:`PARTIALS`.

    What is at ``path`` is judged as ``existing`` says; what an earlier run has left, by size and time.
    """
    new = not path.exists()
    top = folder / PARTIALS / zarr.zarr if new else path
    places = [(file, top / file.path[len(zarr.path) + 1 :]) for file in files]
    mode = "refresh" if new else existing
    return Plan([(file, place) for file, place in places if not judge(file, place, mode)]), top


def bring_zarr(
    zarr: File, files: list[File], path: Path, folder: Path, existing: str, urls: Mapping[str, tuple[str, ...]],
    access: Access, meter: Meter, jobs: int,
) -> Done:  # fmt: skip
    """Bring all of a Zarr to ``path`` below ``folder``; a new one is there whole or not at all.

    In one that is there already, files that differ are replaced, and what the archive does not have is taken away.

    Raises:
        DiskError: the disk is full or not ours to write; what has come is kept.
    """
    plan, top = plan_zarr(zarr, files, path, folder, existing)
    done = list(bring(plan, Contents("", "", "", []), urls, folder, access, meter, jobs))
    if failed := [each for each in done if each.status == "error"]:
        first = failed[0]
        message = f"{len(failed):,} of its {len(files):,} files did not come; {first.file.entry}: {first.message}"
        return Done(zarr, path, "error", message, first.exit_code)
    try:
        gone = _take_away(top, {top / file.path[len(zarr.path) + 1 :] for file in files})
        if top != path:
            _put(top, path)
    except OSError as error:
        raise DiskError.of(path, error) from error
    return Done(zarr, path, "ok" if top != path or plan.wanted or gone else "notneeded")


def _put(top: Path, path: Path) -> None:
    """Put what has gathered in its place."""
    top.mkdir(parents=True, exist_ok=True)  # a Zarr may hold nothing
    path.parent.mkdir(parents=True, exist_ok=True)
    top.rename(path)
    sync_to_disk(path.parent)
    if not any(top.parent.iterdir()):
        top.parent.rmdir()


def _take_away(top: Path, kept: set[Path]) -> int:
    """Remove the files that are not among ``kept``, and folders that are empty then; how many files those were."""
    count = 0
    for where, folders, names in os.walk(top, topdown=False):
        links = [name for name in folders if Path(where, name).is_symlink()]
        for file in (Path(where, name) for name in (*names, *links)):
            if file not in kept:
                file.unlink()
                count += 1
        for inner in (Path(where, name) for name in folders if name not in links):
            if not any(inner.iterdir()):
                inner.rmdir()
    return count
