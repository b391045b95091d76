"""A Zarr as a folder of plain files: bringing it whole, and making one that is there what the archive has."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from dandi_mirror.archive.transfer import Access, Meter
from dandi_mirror.errors import DiskError
from dandi_mirror.mirror.contents import Contents, File
from dandi_mirror.mirror.download import PARTIALS, Done, Plan, bring, judge
from dandi_mirror.repo.disk import sync_to_disk


@dataclass(frozen=True, slots=True)
class Filling:
    """A Zarr on its way to a folder."""

    zarr: File
    files: list[File]
    """All that it holds."""
    path: Path
    """Where it is to be."""
    top: Path
    """Where it gathers: there, if something is there already, else in :data:`PARTIALS`."""
    plan: Plan
    """What is to come."""

    def place(self, file: File) -> Path:
        """Where one of its files gathers."""
        return _place(self.top, self.zarr, file)


def plan_zarr(zarr: File, files: list[File], path: Path, folder: Path, existing: str) -> Filling:
    """Which files of a Zarr are to come to ``path`` below ``folder``.

    What is at ``path`` is judged as ``existing`` says; what an earlier run has left, by size and time.
    """
    new = not path.exists()
    top, mode = (folder / PARTIALS / zarr.zarr, "refresh") if new else (path, existing)
    plan = Plan()
    for file in files:
        place = _place(top, zarr, file)
        if settled := judge(file, place, mode):
            plan.settled.append(settled)
        else:
            plan.wanted.append((file, place))
    return Filling(zarr, files, path, top, plan)


def _place(top: Path, zarr: File, file: File) -> Path:
    return top / file.path[len(zarr.path) + 1 :]


def bring_zarr(
    filling: Filling, folder: Path, urls: Mapping[str, tuple[str, ...]], access: Access, meter: Meter, jobs: int
) -> Done:
    """Bring all of a Zarr; a new one is there whole or not at all.

    In one that is there already, files that differ are replaced, and what the archive does not have is taken away.

    Raises:
        DiskError: the disk is full or not ours to write; what has come is kept.
    """
    zarr, path, top = filling.zarr, filling.path, filling.top
    brought = bring(filling.plan, Contents("", "", "", []), urls, folder, access, meter, jobs)
    if failed := [done for done in (*brought, *filling.plan.settled) if done.status == "error"]:
        count, first = f"{len(failed):,} of its {len(filling.files):,} files", failed[0]
        return Done(zarr, path, "error", f"{count} did not come; {first.file.entry}: {first.message}", first.exit_code)
    try:
        gone = _take_away(top, set(map(filling.place, filling.files)))
        if top != path:
            _put(top, path)
    except OSError as error:
        raise DiskError.of(path, error) from error
    return Done(zarr, path, "ok" if top != path or filling.plan.wanted or gone else "notneeded")


def _put(top: Path, path: Path) -> None:
    """Put what has gathered in its place."""
    top.mkdir(parents=True, exist_ok=True)  # a Zarr may hold nothing
    path.parent.mkdir(parents=True, exist_ok=True)
    top.rename(path)
    sync_to_disk(path.parent)
    if not any(top.parent.iterdir()):
        top.parent.rmdir()


def _take_away(top: Path, kept: Collection[Path]) -> int:
    """Remove the files that are not among ``kept``, and folders that are empty then; how many files those were."""
    count = 0
    for where, folders, names in os.walk(top, topdown=False):
        for file in (Path(where, name) for name in names):
            if file not in kept:
                file.unlink()
                count += 1
        for inner in (Path(where, name) for name in folders):
            # a link to a folder is followed, here as anywhere
            if not inner.is_symlink() and not any(inner.iterdir()):
                inner.rmdir()
    return count
